package sim

import (
	"tickcast/room/race"
	"tickcast/wire"
)

// checkRaces: each race that was finished is archived with the points that players were
// told, and none has more than he tapped. A lost tail may take taps with it.
func (w *world) checkRaces() {
	points, over := map[heat]map[string]int64{}, map[heat]bool{}
	for _, b := range w.history.bookings {
		if b.lost || b.Booking.Round == nil || b.Booking.Round.Game != race.Name {
			continue
		}
		h := heat{b.Room, b.Booking.Round.Round}
		switch b.Kind {
		case wire.BookRound:
			over[h] = !b.Booking.Round.Voided
		case wire.BookScores:
			if points[h] == nil {
				points[h] = map[string]int64{}
			}
			for _, s := range b.Scores {
				points[h][s.Player] += s.Points
			}
		}
	}
	for _, p := range w.players {
		for h, told := range p.scored {
			if over[h] && points[h][p.name] < told && w.truth.lostTails == 0 {
				w.fail("%s was told of %d points in round %d of %s, and has %d", p.name, told, h.round, h.room, points[h][p.name])
			}
		}
		for h := range over {
			if got := points[h][p.name]; got > p.taps[h] {
				w.fail("%s has %d points in round %d of %s, and tapped %d times", p.name, got, h.round, h.room, p.taps[h])
			}
		}
	}
}
