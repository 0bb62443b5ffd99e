package judge

import (
	"cmp"
	"slices"
)

// Unsettled lists the rounds that Settled has not been called for: those that are not
// over, wait for results, or miss their seed; by room and number.
func (l *Log) Unsettled() []*Round {
	all := slices.Clone(l.unopened)
	for _, r := range l.rooms {
		switch g := r.game.(type) {
		case *crash:
			for rd := range g.closing {
				all = append(all, rd)
			}
			all = append(all, g.current)
			if !g.abandoned { // else its bets were placed in a flight that is not judged
				all = append(all, g.next)
			}
		case *race:
			all = append(all, g.current)
		}
	}
	for _, b := range l.pending {
		if b.round != nil {
			all = append(all, b.round)
		}
	}
	all = slices.DeleteFunc(all, func(rd *Round) bool {
		return rd.Number == 0 || rd.complete()
	})
	slices.SortFunc(all, func(a, b *Round) int {
		return cmp.Or(cmp.Compare(a.Room, b.Room), cmp.Compare(a.UUID, b.UUID), cmp.Compare(a.Number, b.Number))
	})
	return slices.Compact(all)
}

// Abandoned tells from which round on rooms were not judged, by the room's UUID: the
// seed of that round is not in the log.
func (l *Log) Abandoned() map[string]uint64 {
	from := map[string]uint64{}
	for _, r := range l.rooms {
		if g, ok := r.game.(*crash); ok && g.abandoned {
			from[r.uuid] = g.current.Number
		}
	}
	return from
}

// Outstanding is how many bookings have no result in the log.
func (l *Log) Outstanding() int { return len(l.pending) }
