package sim

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"tickcast/room"
	"tickcast/room/cashier"
	"tickcast/room/game"
	"tickcast/wire"
)

// newestRecords is the newest version of the records, and oldRecords that of the build that
// some servers of a mixed world are of.
const newestRecords, oldRecords = 3, 1

// folds are the newest versions that a server can fold.
func (s *server) folds() wire.Versions {
	v := wire.Versions{wire.Records: newestRecords, cashier.Kind{}.Name(): cashier.Kind{}.Rules()}
	if s.old {
		v[wire.Records] = oldRecords
	}
	for _, k := range s.rules.kinds {
		v[k.Name()] = k.Rules()
	}
	return v
}

// agreed are what all servers can fold that were heard lately; one that is stopped counts.
func (s *server) agreed() wire.Versions {
	v := s.folds()
	for _, o := range s.w.servers {
		if o.replica != nil || o.died != 0 && s.w.now-o.died < int64(3*time.Second) {
			v = v.Least(o.folds())
		}
	}
	return v
}

// beyond has an old server meet versions that no build knows where the log puts newer ones
// into force than its own.
func (s *server) beyond(rec room.Record) room.Record {
	if !s.old || rec.Kind != wire.KindOwner || !bytes.Contains(rec.Data, []byte(wire.OwnerVersions)) {
		return rec
	}
	var evt wire.OwnerRecord
	var v wire.Versions
	if json.Unmarshal(rec.Data, &evt) != nil || evt.Kind != wire.OwnerVersions || json.Unmarshal(evt.Data, &v) != nil {
		return rec
	}
	if v[wire.Records] > oldRecords {
		v[wire.Records] = 1000
		evt.Data = encode(v)
		rec.Data = encode(evt)
	}
	return rec
}

// oldStore is where an old server finds snapshots, of which it cannot use all.
type oldStore struct {
	room.SnapshotStore
}

var errNewer = fmt.Errorf("a snapshot of newer versions: %w", game.ErrUnknown)

// GetSnapshot implements room.SnapshotStore.
func (o oldStore) GetSnapshot(ctx context.Context, p int) ([]byte, error) {
	b, err := o.SnapshotStore.GetSnapshot(ctx, p)
	if err == nil && isNewer(b) {
		return nil, errNewer
	}
	return b, err
}

// isNewer tells of a sealed snapshot that an old server cannot use.
func isNewer(sealed []byte) bool {
	var header struct{ Versions wire.Versions }
	return len(sealed) > sha256.Size && json.Unmarshal(sealed[sha256.Size:], &header) == nil && header.Versions[wire.Records] > oldRecords
}

// oldCheckpoints is where an old server finds checkpoints.
type oldCheckpoints struct {
	room.CheckpointStore
}

// GetCheckpoint implements room.CheckpointStore.
func (o oldCheckpoints) GetCheckpoint(ctx context.Context, p int) ([]byte, uint64, error) {
	b, revision, err := o.CheckpointStore.GetCheckpoint(ctx, p)
	if err == nil && isNewer(b) {
		return nil, revision, errNewer
	}
	return b, revision, err
}

// checkpoints are where a server finds checkpoints.
func (s *server) checkpoints() []room.CheckpointStore {
	var list []room.CheckpointStore
	for _, b := range s.w.buckets {
		if s.old {
			list = append(list, oldCheckpoints{b})
		} else {
			list = append(list, b)
		}
	}
	return list
}

// store is where a server finds snapshots.
func (s *server) store(o room.SnapshotStore) room.SnapshotStore {
	if s.old {
		return oldStore{o}
	}
	return o
}

// deploy has a server leave, and come back as another version.
func (n *nemesis) deploy(s *server) {
	if !n.w.cfg.mixed || s.replica == nil || n.w.now < s.stopped {
		return
	}
	if n.w.chance(0.7) {
		s.leave()
	} else {
		s.kill()
	}
	n.w.after(drainWithin, func() {
		if s.replica == nil {
			s.old = !s.old && !n.ended
			s.start()
		}
	})
}

// tooOld reports whether a server stopped because it is of an old version.
func (s *server) tooOld() bool { return s.old && errors.Is(s.replica.Halted(), game.ErrUnknown) }

// inForce is the version of the records that the owner has in force; 0 without an owner.
func (sc *scene) inForce() int {
	if s := sc.owner(); s != nil {
		return s.replica.Status().Versions[wire.Records]
	}
	return 0
}

// twoVersions replaces a server by an old one, by a newer one, and by an old one again,
// which meets what it does not know until the others have gone back.
func twoVersions(sc *scene) {
	s := sc.servers[sc.rnd.IntN(len(sc.servers))]
	deploy := func(old bool) {
		s.kill()
		sc.run(sc.between(100*time.Millisecond, time.Second))
		s.old = old
		s.start()
		sc.until(s.name+" has started", time.Minute, func() bool { return s.replica != nil })
	}
	deploy(true)
	sc.run(30 * time.Second)
	sc.awaitOwner()
	if v := sc.inForce(); sc.broken == nil && v != oldRecords {
		sc.fail("version %d is in force, and a server knows %d", v, oldRecords)
	}
	deploy(false)
	sc.until("newer versions are in force", time.Minute, func() bool { return sc.inForce() == newestRecords })
	deploy(true)
	if sc.broken != nil {
		return
	}
	if !s.tooOld() {
		sc.fail("an old server goes on: %v", s.replica.Halted())
	}
	sc.until("an old server can go on", 3*time.Minute, func() bool { return sc.inForce() == oldRecords && s.replica.Halted() == nil })
	for range 2 { // it may be the next owner
		sc.killOwner()
		sc.wantRoundsGoOn()
	}
	for _, s := range sc.servers {
		if s.old {
			deploy(false)
		}
	}
}
