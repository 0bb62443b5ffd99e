package loadtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"tickcast/wire"
)

// Games that bots can play, as named in a room's view, and the phases they act on.
const (
	gameCrash = "crash"
	gameRace  = "race"

	phaseIdle     = "idle"
	phaseBetting  = "betting"
	phaseLocked   = "locked"
	phaseFlying   = "flying"
	phaseCrashed  = "crashed"
	phaseRunning  = "running"
	phaseFinished = "finished"

	eventPhase  = "phase"
	eventVoid   = "void"
	eventTotals = "totals"
	eventSalt   = "salt"
	eventCommit = "commit"
	eventOut    = "out"
	eventLost   = "lost"
	eventRefund = "refund"
)

// event is the part of an event that the swarm looks at. Which fields are set
// depends on E; see docs/protocol.md, sections 7 and 8.
type event struct {
	E          string    `json:"e"`
	Phase      string    `json:"phase"`
	Round      uint64    `json:"round"`
	Start      int64     `json:"start"`
	End        int64     `json:"end"` // 0 when null
	Centi      int64     `json:"centi"`
	Seed       string    `json:"seed"`
	Chain      uint64    `json:"chain"`
	Index      uint64    `json:"index"`
	Commitment string    `json:"commitment"`
	Salt       string    `json:"salt"`
	Stake      int64     `json:"stake"`
	Slot       int       `json:"slot"`
	Payout     int64     `json:"payout"`
	Amount     int64     `json:"amount"`
	Settings   *settings `json:"settings"`
	Fairness   *fairness `json:"fairness"`
	Top        []ranked  `json:"top"`
}

// settings are the settings of either game that the swarm needs.
type settings struct {
	RTP         int64 `json:"rtp_bp"`
	MinStake    int64 `json:"min_stake"`
	MaxStake    int64 `json:"max_stake"`
	MaxWin      int64 `json:"max_win"`
	MaxRoundWin int64 `json:"max_round_win"`
	Cap         int64 `json:"cap"`
	MaxTaps     int64 `json:"max_taps_per_s"`
}

// fairness is the public part of a room's seed chain.
type fairness struct {
	Chain      uint64 `json:"chain"`
	Index      uint64 `json:"index"`
	Commitment string `json:"commitment"`
	Salt       string `json:"salt"`
	LastSeed   string `json:"last_seed"`
}

// ranked is a line of a race's result.
type ranked struct {
	Player string `json:"player"`
	Points int64  `json:"points"`
}

// view is the part of a snapshot that the swarm looks at.
type view struct {
	Game     string    `json:"game"`
	Phase    string    `json:"phase"`
	Round    uint64    `json:"round"`
	Start    int64     `json:"start"`
	End      int64     `json:"end"` // 0 when null
	Settings *settings `json:"settings"`
	Fairness *fairness `json:"fairness"`
	History  []past    `json:"history"`
}

// past is a finished round in a snapshot.
type past struct {
	Round  uint64 `json:"round"`
	Centi  int64  `json:"centi"`
	Seed   string `json:"seed"`
	Chain  uint64 `json:"chain"`
	Index  uint64 `json:"index"`
	Voided bool   `json:"voided"`
}

// news are the events of an update that bots react to or that decide a round.
// It is immutable and shared by all bots.
type news struct {
	events []event
}

// readNews decodes an update whole, once for all bots, and checks its form. It
// returns nil news when there is nothing to react to.
func readNews(raw []byte, room string) (*news, error) {
	if !utf8.Valid(raw) {
		return nil, errors.New("update is not UTF-8")
	}
	var u wire.Update
	if err := json.Unmarshal(raw, &u); err != nil {
		return nil, fmt.Errorf("update: %w", err)
	}
	if u.Room != room || len(u.Events) == 0 {
		return nil, fmt.Errorf("update for room %q with %d events", u.Room, len(u.Events))
	}
	var n news
	for _, e := range u.Events {
		var kind struct {
			E string `json:"e"`
		}
		if err := json.Unmarshal(e, &kind); err != nil || kind.E == "" {
			return nil, fmt.Errorf("event %.80s has no kind", e)
		}
		switch kind.E {
		case eventPhase, eventVoid, eventTotals, eventSalt, eventCommit:
			var ev event
			if err := json.Unmarshal(e, &ev); err != nil {
				return nil, fmt.Errorf("event %s: %w", kind.E, err)
			}
			n.events = append(n.events, ev)
		}
	}
	if n.events == nil {
		return nil, nil
	}
	return &n, nil
}

// outcome is what the public updates said of one round.
type outcome struct {
	round    uint64
	over     bool
	voided   bool
	centi    int64     // crash: the crash point, 0 when voided
	stake    int64     // crash: highest total of stakes seen
	settings *settings // nil when the round's opening was not seen
	top      []ranked  // race: the result
}

// rounds are the outcomes of a room's newest rounds. Owned by its stream.
type rounds struct {
	by       map[uint64]*outcome
	chains   chains
	ended    uint64    // rounds whose end was seen in an update
	problems []problem // contradictions that nobody has taken yet
}

// problem is a contradiction in what a room said in public.
type problem struct {
	check  checkName
	detail string
}

// keptRounds bounds the outcomes kept. Commands older than wire.KeptRounds rounds
// cannot be answered with success any more, so three times that is plenty.
const keptRounds = 3 * wire.KeptRounds

func (r *rounds) get(round uint64) (outcome, bool) {
	o := r.by[round]
	if o == nil {
		return outcome{}, false
	}
	return *o, true
}

// at finds or makes the record of a round, nil when the round is too old.
func (r *rounds) at(round uint64) *outcome {
	if r.by == nil {
		r.by = map[uint64]*outcome{}
	}
	o := r.by[round]
	if o != nil {
		return o
	}
	o = &outcome{round: round}
	r.by[round] = o
	for len(r.by) > keptRounds {
		oldest := round
		for k := range r.by {
			oldest = min(oldest, k)
		}
		delete(r.by, oldest)
	}
	return o
}

// apply takes in the events of one update.
func (r *rounds) apply(n *news) {
	for i := range n.events {
		e := &n.events[i]
		switch {
		case e.E == eventSalt:
			r.chains.salt(e.Chain, e.Salt)
		case e.E == eventCommit:
			r.chains.commit(e.Chain, e.Commitment)
		case e.E == eventTotals:
			o := r.at(e.Round)
			o.stake = max(o.stake, e.Stake)
		case e.E == eventVoid:
			r.ended++
			r.end(past{Round: e.Round, Seed: e.Seed, Chain: e.Chain, Index: e.Index, Voided: true}, nil)
		case e.Phase == phaseCrashed:
			r.ended++
			r.end(past{Round: e.Round, Centi: e.Centi, Seed: e.Seed, Chain: e.Chain, Index: e.Index}, nil)
		case e.Phase == phaseFinished:
			r.ended++
			r.end(past{Round: e.Round}, e.Top)
		case e.Settings != nil:
			r.at(e.Round).settings = e.Settings
			r.chains.learn(e.Fairness)
		}
	}
}

// learn takes in what a snapshot says: settings of the round that it shows, and
// the results of rounds before, which must be the same as the updates said.
func (r *rounds) learn(v *view) {
	if o := r.at(v.Round); o.settings == nil {
		o.settings = v.Settings
	}
	if v.Phase != phaseCrashed && v.Phase != phaseIdle {
		r.chains.learn(v.Fairness)
	}
	if v.Game != gameCrash {
		return
	}
	for _, p := range v.History {
		r.end(p, nil)
	}
}

func (r *rounds) takeProblems() []problem {
	p := r.problems
	r.problems = nil
	return p
}

// end records the end of a round.
func (r *rounds) end(p past, top []ranked) {
	o := r.at(p.Round)
	if o.over {
		if o.centi != p.Centi || o.voided != p.Voided {
			r.problems = append(r.problems, problem{checkRules, fmt.Sprintf(
				"round %d ended at %d (voided %t), and at %d (voided %t)", p.Round, o.centi, o.voided, p.Centi, p.Voided)})
		}
		return
	}
	o.over, o.voided, o.centi, o.top = true, p.Voided, p.Centi, top
	if p.Seed == "" {
		return
	}
	if err := r.chains.reveal(p, o.settings); err != nil {
		r.problems = append(r.problems, problem{checkFairness, fmt.Sprintf("round %d: %v", p.Round, err)})
	}
}
