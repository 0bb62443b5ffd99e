package judge

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"tickcast/wire"
)

// Phases of a crash round.
const (
	idle    = "idle"
	betting = "betting"
	locked  = "locked"
	flying  = "flying"
	crashed = "crashed"
)

const (
	// rulesKnown is the version of the rules that are judged here.
	rulesKnown = 1
	// maxClosing is for how many finished rounds results may be missing before bets are
	// refused.
	maxClosing = 10
	// ms is a millisecond of game time.
	ms = 1_000_000
)

// crash is a room of the game crash.
type crash struct {
	room       *room
	state      string
	phase      string
	start, end int64 // of the phase; end is 0 for idle and flying
	ready      bool  // crashed was shown for long enough
	wanted     settings
	current    *Round
	next       *Round
	closing    map[*Round]bool // finished rounds behind current that miss results
	chains     chains
	owed       bool // the reveal of current is
	flight     flight
	abandoned  bool // its seed did not come: nothing is judged any more
}

func newCrash(r *room, args *wire.CreateArgs) *crash {
	s := defaultSettings()
	if len(args.Settings) > 0 {
		c, ok := parseChange(s, args.Settings, false)
		if !ok {
			return nil
		}
		s = c.settings
	}
	c := &crash{
		room: r, state: running, phase: idle, wanted: s,
		current: r.log.newRound(r, 0, s), next: r.log.newRound(r, 1, s), closing: map[*Round]bool{},
	}
	if args.Paused {
		c.state = paused
	}
	c.current.done, c.current.Archive = true, &Booking{} // there was no round 0
	return c
}

func (c *crash) mode() string        { return c.state }
func (c *crash) keyless(string) bool { return false }

func (c *crash) round() uint64 {
	if c.phase == betting || c.phase == locked {
		return c.current.Number
	}
	return c.current.Number + 1
}

func (c *crash) settled() bool {
	return c.current.awaited == 0 && c.next.awaited == 0 && c.current.Archive != nil && len(c.closing) == 0 && !c.owed && !c.abandoned
}

// due implements rules.
func (c *crash) due() int64 {
	switch {
	case c.abandoned:
		return never
	case c.phase == betting || c.phase == locked || c.phase == crashed && !c.ready:
		return c.end
	case c.phase == flying && !c.flight.known:
		return c.start
	case c.phase == flying:
		return c.flightDue()
	}
	return never
}

// advance implements rules.
func (c *crash) advance(at at) (blocked bool, err error) {
	switch c.phase {
	case betting:
		c.enter(locked, at.now, c.current.settings.LockMS)
		if c.current.pending == 0 {
			c.takeOff(at)
		}
	case locked:
		c.takeOff(at)
	case flying:
		if !c.flight.known {
			return c.learn()
		}
		c.fly(at)
	case crashed:
		if c.state == pausing {
			c.rest(at)
		} else {
			c.ready = true
		}
	}
	return false, nil
}

func (c *crash) enter(phase string, now, millis int64) {
	c.phase, c.start, c.end, c.ready = phase, now, now+millis*ms, false
}

// command implements rules.
func (c *crash) command(at at, cmd *wire.Command) error {
	if c.abandoned {
		return nil
	}
	switch cmd.Op {
	case "bet":
		c.bet(cmd)
	case "cancel":
		c.cancel(cmd)
	case "cashout":
		c.cashOut(at, cmd)
	}
	return nil
}

// bet takes a bet, if it is a good one.
func (c *crash) bet(cmd *wire.Command) {
	a, ok := parseBet(cmd.Args, "slot", "amount", "auto")
	if !ok {
		return
	}
	var rd *Round
	var s settings
	switch {
	case cmd.Round == c.current.Number && c.phase == betting:
		rd, s = c.current, c.current.settings
	case cmd.Round == c.next.Number && c.phase == flying && c.state == running:
		rd, s = c.next, c.nextSettings()
	default:
		return
	}
	old := rd.slots[slot{cmd.Player, a.slot}]
	const first = firstCenti + 1 // limits hold from the first reading that pays
	if old != nil && old.live() || a.amount < s.MinStake || a.amount > s.MaxStake || a.auto > s.Cap ||
		(rd.wagered(cmd.Player)+a.amount)*first > s.MaxWin*100 ||
		(rd.Stake+rd.held+a.amount)*first > s.MaxRoundWin*100 || len(c.closing) >= maxClosing {
		return
	}
	rd.settings = s
	b := &Bet{
		ID: betID(c.room.uuid, cmd), Player: cmd.Player, Slot: a.slot, Stake: a.amount, Auto: a.auto,
		State: Pending, Placed: c.room.log.at.seq,
	}
	if c.room.log.pending["stake/"+b.ID] != nil {
		return
	}
	rd.add(b)
	rd.awaited++
	b.StakeBooking = c.room.log.ask(&Booking{
		ID: "stake/" + b.ID, Kind: wire.BookStake, Room: c.room.id, Player: b.Player, Amount: b.Stake, bet: b,
	})
}

// betID is the first half of the SHA-256 of UUID, player, round and key in hex.
func betID(uuid string, cmd *wire.Command) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s|%s|%d|%s", uuid, cmd.Player, cmd.Round, cmd.Key))
	return hex.EncodeToString(sum[:16])
}

// nextSettings are fixed by the first bet of the next round.
func (c *crash) nextSettings() settings {
	if c.next.pending > 0 || c.next.Count > 0 {
		return c.next.settings
	}
	return c.wanted
}

func (c *crash) cancel(cmd *wire.Command) {
	a, ok := parseBet(cmd.Args, "slot")
	if !ok {
		return
	}
	var rd *Round
	switch {
	case cmd.Round == c.current.Number && c.phase == betting:
		rd = c.current
	case cmd.Round == c.next.Number && (c.phase == flying || c.phase == crashed):
		rd = c.next
	default:
		return
	}
	if b := rd.slots[slot{cmd.Player, a.slot}]; b != nil && b.live() {
		c.refund(b, "the bet was cancelled")
	}
}

// refund ends a bet without a decision.
func (c *crash) refund(b *Bet, reason string) {
	b.round.refund(b)
	c.bookEnd(b, &Booking{ID: "cancel/" + b.ID, Kind: wire.BookCancel, Amount: b.Stake, Reason: reason})
}

func (c *crash) bookEnd(b *Bet, k *Booking) {
	k.Room, k.Player, k.Stake, k.bet = c.room.id, b.Player, "stake/"+b.ID, b
	b.round.awaited++
	b.EndBooking = c.room.log.ask(k)
}

// result implements rules.
func (c *crash) result(at at, k *Booking) error {
	if c.abandoned {
		return nil
	}
	b := k.bet
	b.round.awaited--
	if k.Kind == wire.BookStake && b.State == Pending {
		if k.Result.Booked {
			b.round.confirm(b)
		} else {
			b.round.leavePending(b, Refused)
		}
		if c.phase == locked && c.current.pending == 0 {
			c.takeOff(at)
		}
	}
	c.archive(b.round)
	return nil
}

// takeOff begins the flight. What is not confirmed is cancelled.
func (c *crash) takeOff(at at) {
	for _, b := range c.current.Bets {
		if b.State == Pending {
			c.refund(b, "the stake was not confirmed in time")
		}
	}
	c.enter(flying, at.now, 0)
	c.end = 0
	c.flight = flight{}
}

// crash ends the flight: what still flies is lost.
func (c *crash) crash(at at) {
	rd := c.current
	rd.Centi = c.flight.point
	for _, b := range rd.Bets {
		if b.State == Open {
			b.State = Lost
		}
	}
	c.finish(at)
}

// finish makes the current round a finished one, whose seed is owed.
func (c *crash) finish(at at) {
	rd := c.current
	rd.done, rd.Ended = true, at.wall
	c.owed = true
	c.flight = flight{}
	c.enter(crashed, at.now, rd.settings.CrashedMS)
	c.archive(rd)
}

// archive books a finished round once every result of its bets is in the log.
func (c *crash) archive(rd *Round) {
	if !rd.done || rd.Archive != nil || rd.awaited > 0 {
		return
	}
	delete(c.closing, rd)
	rd.Archive = c.room.log.ask(&Booking{
		ID: fmt.Sprintf("round/%s/%d", rd.UUID, rd.Number), Kind: wire.BookRound, Room: rd.Room, round: rd,
	})
}

// rest pauses the room between rounds. Bets for the next one are refunded.
func (c *crash) rest(at at) {
	for _, b := range c.next.Bets {
		if b.live() {
			c.refund(b, "the room was paused")
		}
	}
	c.enter(idle, at.now, 0)
	c.end, c.state = 0, paused
}

// act implements rules.
func (c *crash) act(at at, a *wire.Action) bool {
	if c.abandoned {
		return false
	}
	switch a.Op {
	case wire.ActionStart, wire.ActionResume:
		if c.state == running {
			return false
		}
		c.state = running
		return true
	case wire.ActionPause:
		return c.pause(at)
	case wire.ActionVoid:
		return c.void(at)
	case wire.ActionSet:
		return c.set(a.Args)
	}
	return false
}

func (c *crash) pause(at at) bool {
	switch {
	case c.state != running:
		return false
	case c.phase == idle:
		c.state = paused
	case c.ready:
		c.rest(at)
	default:
		c.state = pausing
	}
	return true
}

// void ends the round: bets without an end are refunded, what was won stays won.
func (c *crash) void(at at) bool {
	if c.phase == idle || c.phase == crashed {
		return false
	}
	c.current.Voided = true
	for _, b := range c.current.Bets {
		if b.live() {
			c.refund(b, "the round was voided")
		}
	}
	c.finish(at)
	return true
}

func (c *crash) set(args json.RawMessage) bool {
	ch, ok := parseChange(c.wanted, args, true)
	if !ok || !ch.changed && ch.salt == "" {
		return false
	}
	if ch.salt != "" {
		next := c.chains.next
		if next == nil || next.salt != "" && !next.byServer {
			return false
		}
		next.salt, next.byServer = ch.salt, false
	}
	if ch.changed {
		c.wanted = ch.settings
		c.wanted.Version++
	}
	return true
}

// abandon gives up judging the room: the seed of the round that flies is not known.
func (c *crash) abandon() {
	c.abandoned = true
	c.room.log.notes.Unjudged.add(c.room.log.at.seq)
	c.current.Unjudged = true
	for _, b := range c.current.Bets {
		b.Unjudged = b.State == Open
	}
}

func (c *crash) blocked() bool { return c.phase == flying && !c.flight.known && !c.abandoned }
