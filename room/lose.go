package room

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"tickcast/room/game"
	"tickcast/wire"
)

// lose is what follows from the owner's word that the log lost its tail. What was in it
// never happened, but players have seen it: perhaps the end of the round that is under
// way, and with it the seed. So that round is void, and positions of before lead nowhere.
func (p *Partition) lose(at game.At) {
	p.lost, p.lostAt, p.out.Lost = p.last.Seq, at.Wall, true
	name := p.lost
	if p.versions[wire.Records] >= 3 { // the log may lose this record as well, and the next one take its place
		name = uint64(p.last.Time)
	}
	for _, id := range slices.Sorted(maps.Keys(p.rooms)) {
		r := p.rooms[id]
		if r.hidden {
			continue
		}
		// A room without a round under way refuses.
		_ = r.game.Action(at, wire.Action{Op: wire.ActionVoid}, &p.fx)
		p.collect(at, r)
		r.lost, r.log = name, logName(r.uuid, p.cfg.Created, name)
		r.ring = updateRing{}
		p.out.Messages = append(p.out.Messages, r.message(p, wire.OutMeta, at.Now, nil))
	}
}

// orphans cancels stakes that the ledger booked for records of the lost tail.
func (p *Partition) orphans(at game.At, data []byte) error {
	var o wire.Orphans
	if err := json.Unmarshal(data, &o); err != nil {
		return fmt.Errorf("orphans: %w", err)
	}
	p.out.Orphans = true
	asked := at.Wall
	if p.versions[wire.Records] >= 3 { // whoever does not know whether it is in the log says it twice, and asks for the same
		asked = p.lostAt
	}
	for _, s := range o.Stakes {
		p.book(wire.Booking{
			ID: orphanPrefix + s.ID, Kind: wire.BookCancel, Partition: p.cfg.ID, Room: s.Room, At: asked,
			Player: s.Player, Amount: s.Amount, Stake: s.ID, Reason: "the log lost the bet",
		})
	}
	return nil
}

// orphanPrefix names the cancellation of an orphan.
const orphanPrefix = "lost/"
