package loadtest

import (
	"encoding/json"
	"time"

	"tickcast/wire"
)

// Witness is told what players experience, so that others can judge it. Its
// functions are called by the goroutines that read connections, several at a time,
// and must return at once; nil ones are not called. Times are since the run began.
type Witness struct {
	// Answered is told of each answer that ends a command. Result is valid during the
	// call only.
	Answered func(Answered)
	// Balance is told of each balance that was pushed to a player.
	Balance func(Balance)
	// Paused is told of each silence of a room on a player's screen that lasted longer than
	// screens move on without a tick (P3.5): however it came about, unless the bot was away
	// on purpose.
	Paused func(Pause)
}

func (w *Witness) none() bool { return w.Answered == nil && w.Balance == nil && w.Paused == nil }

// Answered is a command and its answer, as its player saw them.
type Answered struct {
	Bot       int
	Player    string
	Room, Key string
	Op        string
	Round     uint64
	Slot      int
	Stake     int64 // bet
	Auto      int64 // bet: the target, 0 for none
	Taps      uint64
	Asked, At time.Duration // when it was meant to be sent, and when it was answered
	Definite  bool          // false: the bot gave up, and the command may have taken effect
	OK        bool
	Code      wire.Code // of a refusal
	Result    json.RawMessage
}

// Balance is what a player was told that he has.
type Balance struct {
	Player          string
	Amount, Version int64
	At              time.Duration
}

// Pause is a silence of a room on a player's screen.
type Pause struct {
	Bot      int
	Room     string
	From, To time.Duration
}

// pauseLeast is how long a screen moves on without a tick (P3.5).
const pauseLeast = 250 * time.Millisecond

// heard notes that something of the room came. mu of the bot is held.
func (st *seat) heard(at time.Duration) {
	paused := st.bot.s.cfg.Witness.Paused
	if paused == nil {
		return
	}
	if from := st.heardAt; from > 0 && at-from > pauseLeast && !st.gone {
		paused(Pause{Bot: st.bot.n, Room: st.room, From: from, To: at})
	}
	st.heardAt = at
}

// testify tells the witness of an answer. mu is held.
func (b *bot) testify(cmd *command, m *wire.Answer, definite bool, at time.Duration) {
	answered := b.s.cfg.Witness.Answered
	if answered == nil {
		return
	}
	a := Answered{
		Bot: b.n, Player: b.player, Room: cmd.room, Key: cmd.key, Op: cmd.op, Round: cmd.round, Slot: cmd.slot, Stake: cmd.stake, Auto: cmd.auto, Taps: cmd.taps,
		Asked: cmd.intended, At: at, Definite: definite, OK: m.OK, Result: m.Result,
	}
	if m.Error != nil {
		a.Code = m.Error.Code
	}
	answered(a)
}

// onBalance takes in a balance that was pushed (P2.7).
func (b *bot) onBalance(m *wire.Balance, at time.Duration) {
	b.books.tell(m.Amount, m.Version)
	if told := b.s.cfg.Witness.Balance; told != nil {
		told(Balance{Player: b.player, Amount: m.Amount, Version: m.Version, At: at})
	}
}
