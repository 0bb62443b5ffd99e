package room

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/room/game"
	"tickcast/wire"
)

// CheckpointStore is a place for one checkpoint of each partition. What it returns may be
// damaged or of another log: the caller checks. Both methods may be called concurrently, by
// owners who do not know of one another; the bytes are not kept after PutCheckpoint returns.
type CheckpointStore interface {
	// GetCheckpoint returns nil and revision 0 when there is none. The revision is told
	// with an error too, if only the snapshot cannot be read; it may be an older one's.
	GetCheckpoint(ctx context.Context, partition int) (snapshot []byte, revision uint64, err error)
	// PutCheckpoint puts c in the place of the revision that it replaces, which was read before
	// the call. When another one is there, that stays, and there is an error. Any other error leaves
	// open whether c is there, or will be.
	PutCheckpoint(ctx context.Context, c Checkpoint) error
}

// Checkpoint is a snapshot on its way to a CheckpointStore.
type Checkpoint struct {
	Partition int
	Seq       uint64 // last record
	Snapshot  []byte
	Replaces  uint64 // revision, 0 for none
}

// checkpointChunk is how long the messages are of which an object consists. NATS takes 1 MiB.
const checkpointChunk = 512 << 10

// checkpoints is a CheckpointStore in the log's own storage, which survives the loss of
// Redis: an object of a bucket. There are two, slot 0 and 1, which owners overwrite in turn.
type checkpoints struct {
	js   jetstream.JetStream
	slot int
}

// GetCheckpoint implements CheckpointStore.
func (c checkpoints) GetCheckpoint(ctx context.Context, partition int) ([]byte, uint64, error) {
	stream, err := c.stream(ctx)
	if err != nil {
		return nil, 0, err
	}
	meta, err := stream.GetLastMsgForSubject(ctx, c.metaSubject(partition))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	bucket, err := c.js.ObjectStore(ctx, wire.BucketCheckpoint)
	if err != nil {
		return nil, meta.Sequence, fmt.Errorf("open bucket %s: %w", wire.BucketCheckpoint, err)
	}
	b, err := bucket.GetBytes(ctx, c.name(partition))
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		err = nil // it was deleted
	}
	return b, meta.Sequence, err
}

// PutCheckpoint implements CheckpointStore. The library writes objects without a condition,
// so they are written here: chunks first, then the message that describes them (NATS ADR-20).
//
// Chunks without a description are left by who dies in between, or never hears whether his
// was stored. The next object of the name clears away all that was written before it: whoever wrote
// that had seen a revision that is no more, so a description that is still on its way is refused.
func (c checkpoints) PutCheckpoint(ctx context.Context, next Checkpoint) error {
	stream, err := c.stream(ctx)
	if err != nil {
		return err
	}
	drop := func(object jetstream.ObjectInfo) { // its chunks only take room
		if object.NUID != "" {
			_ = stream.Purge(ctx, jetstream.WithPurgeSubject(chunkSubject(object.NUID)))
		}
	}
	var old jetstream.ObjectInfo
	if next.Replaces > 0 {
		if m, err := stream.GetMsg(ctx, next.Replaces); err == nil {
			_ = json.Unmarshal(m.Data, &old)
		}
	}
	written, first, err := c.write(ctx, next)
	if err != nil {
		drop(written)
		return fmt.Errorf("write checkpoint of partition %d: %w", next.Partition, err)
	}
	if err := c.describe(ctx, written, next); err != nil {
		if isCode(err, codeWrongLastSequence) { // else it may be stored
			drop(written)
		}
		return fmt.Errorf("write checkpoint of partition %d: %w", next.Partition, err)
	}
	drop(old) // of an older version, it is not under the name
	if first > 1 {
		_ = stream.Purge(ctx, jetstream.WithPurgeSubject(chunkSubject(c.name(next.Partition)+".*")), jetstream.WithPurgeSequence(first))
	}
	return nil
}

// write writes the chunks of an object and returns the sequence of the first. What was written
// is told with an error, too.
func (c checkpoints) write(ctx context.Context, next Checkpoint) (info jetstream.ObjectInfo, first uint64, err error) {
	name := c.name(next.Partition)
	info = jetstream.ObjectInfo{
		ObjectMeta: jetstream.ObjectMeta{Name: name, Opts: &jetstream.ObjectMetaOptions{ChunkSize: checkpointChunk}},
		Bucket:     wire.BucketCheckpoint, NUID: name + "." + rand.Text(), Size: uint64(len(next.Snapshot)),
	}
	sum := sha256.New()
	for chunk := range slices.Chunk(next.Snapshot, checkpointChunk) {
		ack, err := c.js.Publish(ctx, chunkSubject(info.NUID), chunk)
		if err != nil {
			return info, first, err
		}
		if info.Chunks == 0 {
			first = ack.Sequence
		}
		sum.Write(chunk)
		info.Chunks++
	}
	info.Digest = jetstream.GetObjectDigestValue(sum)
	return info, first, nil
}

// describe makes an object the one of its name, in the place of what it replaces.
func (c checkpoints) describe(ctx context.Context, info jetstream.ObjectInfo, next Checkpoint) error {
	m := nats.NewMsg(c.metaSubject(next.Partition))
	m.Data = game.Encode(info)
	m.Header.Set(jetstream.MsgRollup, jetstream.MsgRollupSubject)
	m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(next.Replaces, 10))
	_, err := c.js.PublishMsg(ctx, m, jetstream.WithRetryAttempts(0)) // a refusal of the second would say nothing of the first
	return err
}

func (c checkpoints) stream(ctx context.Context) (jetstream.Stream, error) {
	stream, err := c.js.Stream(ctx, "OBJ_"+wire.BucketCheckpoint)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", wire.BucketCheckpoint, err)
	}
	return stream, nil
}

// name is the object's: p3 and p3-b. Versions with one checkpoint have it in p3.
func (c checkpoints) name(partition int) string {
	if c.slot == 0 {
		return "p" + strconv.Itoa(partition)
	}
	return "p" + strconv.Itoa(partition) + "-b"
}

// metaSubject is of the message that describes the object.
func (c checkpoints) metaSubject(partition int) string {
	return "$O." + wire.BucketCheckpoint + ".M." + base64.URLEncoding.EncodeToString([]byte(c.name(partition)))
}

func chunkSubject(nuid string) string { return "$O." + wire.BucketCheckpoint + ".C." + nuid }
