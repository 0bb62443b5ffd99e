package room

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"tickcast/room/game"
)

// SnapshotStore keeps the newest snapshot of each partition. Put replaces an older
// snapshot, never a newer one; Get returns nil without an error when there is none.
// What it returns may be old, damaged or of another log: the caller checks. Both
// may be called concurrently; the bytes are not kept after Put returns.
type SnapshotStore interface {
	PutSnapshot(ctx context.Context, partition int, seq uint64, snapshot []byte) error
	GetSnapshot(ctx context.Context, partition int) ([]byte, error)
}

// snapshotDeleter is implemented by stores that keep the newest snapshot by its
// sequence: one that does not fit the log would stand in the way of those that do.
type snapshotDeleter interface {
	DeleteSnapshot(ctx context.Context, partition int) error
}

// errUnfit is for snapshots that cannot be used at any time, unlike one that could
// not be read.
var errUnfit = errors.New("the snapshot does not fit")

// errLost is one of them.
var errLost = fmt.Errorf("%w: the log lost its tail, or is another one", errUnfit)

// saveTimeout bounds the writing of all snapshots that wait and the reading of
// checkpoints, at the end too.
const saveTimeout = 10 * time.Second

// keeper saves the snapshots of a host's partitions in the background and finds
// the best one at the start.
type keeper struct {
	hot  SnapshotStore     // Redis; nil without one
	cold []CheckpointStore // overwritten in turn
	log  *slog.Logger

	mu      sync.Mutex // guards waiting, spare
	waiting map[int]savedState
	spare   map[int]uint64 // by partition, the last record of the older of two verified checkpoints
	wake    chan struct{}  // capacity 1
}

type savedState struct {
	seq   uint64
	state *frozen
	fits  func(Place) error // whether the log has a record that a snapshot names
	cold  bool              // to the cold stores too
}

func newKeeper(hot SnapshotStore, cold []CheckpointStore, log *slog.Logger) *keeper {
	return &keeper{
		hot: hot, cold: cold, log: log, waiting: map[int]savedState{}, spare: map[int]uint64{}, wake: make(chan struct{}, 1),
	}
}

// spared is up to which record a log may be trimmed so that two checkpoints remain to
// start from; 0 when there are not two.
func (k *keeper) spared(partition int) uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.spare[partition]
}

// save hands a snapshot over and never blocks; a waiting older one is dropped.
func (k *keeper) save(partition int, s savedState) {
	k.mu.Lock()
	defer k.mu.Unlock()
	s.cold = s.cold || k.waiting[partition].cold
	k.waiting[partition] = s
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

func (k *keeper) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			k.flush(context.WithoutCancel(ctx))
			return
		case <-k.wake:
			k.flush(context.WithoutCancel(ctx))
		}
	}
}

// flush writes what waits. A snapshot that cannot be written is not tried again:
// the next one is newer.
func (k *keeper) flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, saveTimeout)
	defer cancel()
	k.mu.Lock()
	waiting := k.waiting
	k.waiting = map[int]savedState{}
	k.mu.Unlock()
	for p, s := range waiting {
		sealed := seal(s.state.encode())
		if k.hot != nil {
			if err := k.hot.PutSnapshot(ctx, p, s.seq, sealed); err != nil {
				k.log.Warn("snapshot was not saved to Redis", "partition", p, "err", err)
			}
		}
		if s.cold {
			if err := k.checkpoint(ctx, p, s, sealed); err != nil {
				k.log.Warn("checkpoint was not saved", "partition", p, "err", err)
			}
		}
	}
}

// restore returns the partition of the newest snapshot that belongs to the log, or
// the state before the first record. missing is what a snapshot knows that the log
// perhaps had and has not any more. An error tells that there may be a newer
// snapshot, which could not be read; game.ErrUnknown, that newer versions are needed to.
func (k *keeper) restore(ctx context.Context, cfg PartitionConfig, log Log) (best *Partition, missing []witness, unread error) {
	best = NewPartition(cfg)
	for _, from := range k.sources() {
		p, err := restoreFrom(ctx, cfg, log, from.get)
		switch {
		case err != nil:
			if errors.Is(err, game.ErrUnknown) { // others can use it; the replica says that it stopped
				unread = err
				continue
			}
			if errors.Is(err, errLost) {
				missing = append(missing, p.witness())
			}
			k.log.Warn("snapshot not used", "store", from.name, "partition", cfg.ID, "err", err)
			if !errors.Is(err, errUnfit) {
				unread = err
			} else if from.forget != nil {
				_ = from.forget(ctx, cfg.ID) // it only costs the next snapshots their place
			}
		case p != nil && p.last.Seq > best.last.Seq:
			best = p
		}
	}
	return best, missing, unread
}

// source is where a snapshot may be.
type source struct {
	name   string
	get    func(ctx context.Context, partition int) ([]byte, error)
	forget func(ctx context.Context, partition int) error // nil: what does not fit is in nobody's way
}

func (k *keeper) sources() (list []source) {
	if k.hot != nil {
		s := source{name: "redis", get: k.hot.GetSnapshot}
		if d, ok := k.hot.(snapshotDeleter); ok {
			s.forget = d.DeleteSnapshot
		}
		list = append(list, s)
	}
	for i, store := range k.cold {
		list = append(list, source{name: fmt.Sprint("checkpoint ", i), get: func(ctx context.Context, partition int) ([]byte, error) {
			b, _, err := store.GetCheckpoint(ctx, partition)
			return b, err
		}})
	}
	return list
}

// restoreFrom returns the snapshot also with the error that the log does not have its last
// record.
func restoreFrom(ctx context.Context, cfg PartitionConfig, log Log, get func(context.Context, int) ([]byte, error)) (*Partition, error) {
	sealed, err := get(ctx, cfg.ID)
	if err != nil || sealed == nil {
		return nil, err
	}
	b, err := unseal(sealed)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnfit, err)
	}
	p, err := RestorePartition(cfg, b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnfit, err)
	}
	return p, has(log, p.last)
}

// has is errUnfit when the log does not have a record that was folded, any more or
// ever. Whatever node answers for the record may be behind, so that the leader is asked
// before the record is called lost.
func has(log Log, folded Place) error {
	rec, err := log.At(folded.Seq)
	switch {
	case err != nil:
		return err
	case rec != nil && rec.place() != folded:
		return fmt.Errorf("%w: it has another record %d than the snapshot", errLost, folded.Seq)
	case rec != nil:
		return nil
	}
	last, err := log.Last()
	switch {
	case err != nil:
		return err
	case last < folded.Seq:
		return fmt.Errorf("%w: it ends with record %d, and the snapshot with record %d", errLost, last, folded.Seq)
	}
	err = log.Read(folded.Seq, folded.Seq, func(Record) error { return nil })
	if errors.Is(err, ErrTrimmed) {
		return fmt.Errorf("%w: the log was trimmed beyond record %d, the last of it", errUnfit, folded.Seq)
	}
	return fmt.Errorf("record %d of the log, the last of the snapshot, could not be read", folded.Seq)
}
