package room

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

var errCheckpointLost = errors.New("what was written is not what can be read")

// checkpoint writes a snapshot over the older of the cold ones, or over one that is of no
// use, and reads it back. Before it counts, the log is trimmed no further than the older
// one reaches. A deposed owner that wakes overwrites nothing that others have written meanwhile.
func (k *keeper) checkpoint(ctx context.Context, partition int, s savedState, sealed []byte) error {
	ends := make([]uint64, len(k.cold)) // last record of each, 0 for one of no use
	revisions := make([]uint64, len(k.cold))
	target := 0
	for i, store := range k.cold {
		sealed, revision, err := store.GetCheckpoint(ctx, partition)
		revisions[i] = revision
		end := uint64(0)
		if err == nil {
			end, err = s.verify(sealed)
		}
		if err != nil {
			k.log.Debug("a checkpoint is of no use", "partition", partition, "number", i, "err", err)
		}
		if ends[i] = end; end < ends[target] {
			target = i
		}
	}
	if ends[target] >= s.seq {
		return nil // others have gone on
	}
	next := Checkpoint{Partition: partition, Seq: s.seq, Snapshot: sealed, Replaces: revisions[target]}
	if err := k.cold[target].PutCheckpoint(ctx, next); err != nil {
		return err
	}
	back, _, err := k.cold[target].GetCheckpoint(ctx, partition)
	if err != nil {
		return fmt.Errorf("read back: %w", err)
	}
	if !bytes.Equal(back, sealed) {
		return errCheckpointLost
	}
	ends[target] = s.seq
	k.mu.Lock()
	defer k.mu.Unlock()
	k.spare[partition] = 0
	if len(ends) > 1 {
		k.spare[partition] = min(ends[0], ends[1])
	}
	return nil
}

// verify returns the last record of a stored snapshot that could be restored where this
// one was taken, 0 for none.
func (s *savedState) verify(sealed []byte) (uint64, error) {
	if sealed == nil {
		return 0, nil
	}
	b, err := unseal(sealed)
	if err != nil {
		return 0, err
	}
	var stored struct {
		Version   int   `json:"v"`
		Partition int   `json:"partition"`
		Created   int64 `json:"created"`
		Last      Place `json:"last"`
	}
	if err := json.Unmarshal(b, &stored); err != nil {
		return 0, err
	}
	if own := &s.state.saved; stored.Version != own.Version || stored.Partition != own.Partition || stored.Created != own.Created {
		return 0, fmt.Errorf("%w: it is of another log or format", errUnfit)
	}
	if err := s.fits(stored.Last); err != nil {
		return 0, err
	}
	return stored.Last.Seq, nil
}
