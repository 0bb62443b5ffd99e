package race

import (
	"encoding/json"
	"fmt"

	"tickcast/room/game"
	"tickcast/wire"
)

// outcome is the archived result of a round.
type outcome struct {
	Players int          `json:"players"`
	Winner  *wire.Score  `json:"winner"`
	Top     []wire.Score `json:"top"`
}

// bookRound archives the round. A voided round has no result.
func (r *room) bookRound(at game.At, voided bool, fx *game.Effects) {
	o := outcome{Top: []wire.Score{}}
	if !voided {
		o = outcome{Players: len(r.board.racers), Winner: r.board.winner(), Top: r.board.best()}
	}
	b := r.booking(at, wire.BookRound, fmt.Sprintf("round/%s/%d", r.UUID, r.state.Round))
	b.Round = r.record(at, game.Encode(o))
	b.Round.Voided = voided
	fx.Book(b)
}

// bookScores archives everybody's points, the best first, in bookings small
// enough for a message.
func (r *room) bookScores(at game.At, fx *game.Effects) {
	all := r.board.ranking()
	for chunk := 0; len(all) > 0; chunk++ {
		part := all[:min(len(all), wire.MaxScores)]
		all = all[len(part):]
		b := r.booking(at, wire.BookScores, fmt.Sprintf("scores/%s/%d/%d", r.UUID, r.state.Round, chunk))
		b.Round = r.record(at, nil)
		b.Scores = make([]wire.Score, 0, len(part))
		for _, racer := range part {
			b.Scores = append(b.Scores, racer.Score)
		}
		fx.Book(b)
	}
}

func (r *room) booking(at game.At, kind wire.BookingKind, id string) wire.Booking {
	return wire.Booking{ID: id, Kind: kind, Partition: r.Partition, Room: r.ID, At: at.Wall}
}

func (r *room) record(at game.At, outcome json.RawMessage) *wire.RoundRecord {
	return &wire.RoundRecord{
		RoomUUID: r.UUID, Game: Name, Round: r.state.Round,
		Started: r.Began, Ended: at.Wall, Outcome: outcome,
	}
}
