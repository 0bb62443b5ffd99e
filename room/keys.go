package room

import (
	"encoding/json"
	"maps"
	"slices"

	"tickcast/room/game"
	"tickcast/wire"
)

const (
	// maxCommandsPerRound bounds the keyed commands of one player in one round,
	// which are kept for wire.KeptRounds rounds. A round of the flagship game needs
	// at most six; the rest is room for changes of mind.
	maxCommandsPerRound = 64
	// maxRoundlessKeys bounds the keys kept by a room without rounds (the cashier),
	// oldest dropped first. Its operations are idempotent in the ledger for ever.
	maxRoundlessKeys = 4096
)

// keyEntry is what a room knows of one command.
type keyEntry struct {
	Ref     game.Ref
	Body    [8]byte
	Round   uint64          // newest round when the command was folded
	Gateway string          // where the answer goes; while pending
	Answer  json.RawMessage // a whole client message; nil while pending

	place uint64 // of a filed entry: how many were filed before it
	age   uint64 // of the table when the entry was made
}

// keyTable knows the commands of a room by player and key: it makes a repeated
// command take effect once and gives it the same answer.
type keyTable struct {
	entries map[game.Ref]*keyEntry
	filed   []*keyEntry          // of entries, in log order
	dropped uint64               // entries that were filed before filed[0]
	newest  map[string]*keyEntry // of keyless operations: the newest by player
	counts  map[string]int       // keyed commands by player in round
	round   uint64
	age     uint64 // how often it was frozen
}

func newKeyTable() *keyTable {
	return &keyTable{entries: map[game.Ref]*keyEntry{}, newest: map[string]*keyEntry{}, counts: map[string]int{}}
}

func (t *keyTable) find(ref game.Ref) *keyEntry {
	if e := t.entries[ref]; e != nil {
		return e
	}
	if e := t.newest[ref.Player]; e != nil && e.Ref.Key == ref.Key {
		return e
	}
	return nil
}

// file keeps a new command. It reports false, and keeps nothing, when the player
// has used up his keys of this round.
func (t *keyTable) file(e *keyEntry) bool {
	t.enter(e.Round)
	if e.Round > 0 && t.counts[e.Ref.Player] >= maxCommandsPerRound {
		return false
	}
	t.counts[e.Ref.Player]++
	e.age, e.place = t.age, t.dropped+uint64(len(t.filed))
	t.entries[e.Ref] = e
	t.filed = append(t.filed, e)
	t.evict()
	return true
}

// fileKeyless keeps a command whose operation is idempotent by itself in place of
// the player's one before.
func (t *keyTable) fileKeyless(e *keyEntry) {
	t.enter(e.Round)
	e.age = t.age
	t.newest[e.Ref.Player] = e
}

// change returns an entry of the table to be changed: itself, or a copy in its place
// when it was frozen.
func (t *keyTable) change(e *keyEntry) *keyEntry {
	if e.age == t.age {
		return e
	}
	c := *e
	c.age = t.age
	if t.entries[e.Ref] == e {
		t.entries[e.Ref], t.filed[e.place-t.dropped] = &c, &c
	} else {
		t.newest[e.Ref.Player] = &c
	}
	return &c
}

// frozenKeys are the entries of a keyTable at one moment. They do not change.
type frozenKeys struct{ filed, newest []*keyEntry }

// freeze costs a copy of the pointers. Entries are copied when they change.
func (t *keyTable) freeze() frozenKeys {
	t.age++
	return frozenKeys{slices.Clone(t.filed), slices.Collect(maps.Values(t.newest))}
}

// enter begins a round, unless it has begun.
func (t *keyTable) enter(round uint64) {
	if round <= t.round {
		return
	}
	t.round = round
	clear(t.counts)
	maps.DeleteFunc(t.newest, func(_ string, e *keyEntry) bool { return e.Round+wire.KeptRounds < round })
}

func (t *keyTable) evict() {
	n := 0
	for n < len(t.filed) && t.expired(t.filed[n], len(t.filed)-n) {
		delete(t.entries, t.filed[n].Ref)
		n++
	}
	clear(t.filed[:n])
	t.filed = t.filed[n:]
	t.dropped += uint64(n)
}

func (t *keyTable) expired(e *keyEntry, kept int) bool {
	if t.round == 0 {
		return kept > maxRoundlessKeys
	}
	return e.Round+wire.KeptRounds < t.round
}
