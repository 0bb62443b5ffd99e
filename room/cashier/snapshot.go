package cashier

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"tickcast/room/game"
	"tickcast/wire"
)

// stored is a cashier as it is snapshotted, its lists sorted by player.
type stored struct {
	ID        string          `json:"id"`
	Partition int             `json:"partition"`
	Refills   []*refill       `json:"refills"`
	Sanctions []wire.Sanction `json:"sanctions"`
}

var errSnapshot = errors.New("not a snapshot of a cashier")

// Snapshot implements game.Room.
func (r *room) Snapshot() []byte {
	return game.Encode(stored{ID: r.id, Partition: r.partition, Refills: r.refills.list(), Sanctions: r.sanctions.list()})
}

// Restore implements game.Kind. What it accepts, Snapshot gives back byte for
// byte.
func (Kind) Restore(snapshot []byte) (game.Room, error) {
	var s stored
	if err := json.Unmarshal(snapshot, &s); err != nil {
		return nil, fmt.Errorf("restore cashier: %w", err)
	}
	for _, f := range s.Refills {
		if f == nil || len(f.Waiting) == 0 || len(f.Waiting) > maxWaiting {
			return nil, fmt.Errorf("restore cashier: %w", errSnapshot)
		}
	}
	r := &room{
		id: s.ID, partition: s.Partition,
		refills: newRefills(s.Refills), sanctions: newSanctions(s.Sanctions),
	}
	if !bytes.Equal(r.Snapshot(), snapshot) {
		return nil, fmt.Errorf("restore cashier: %w", errSnapshot)
	}
	return r, nil
}
