package room

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tickcast/bus"
	"tickcast/internal/testkit"
)

func slotsOf(js jetstream.JetStream) []CheckpointStore {
	return []CheckpointStore{checkpoints{js, 0}, checkpoints{js, 1}}
}

// overwrite puts a snapshot in the place of whatever is there.
func overwrite(t testing.TB, store CheckpointStore, partition int, snapshot []byte) {
	t.Helper()
	_, revision, _ := store.GetCheckpoint(t.Context(), partition) // which may be damaged
	if err := store.PutCheckpoint(t.Context(), Checkpoint{Partition: partition, Snapshot: snapshot, Replaces: revision}); err != nil {
		t.Fatal(err)
	}
}

// stalled is a CheckpointStore of an owner that is stopped when it has decided to write.
type stalled struct {
	CheckpointStore
	stuck, wake chan struct{}
}

func (s stalled) PutCheckpoint(ctx context.Context, c Checkpoint) error {
	close(s.stuck)
	<-s.wake
	return s.CheckpointStore.PutCheckpoint(ctx, c)
}

// TestDeposedOwnersThatWakeSpoilNoCheckpoint: two owners were stopped before they would have
// overwritten the older checkpoint, which was another one each time. Meanwhile the log may
// have been trimmed behind those that the next owner wrote there.
func TestDeposedOwnersThatWakeSpoilNoCheckpoint(t *testing.T) {
	t.Parallel()
	s := newStageWithoutLedger(t, 4) // the rig's partition is the last
	js, err := jetstream.New(s.connect(bus.RoleRoom))
	if err != nil {
		t.Fatal(err)
	}
	r, slots := newRig(t), slotsOf(js)
	r.create("derby", "race", fastRace)
	snapshot := func() savedState {
		r.run(time.Second)
		return savedState{seq: r.p.Last().Seq, state: r.p.freeze(), fits: func(Place) error { return nil }}
	}
	save := func(k *keeper, taken savedState) error {
		return k.checkpoint(t.Context(), r.cfg.ID, taken, seal(taken.state.encode()))
	}
	owner := newKeeper(nil, slots, testkit.Logger(t))
	next := func() {
		t.Helper()
		if err := save(owner, snapshot()); err != nil {
			t.Fatal(err)
		}
	}
	next()
	next()
	wake, woken := make(chan struct{}), make(chan error, 2)
	for range 2 {
		stuck, taken := make(chan struct{}), snapshot()
		deposed := newKeeper(nil, []CheckpointStore{stalled{slots[0], stuck, wake}, stalled{slots[1], stuck, wake}}, testkit.Logger(t))
		go func() { woken <- save(deposed, taken) }()
		<-stuck
		next() // in the place that it has chosen
	}
	next()
	close(wake)
	for range 2 {
		if err := <-woken; err == nil {
			t.Error("a deposed owner has written")
		}
	}
	last := snapshot()
	for i, slot := range slots {
		sealed, _, err := slot.GetCheckpoint(t.Context(), r.cfg.ID)
		if err != nil {
			t.Fatal(err)
		}
		if end, err := last.verify(sealed); err != nil || end < owner.spared(r.cfg.ID) {
			t.Errorf("checkpoint %d ends with record %d (%v), and the log was trimmed up to record %d", i, end, err, owner.spared(r.cfg.ID))
		}
	}
	bucket, err := js.Stream(t.Context(), "OBJ_ckpt")
	if err != nil {
		t.Fatal(err)
	}
	if n := bucket.CachedInfo().State.NumSubjects; n != 4 {
		t.Errorf("there are the messages of %d subjects, want those of two checkpoints and their chunks", n)
	}
}
