package crash

import (
	"encoding/hex"
	"encoding/json"
	"fmt"

	"tickcast/room/game"
)

// RulesVersion is the newest version of the rules that this package can fold. The
// opening record of a round tells by which one it is played.
const RulesVersion = 1

// Kinds of facts: what the owner of a room states in the log.
const (
	factCommit = "commit" // commitFact
	factSalt   = "salt"   // saltFact: only after the commit was folded
	factOpen   = "open"   // openFact: a round begins
	factReveal = "reveal" // revealFact: only after the fold has ended the round
)

type commitFact struct {
	Chain      uint32 `json:"chain"`
	Commitment string `json:"commitment"` // hex
	Rounds     uint64 `json:"rounds"`     // how many seeds the chain has
}

type saltFact struct {
	Chain  uint32 `json:"chain"`
	Salt   string `json:"salt"`
	Source string `json:"source"`
}

type openFact struct {
	Round uint64 `json:"round"`
	Rules int    `json:"rules"`
}

type revealFact struct {
	Round uint64 `json:"round"`
	Chain uint32 `json:"chain"`
	Index uint64 `json:"index"`
	Seed  string `json:"seed"` // hex
}

// Duties implements game.Room. A salt is drawn anew by each call; the first one
// in the log counts.
func (r *Room) Duties(rules int) []game.Duty {
	var duties []game.Duty
	owe := func(kind string, fact any) {
		duties = append(duties, game.Duty{Kind: kind, Data: game.Encode(fact)})
	}
	if r.Fair.Owed && r.Current.Seed != "" {
		owe(factReveal, r.revealOwed())
	}
	if chain, wanted := r.Fair.wantsCommit(r.Current.Number); wanted {
		if c, ok := r.kind.chains.Commitment(r.UUID, chain); ok {
			owe(factCommit, commitFact{chain, hex.EncodeToString(c[:]), r.kind.chains.Length()})
		}
	}
	if r.Fair.wantsSalt() {
		if salt := r.kind.chains.Salt(); salt != "" {
			owe(factSalt, saltFact{r.Fair.Next.Chain, salt, sourceServer})
		}
	}
	if r.openOwed() {
		owe(factOpen, openFact{r.Current.Number + 1, rules})
		duties[len(duties)-1].Takes = true
	}
	return duties
}

func (r *Room) revealOwed() revealFact {
	c := r.Fair.Current
	return revealFact{r.Current.Number, c.Chain, c.index(r.Current.Number), r.Current.Seed}
}

// openOwed: the room runs, the round before has been shown for long enough and
// its seed is in the log, and there is a salted chain to go on with.
func (r *Room) openOwed() bool {
	return r.Mode == stateRunning && (r.Phase == phaseIdle || r.Ready) &&
		!r.Fair.Owed && r.Fair.ready(r.Current.Number)
}

// Fact implements game.Room.
func (r *Room) Fact(at game.At, kind string, data []byte, fx *game.Effects) error {
	var err error
	switch kind {
	case factCommit:
		err = r.commit(data, fx)
	case factSalt:
		err = r.salt(data, fx)
	case factOpen:
		err = r.opened(at, data, fx)
	case factReveal:
		err = r.revealed(data)
	default:
		err = game.ErrUnknown
	}
	if err != nil {
		return fmt.Errorf("crash: room %s, round %d: fact %q: %w", r.ID, r.Current.Number, kind, err)
	}
	return nil
}

func (r *Room) commit(data []byte, fx *game.Effects) error {
	var f commitFact
	if err := json.Unmarshal(data, &f); err != nil {
		return err
	}
	if chain, wanted := r.Fair.wantsCommit(r.Current.Number); !wanted || f.Chain != chain {
		return nil
	}
	if !validHash(f.Commitment) || f.Rounds == 0 {
		return fmt.Errorf("malformed commitment %q of %d rounds", f.Commitment, f.Rounds)
	}
	r.Fair.Next = &chainState{Chain: f.Chain, Rounds: f.Rounds, Commitment: f.Commitment}
	fx.Event(commitEvent{E: "commit", Chain: f.Chain, Commitment: f.Commitment})
	return nil
}

func (r *Room) salt(data []byte, fx *game.Effects) error {
	var f saltFact
	if err := json.Unmarshal(data, &f); err != nil {
		return err
	}
	if !r.Fair.wantsSalt() || f.Chain != r.Fair.Next.Chain {
		return nil
	}
	if !validSalt(f.Salt) || f.Source != sourceServer {
		return fmt.Errorf("malformed salt")
	}
	r.setSalt(f.Salt, f.Source, fx)
	return nil
}

func (r *Room) opened(at game.At, data []byte, fx *game.Effects) error {
	var f openFact
	if err := json.Unmarshal(data, &f); err != nil {
		return err
	}
	if !r.openOwed() || f.Round != r.Current.Number+1 {
		return nil
	}
	if err := knowsRules(f.Rules); err != nil {
		return err
	}
	r.open(at, f.Rules, fx)
	return nil
}

func knowsRules(version int) error {
	if version < 1 || version > RulesVersion {
		return fmt.Errorf("rules version %d: %w", version, game.ErrUnknown)
	}
	return nil
}

// revealed checks the seed that the log gives for the round that ended last. The
// fold has used its own, which was checked against the chain at the takeoff; so
// any other is false, and without its own the fold went wrong already.
func (r *Room) revealed(data []byte) error {
	var f revealFact
	if err := json.Unmarshal(data, &f); err != nil {
		return err
	}
	if f.Round != r.Current.Number {
		return nil
	}
	if r.blind() || r.Fair.Owed && r.Current.Seed == "" {
		return fmt.Errorf("the round was folded without its seed, which this process does not know")
	}
	if !r.Fair.Owed {
		return nil
	}
	if f != r.revealOwed() {
		return fmt.Errorf("a false seed: the log reveals chain %d, index %d as %s", f.Chain, f.Index, f.Seed)
	}
	r.Fair.Owed = false
	return nil
}

// validHash reports whether s is 32 bytes in lower-case hex.
func validHash(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == len(Seed{}) && hex.EncodeToString(b) == s
}
