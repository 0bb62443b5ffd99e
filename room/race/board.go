package race

import (
	"cmp"
	"slices"

	"tickcast/wire"
)

// topRacers is how many racers everybody is shown.
const topRacers = 10

// racer is a player who has tapped in this round.
type racer struct {
	wire.Score
	// Reached numbers the changes of the board: of two racers with the same points,
	// the one who reached them first is ahead.
	Reached uint64 `json:"reached"`
	listed  bool   // in board.top
}

func (r *racer) compare(o *racer) int {
	return cmp.Or(cmp.Compare(o.Points, r.Points), cmp.Compare(r.Reached, o.Reached))
}

// board is the racers of one round with their ranking. Points only grow, so the
// top of the ranking is kept up to date by looking at the top alone: whoever is
// outside of it can only enter with a tap of his own.
type board struct {
	racers   []*racer // in the order of their first tap
	byPlayer map[string]*racer
	top      []*racer // the best first, at most topRacers
	changes  uint64   // of any racer's points in this round
}

// newBoard is a board of racers of a snapshot, in their order; nil for an empty
// board. It returns nil if no board can have such racers.
func newBoard(racers []*racer) *board {
	b := &board{racers: racers, byPlayer: make(map[string]*racer, len(racers))}
	reached := make(map[uint64]bool, len(racers))
	for _, r := range racers {
		if r == nil || !wire.ValidPlayer(r.Player) || b.byPlayer[r.Player] != nil ||
			r.Points < 1 || r.Points > maxTaps || r.Reached < 1 || reached[r.Reached] {
			return nil
		}
		b.byPlayer[r.Player], reached[r.Reached] = r, true
		b.changes = max(b.changes, r.Reached)
	}
	b.top = b.ranking()
	b.top = slices.Clone(b.top[:min(len(b.top), topRacers)])
	for _, r := range b.top {
		r.listed = true
	}
	return b
}

// tap sets a player's number of taps unless it is higher already. It returns his
// points and whether what everybody is shown has changed.
func (b *board) tap(player, name string, n int64) (points int64, changed bool) {
	r := b.byPlayer[player]
	if r == nil {
		r = &racer{Score: wire.Score{Player: player, Name: name}}
		b.byPlayer[player] = r
		b.racers = append(b.racers, r)
		changed = true
	}
	if n <= r.Points {
		return r.Points, false
	}
	b.changes++
	r.Points, r.Reached = n, b.changes
	return n, b.rise(r) || changed
}

// rise puts a racer whose points grew into his place of the top, if he has one.
func (b *board) rise(r *racer) bool {
	if !r.listed && !b.enlist(r) {
		return false
	}
	i := slices.Index(b.top, r)
	for ; i > 0 && r.Points > b.top[i-1].Points; i-- {
		b.top[i] = b.top[i-1]
	}
	b.top[i] = r
	return true
}

// enlist gives a racer the last place of the top if he deserves one.
func (b *board) enlist(r *racer) bool {
	if len(b.top) < topRacers {
		b.top = append(b.top, r)
	} else {
		last := b.top[topRacers-1]
		if r.Points <= last.Points {
			return false
		}
		last.listed = false
		b.top[topRacers-1] = r
	}
	r.listed = true
	return true
}

// best is the top of the ranking for messages; empty, never nil.
func (b *board) best() []wire.Score {
	out := make([]wire.Score, 0, topRacers)
	for _, r := range b.top {
		out = append(out, r.Score)
	}
	return out
}

// winner is the best racer, or nil.
func (b *board) winner() *wire.Score {
	if len(b.top) == 0 {
		return nil
	}
	w := b.top[0].Score
	return &w
}

// ranking is all racers, the best first. It sorts, so it is for the end of a
// round.
func (b *board) ranking() []*racer {
	all := slices.Clone(b.racers)
	slices.SortFunc(all, (*racer).compare)
	return all
}
