package judge

import (
	"encoding/json"
	"maps"
	"slices"

	"tickcast/wire"
)

// OrphanPrefix begins the ID of the cancellation of a stake that the log lost.
const OrphanPrefix = "lost/"

// Orphan reports whether a stake, by the ID of its booking, is one of those in the room
// that the log lost and whose cancellation it asks for.
func (rd *Round) Orphan(stake string) bool { return rd.room != nil && rd.room.orphans[stake] }

// lose voids what is under way, as the owner says that the log lost its tail.
func (l *Log) lose() {
	l.notes.Lost.add(l.at.seq)
	for _, id := range slices.Sorted(maps.Keys(l.rooms)) {
		r := l.rooms[id]
		r.game.act(l.at, &wire.Action{Op: wire.ActionVoid})
		l.touch(r)
	}
}

// orphans asks for the cancellation of stakes that the ledger booked for the lost tail.
func (l *Log) orphans(data []byte) error {
	var o wire.Orphans
	if err := json.Unmarshal(data, &o); err != nil {
		return l.differs("orphans", "a list of stakes", err.Error())
	}
	for _, s := range o.Stakes {
		if r := l.rooms[s.Room]; r != nil {
			r.orphans[s.ID] = true
		}
		l.stray(s.Player)
		l.ask(&Booking{
			ID: OrphanPrefix + s.ID, Kind: wire.BookCancel, Room: s.Room, Player: s.Player, Amount: s.Amount, Stake: s.ID,
			Reason: "the log lost the bet",
		})
	}
	return nil
}
