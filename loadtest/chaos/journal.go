package chaos

import (
	"encoding/json"
	"sync"
	"time"

	"tickcast/loadtest"
)

// journal keeps what players experienced. It is a loadtest.Witness, and safe for
// concurrent use. It grows with the run: some hundred bytes for each command.
type journal struct {
	mu       sync.Mutex
	answers  []answer           // guarded by mu
	balances []loadtest.Balance // guarded by mu
	pauses   []loadtest.Pause   // guarded by mu
}

// answer is a command and its answer.
type answer struct {
	loadtest.Answered
	result result // of a command that was granted
}

// result is what the results of all operations may say.
type result struct {
	Slot    int   `json:"slot"`
	Stake   int64 `json:"stake"`
	Auto    int64 `json:"auto"`
	Centi   int64 `json:"centi"`
	Payout  int64 `json:"payout"`
	Amount  int64 `json:"amount"`
	Balance int64 `json:"balance"`
	Version int64 `json:"version"`
	Points  int64 `json:"points"`
}

func (j *journal) witness() loadtest.Witness {
	return loadtest.Witness{Answered: j.answered, Balance: j.balance, Paused: j.paused}
}

func (j *journal) answered(a loadtest.Answered) {
	e := answer{Answered: a}
	if a.OK {
		_ = json.Unmarshal(a.Result, &e.result) // the swarm judges malformed results
	}
	e.Result = nil
	j.mu.Lock()
	defer j.mu.Unlock()
	j.answers = append(j.answers, e)
}

func (j *journal) balance(b loadtest.Balance) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.balances = append(j.balances, b)
}

func (j *journal) paused(p loadtest.Pause) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.pauses = append(j.pauses, p)
}

// granted counts the commands that were answered with a success.
func (j *journal) granted() (n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := range j.answers {
		if j.answers[i].OK {
			n++
		}
	}
	return n
}

// Operations of the games and of the cashier, as docs/protocol.md has them.
const (
	opBet     = "bet"
	opCancel  = "cancel"
	opCashOut = "cashout"
	opRefill  = "refill"
)

// place is where a bet of a player stands.
type place struct {
	player, room string
	round        uint64
	slot         int
}

func (a *answer) place() place { return place{a.Player, a.Room, a.Round, a.Slot} }

const (
	// aftermath is for how long after everything works again a pause is still put down to a
	// fault: clients come back, and replicas catch up.
	aftermath = 2 * time.Second
	// lastTick is how long before a fault the last tick may have come that a player saw.
	lastTick = 300 * time.Millisecond
)

// blame finds the fault that a pause is put down to: the one that began last before it,
// if that was under way; -1 for none.
func blame(p loadtest.Pause, faults []loadtest.Fault) int {
	found := -1
	for i := range faults {
		f := &faults[i]
		if f.Began <= p.From+lastTick && p.From <= f.Began+f.Took+aftermath && (found < 0 || f.Began > faults[found].Began) {
			found = i
		}
	}
	return found
}
