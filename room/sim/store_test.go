package sim

import (
	"context"
	"errors"
	"slices"
	"time"

	"tickcast/room"
)

// store is Redis, or one of the two places for checkpoints: it keeps a snapshot, loses it,
// or damages it.
type store struct {
	w      *world
	cold   bool // a place for checkpoints; else Redis, which keeps the newest
	kept   []byte
	seq    uint64
	putAt  int64
	writes uint64 // how often one was put there: its revision
	sound  bool   // it is what was put there last
	damage string // what becomes of the next: lost, cut, flipped, old; "" for nothing
	silent string // who puts the next has no answer, and it is stored, lost, or late; "" for an answer

	older      []byte // the one before
	olderSeq   uint64
	olderSound bool
}

// PutSnapshot implements room.SnapshotStore.
func (s *store) PutSnapshot(ctx context.Context, _ int, seq uint64, snapshot []byte) error {
	return s.call(ctx, func() error {
		if seq < s.seq {
			return nil
		}
		s.put(seq, snapshot)
		return nil
	})
}

// call is a call of the store. Checkpoints are where the log is, and dark with it.
func (s *store) call(ctx context.Context, f func() error) error {
	return s.w.call(ctx, func() error {
		if s.cold && s.w.now < s.w.dark {
			return errStorage
		}
		return f()
	})
}

func (s *store) put(seq uint64, snapshot []byte) {
	s.w.note("snapshot", snapshot)
	s.w.truth.unsaid("a snapshot", snapshot)
	s.older, s.olderSeq, s.olderSound = s.kept, s.seq, s.sound
	s.seq, s.kept, s.sound, s.putAt = seq, slices.Clone(snapshot), true, s.w.now
	s.writes++
	if s.damage != "" && (!s.cold || s.w.spareBeside(s)) {
		s.spoil()
	}
	s.damage = ""
}

// PutCheckpoint implements room.CheckpointStore.
func (s *store) PutCheckpoint(ctx context.Context, c room.Checkpoint) error {
	return s.call(ctx, func() error {
		silent := s.silent
		s.silent = ""
		switch silent {
		case "late":
			tails, snapshot := s.w.truth.lostTails, slices.Clone(c.Snapshot)
			s.w.after(s.w.between(time.Millisecond, 3*time.Second), func() {
				if c.Replaces == s.writes && tails == s.w.truth.lostTails {
					s.put(c.Seq, snapshot)
				}
			})
		case "lost":
		default:
			if c.Replaces != s.writes {
				return errors.New("another one is there")
			}
			s.put(c.Seq, c.Snapshot)
		}
		if silent != "" {
			return errNoAnswer
		}
		return nil
	})
}

// GetCheckpoint implements room.CheckpointStore.
func (s *store) GetCheckpoint(ctx context.Context, partition int) (b []byte, revision uint64, err error) {
	err = s.call(ctx, func() error {
		b, revision = slices.Clone(s.kept), s.writes
		return nil
	})
	return b, revision, err
}

func (s *store) spoil() {
	s.sound = false
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
}

// spareBeside reports whether a start is still possible without one of the places for
// checkpoints, and nobody is at work who found it sound: two failures at once may be one
// too many.
func (w *world) spareBeside(s *store) bool {
	saving := 0
	for _, o := range w.servers {
		if o.besides["save"] != nil {
			saving++
		}
	}
	for _, o := range w.buckets {
		if o != s && (w.log.first == 1 || o.sound && o.seq >= w.log.first) {
			return saving <= 1
		}
	}
	return false
}

// GetSnapshot implements room.SnapshotStore.
func (s *store) GetSnapshot(ctx context.Context, _ int) (b []byte, err error) {
	err = s.call(ctx, func() error {
		b = slices.Clone(s.kept)
		return nil
	})
	return b, err
}

// redis is the store that can be told to forget a snapshot.
type redis struct{ *store }

// DeleteSnapshot lets the next snapshot in when this one does not fit.
func (r redis) DeleteSnapshot(context.Context, int) error {
	r.flush()
	return nil
}

func (s *store) flush() { s.kept, s.older, s.seq = nil, nil, 0 }

var (
	_ room.SnapshotStore   = (*store)(nil)
	_ room.CheckpointStore = (*store)(nil)
)
