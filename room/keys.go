package room

import (
	"encoding/json"
	"maps"

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
}

// keyTable knows the commands of a room by player and key: it makes a repeated
// command take effect once and gives it the same answer.
type keyTable struct {
	entries map[game.Ref]*keyEntry
	filed   []*keyEntry          // of entries, in log order
	newest  map[string]*keyEntry // of keyless operations: the newest by player
	counts  map[string]int       // keyed commands by player in round
	round   uint64
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
	t.entries[e.Ref] = e
	t.filed = append(t.filed, e)
	t.evict()
	return true
}

// fileKeyless keeps a command whose operation is idempotent by itself in place of
// the player's one before.
func (t *keyTable) fileKeyless(e *keyEntry) {
	t.enter(e.Round)
	t.newest[e.Ref.Player] = e
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
}

func (t *keyTable) expired(e *keyEntry, kept int) bool {
	if t.round == 0 {
		return kept > maxRoundlessKeys
	}
	return e.Round+wire.KeptRounds < t.round
}
