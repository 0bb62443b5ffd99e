package crash

import (
	"encoding/hex"

	"tickcast/room/game"
	"tickcast/wire"
)

const (
	// commitAhead is how many rounds before the end of a chain the next one is
	// committed to: time for an operator to give it a salt.
	commitAhead = 100
	// minSaltBytes keeps an operator from choosing a salt that could be tried out
	// in advance; maxSaltBytes bounds the record.
	minSaltBytes   = 16
	maxSaltBytes   = 128
	maxSourceBytes = 64
	sourceServer   = "server"   // salt_source of a salt that the room server drew
	sourceOperator = "operator" // default salt_source of a salt that an operator gave
)

// chainState is what is public of a seed chain. Its seeds become public one by
// one, as rounds end.
type chainState struct {
	Chain      uint32 `json:"chain"`
	Rounds     uint64 `json:"rounds"`          // how many seeds it has
	First      uint64 `json:"first,omitempty"` // the round of index 1; 0 while it has not begun
	Commitment string `json:"commitment"`      // hex
	Salt       string `json:"salt,omitempty"`
	Source     string `json:"source,omitempty"` // who gave the salt
	Last       string `json:"last,omitempty"`   // the last revealed seed, hex
}

// index is a round's place in the chain, from 1.
func (c *chainState) index(round uint64) uint64 { return round - c.First + 1 }

// before is what the next revealed seed must hash to.
func (c *chainState) before() string {
	if c.Last != "" {
		return c.Last
	}
	return c.Commitment
}

// fairness is the public part of a room's seeds: the chain in use and, near its
// end or before the first round, the one that was committed to in advance.
type fairness struct {
	Current *chainState `json:"current"`
	Next    *chainState `json:"next"`
	// Owed: the seed of the current round is public, but its reveal is not in the
	// log yet.
	Owed bool `json:"owed"`
}

// viewed is the chain that clients are told about.
func (f *fairness) viewed() chainState {
	switch {
	case f.Current != nil:
		return *f.Current
	case f.Next != nil:
		return *f.Next
	}
	return chainState{}
}

// left is how many rounds the current chain has behind the given round.
func (f *fairness) left(round uint64) uint64 {
	if f.Current == nil {
		return 0
	}
	return f.Current.Rounds - f.Current.index(round)
}

// ready reports whether the round behind the given one has a salted chain.
func (f *fairness) ready(round uint64) bool {
	return f.left(round) > 0 || f.Next != nil && f.Next.Salt != ""
}

// begin gives a round its place in a chain, and moves on to the next chain when
// the current one is used up.
func (f *fairness) begin(round uint64) {
	if f.left(round-1) == 0 {
		f.Current, f.Next = f.Next, nil
		f.Current.First = round
	}
}

// wantsCommit reports whether a commitment is owed after the given round, and for
// which chain.
func (f *fairness) wantsCommit(round uint64) (chain uint32, wanted bool) {
	switch {
	case f.Next != nil:
		return 0, false
	case f.Current == nil:
		return 0, true
	}
	return f.Current.Chain + 1, f.left(round) <= commitAhead
}

func (f *fairness) wantsSalt() bool { return f.Next != nil && f.Next.Salt == "" }

// saltRefusal says why an operator cannot salt a chain now: there must be one that
// is committed to and has not begun, and an operator's salt is final.
func (f *fairness) saltRefusal() *wire.Error {
	switch {
	case f.Next == nil:
		return wire.Errorf(wire.CodeBadSettings, "salt is for a chain that is committed to and has not begun; there is none now")
	case f.Next.Salt != "" && f.Next.Source != sourceServer:
		return wire.Errorf(wire.CodeBadSettings, "salt of chain %d was given already", f.Next.Chain)
	}
	return nil
}

func (r *Room) setSalt(salt, source string, fx *game.Effects) {
	c := r.Fair.Next
	c.Salt, c.Source = salt, source
	fx.Event(saltEvent{E: "salt", Chain: c.Chain, Salt: salt, Source: source})
}

// seed is the seed of the current round, if this process knows it and it fits the
// seed before.
func (r *Room) seed() (Seed, bool) {
	c := r.Fair.Current
	raw, ok := r.kind.chains.Seed(r.UUID, c.Chain, c.index(r.Current.Number))
	seed := Seed(raw)
	before := seed.Before()
	if !ok || hex.EncodeToString(before[:]) != c.before() {
		return Seed{}, false
	}
	return seed, true
}

// reveal makes the seed of the current round public, once it has ended.
func (r *Room) reveal(seed Seed, known bool) {
	r.Fair.Owed = true
	if known {
		r.Current.Seed = hex.EncodeToString(seed[:])
		r.Fair.Current.Last = r.Current.Seed
	}
}

// Informed reports whether this process knows the secret of the room's chains: a
// replica with a room that is not informed is no candidate for ownership. It may
// cost as many hashes as a chain has rounds.
func (r *Room) Informed() bool {
	for _, c := range []*chainState{r.Fair.Current, r.Fair.Next} {
		if c == nil {
			continue
		}
		commitment, ok := r.kind.chains.Commitment(r.UUID, c.Chain)
		if !ok || hex.EncodeToString(commitment[:]) != c.Commitment {
			return false
		}
	}
	return true
}

func validSalt(s string) bool {
	if len(s) < minSaltBytes || len(s) > maxSaltBytes {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
