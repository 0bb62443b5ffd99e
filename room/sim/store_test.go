package sim

import (
	"context"
	"slices"
)

// store is Redis or the checkpoint bucket: it keeps the newest snapshot, loses it, or
// damages it.
type store struct {
	w      *world
	kept   []byte
	older  []byte // the one before
	seq    uint64
	damage string // what becomes of the next: lost, cut, flipped, old; "" for nothing
}

// PutSnapshot implements room.SnapshotStore.
func (s *store) PutSnapshot(_ context.Context, _ int, seq uint64, snapshot []byte) error {
	if seq < s.seq {
		return nil
	}
	s.w.note("snapshot", snapshot)
	s.w.truth.unsaid("a snapshot", snapshot)
	s.seq, s.older, s.kept = seq, s.kept, slices.Clone(snapshot)
	switch s.damage {
	case "lost":
		s.kept, s.seq = nil, 0
	case "old":
		s.kept = s.older
	case "cut":
		s.kept = s.kept[:len(s.kept)/2]
	case "flipped":
		s.kept[len(s.kept)/3] ^= 4
	}
	s.damage = ""
	return nil
}

// GetSnapshot implements room.SnapshotStore.
func (s *store) GetSnapshot(context.Context, int) ([]byte, error) {
	return slices.Clone(s.kept), nil
}

// DeleteSnapshot lets the next snapshot in when this one does not fit.
func (s *store) DeleteSnapshot(context.Context, int) error {
	s.flush()
	return nil
}

func (s *store) flush() { s.kept, s.older, s.seq = nil, nil, 0 }
