package judge

const (
	keptRounds     = 20   // for how many rounds a key is kept at least
	keysPerRound   = 64   // keyed commands of one player in one round
	keptWithoutEnd = 4096 // keys of a room without rounds
)

// keyTable knows which commands have been seen. A key is forgotten when another command
// is filed more than keptRounds rounds later.
type keyTable struct {
	filed  map[keyID]keyed
	order  []keyID          // of filed, oldest first
	newest map[string]keyed // of keyless operations, by player
	counts map[string]int   // filed in round, by player
	round  uint64
}

type keyID struct{ player, key string }

type keyed struct {
	key   string
	round uint64
}

func newKeyTable() *keyTable {
	return &keyTable{filed: map[keyID]keyed{}, newest: map[string]keyed{}, counts: map[string]int{}}
}

func (t *keyTable) knows(id keyID) bool {
	if _, ok := t.filed[id]; ok {
		return true
	}
	k, ok := t.newest[id.player]
	return ok && k.key == id.key
}

// file reports false when the player has used up the keys of the round.
func (t *keyTable) file(id keyID, round uint64) bool {
	t.enter(round)
	if round > 0 && t.counts[id.player] >= keysPerRound {
		return false
	}
	t.counts[id.player]++
	t.filed[id] = keyed{id.key, round}
	t.order = append(t.order, id)
	for len(t.order) > 0 && t.expired(t.filed[t.order[0]]) {
		delete(t.filed, t.order[0])
		t.order = t.order[1:]
	}
	return true
}

// fileKeyless replaces the player's one before.
func (t *keyTable) fileKeyless(id keyID, round uint64) {
	t.enter(round)
	t.newest[id.player] = keyed{id.key, round}
}

func (t *keyTable) enter(round uint64) {
	if round <= t.round {
		return
	}
	t.round = round
	clear(t.counts)
	for player, k := range t.newest {
		if k.round+keptRounds < round {
			delete(t.newest, player)
		}
	}
}

func (t *keyTable) expired(k keyed) bool {
	if t.round == 0 {
		return len(t.order) > keptWithoutEnd
	}
	return k.round+keptRounds < t.round
}
