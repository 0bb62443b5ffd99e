package bus

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"tickcast/wire"
)

const (
	// partitionsKey is the key of BucketSystem that holds the number of
	// partitions in decimal.
	partitionsKey = "partitions"
	// chatLines bounds the stored chat of a room; joins show the last 100.
	chatLines = 1000
	// sessionsAge is how long session events wait for the archive.
	sessionsAge = 7 * 24 * time.Hour
	// attemptTimeout bounds one try to make the streams, or one look at them. The
	// servers of a cluster never answer some requests: which they get while they elect
	// a leader, or for a stream that another room server asks for at the same time.
	attemptTimeout = 5 * time.Second
	// attemptPause lies between tries.
	attemptPause = 200 * time.Millisecond
	// ensureConcurrency is enough to hide the round trips of a replicated
	// deployment without flooding its meta leader.
	ensureConcurrency = 8
)

// ErrNotReady is returned by StoredPartitions before the first EnsureStreams.
var ErrNotReady = errors.New("bus: no room server has made the streams yet")

// Layout is what is fixed when the streams of a deployment are made.
type Layout struct {
	Partitions int // 0 means what is stored, or else wire.DefaultPartitions; 1 to wire.MaxPartitions; never changes
	Replicas   int // 0 means 1, or what is there; may be raised later, not lowered; 1, 3 or 5
}

// EnsureStreams makes the streams and buckets that are missing and brings the
// others to the settings that this version needs; limits that an operator set
// besides stay. It is idempotent and may run in several room servers at once. Until ctx
// ends it waits for servers that do not answer or are too few yet. nc must be of
// RoleRoom.
func EnsureStreams(ctx context.Context, nc *nats.Conn, l Layout) error {
	if l.Partitions < 0 || l.Partitions > wire.MaxPartitions {
		return fmt.Errorf("ensure streams: %d partitions, must be 1 to %d", l.Partitions, wire.MaxPartitions)
	}
	if l.Replicas < 0 || l.Replicas > 5 {
		return fmt.Errorf("ensure streams: %d replicas, must be 1 to 5", l.Replicas)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("ensure streams: %w", err)
	}
	for {
		e := ensurer{js: js, layout: l}
		err := e.ensure(ctx)
		if err == nil {
			return nil
		}
		err = fmt.Errorf("ensure streams: %w", err)
		if !isPassing(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(attemptPause):
		}
	}
}

// isPassing reports whether a cluster that is well would not have given the error.
func isPassing(err error) bool {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return api.Code == 503 || api.ErrorCode == codeNoPeers
	}
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) || errors.Is(err, nats.ErrNoResponders) ||
		errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, jetstream.ErrKeyNotFound) // by a replica that is behind
}

// codeNoPeers: fewer servers are there than replicas are asked for.
const codeNoPeers jetstream.ErrorCode = 10005

// StoredPartitions is the number of partitions of the deployment, for every role.
// It is ErrNotReady until a room server has made the streams.
func StoredPartitions(ctx context.Context, nc *nats.Conn) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	js, err := jetstream.New(nc)
	if err != nil {
		return 0, fmt.Errorf("read number of partitions: %w", err)
	}
	kv, err := js.KeyValue(ctx, wire.BucketSystem)
	if errors.Is(err, jetstream.ErrBucketNotFound) || errors.Is(err, jetstream.ErrNoStreamResponse) || errors.Is(err, nats.ErrNoResponders) {
		return 0, ErrNotReady
	}
	if err != nil {
		return 0, fmt.Errorf("read number of partitions: %w", err)
	}
	n, err := readPartitions(ctx, kv)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return 0, ErrNotReady
	}
	return n, err
}

type ensurer struct {
	js     jetstream.JetStream
	layout Layout
}

// ensure is one try.
func (e *ensurer) ensure(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	if err := e.fixPartitions(ctx); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(ensureConcurrency)
	for _, s := range e.streams() {
		g.Go(func() error { return e.stream(ctx, s) })
	}
	for _, b := range []string{wire.BucketRooms, wire.BucketSanctions} {
		g.Go(func() error { _, err := e.bucket(ctx, b); return err })
	}
	for _, b := range []string{wire.BucketCheckpoint, wire.BucketArchive} {
		g.Go(func() error { return e.objects(ctx, b) })
	}
	return g.Wait()
}

// fixPartitions stores the number of partitions, or checks it against the stored
// one: with another number rooms would be looked for in the wrong partition.
func (e *ensurer) fixPartitions(ctx context.Context) error {
	kv, err := e.bucket(ctx, wire.BucketSystem)
	if err != nil {
		return err
	}
	wanted := e.layout.Partitions
	e.layout.Partitions = cmp.Or(wanted, wire.DefaultPartitions)
	_, err = kv.Create(ctx, partitionsKey, []byte(strconv.Itoa(e.layout.Partitions)))
	if err == nil {
		return nil
	}
	if !errors.Is(err, jetstream.ErrKeyExists) {
		return fmt.Errorf("store number of partitions: %w", err)
	}
	stored, err := readPartitions(ctx, kv)
	if err != nil {
		return err
	}
	e.layout.Partitions = stored
	if wanted != 0 && wanted != stored {
		return fmt.Errorf("this deployment was made with %d partitions and cannot run with %d: the number never changes", stored, wanted)
	}
	return nil
}

func readPartitions(ctx context.Context, kv jetstream.KeyValue) (int, error) {
	entry, err := kv.Get(ctx, partitionsKey)
	if err != nil {
		return 0, fmt.Errorf("read number of partitions: %w", err)
	}
	n, err := strconv.Atoi(string(entry.Value()))
	if err != nil || n < 1 || n > wire.MaxPartitions {
		return 0, fmt.Errorf("read number of partitions: stored value %q is not a number from 1 to %d", entry.Value(), wire.MaxPartitions)
	}
	return n, nil
}

// streams are the settings that this version needs.
func (e ensurer) streams() []jetstream.StreamConfig {
	var list []jetstream.StreamConfig
	for p := range e.layout.Partitions {
		list = append(list, jetstream.StreamConfig{
			Name:               wire.PartitionStream(p),
			Description:        "log of partition " + strconv.Itoa(p),
			Subjects:           wire.PartitionSubjects(p),
			Discard:            jetstream.DiscardNew,
			Duplicates:         wire.DedupeWindow,
			AllowDirect:        true,
			AllowAtomicPublish: true,
			DenyDelete:         true,
			RePublish:          &jetstream.RePublish{Source: ">", Destination: wire.FeedSubject(p)},
		})
	}
	return append(list,
		jetstream.StreamConfig{
			Name: wire.StreamLedger, Description: "bookings for the ledger", Subjects: []string{"ldg.*"},
			Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardNew, Duplicates: wire.DedupeWindow,
		},
		jetstream.StreamConfig{
			Name: wire.StreamChat, Description: "chat lines", Subjects: []string{"chat.*"},
			MaxMsgsPerSubject: chatLines, AllowDirect: true, Duplicates: wire.DedupeWindow,
			RePublish: &jetstream.RePublish{Source: ">", Destination: "chatout.>"},
		},
		jetstream.StreamConfig{
			Name: wire.StreamSessions, Description: "logins and sessions", Subjects: []string{"ses.*"},
			MaxAge: sessionsAge, Duplicates: wire.DedupeWindow,
		},
	)
}

// stream makes a stream, or brings the settings that matter to what they must be.
func (e ensurer) stream(ctx context.Context, want jetstream.StreamConfig) error {
	s, err := e.js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		want.Replicas = max(1, e.layout.Replicas)
		if _, err = e.js.CreateStream(ctx, want); err == nil {
			return nil
		}
		if !errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			return fmt.Errorf("create stream %s: %w", want.Name, err)
		}
		s, err = e.js.Stream(ctx, want.Name) // another room server was faster
	}
	if err != nil {
		return fmt.Errorf("look up stream %s: %w", want.Name, err)
	}
	have := s.CachedInfo().Config
	replicas, err := e.replicas(want.Name, have.Replicas)
	if err != nil {
		return err
	}
	next := have
	next.Subjects, next.Retention, next.Discard = want.Subjects, want.Retention, want.Discard
	next.MaxMsgsPerSubject, next.MaxAge, next.Duplicates = limit(want.MaxMsgsPerSubject), want.MaxAge, want.Duplicates
	next.AllowDirect, next.AllowAtomicPublish, next.DenyDelete = want.AllowDirect, want.AllowAtomicPublish, want.DenyDelete
	next.RePublish, next.Replicas = want.RePublish, replicas
	if reflect.DeepEqual(next, have) {
		return nil
	}
	if _, err := e.js.UpdateStream(ctx, next); err != nil {
		return fmt.Errorf("update stream %s: %w", want.Name, err)
	}
	return nil
}

// limit writes "no limit" as the server does.
func limit(n int64) int64 {
	if n == 0 {
		return -1
	}
	return n
}

// replicas is the number of replicas that a stream shall have, by what it has.
func (e ensurer) replicas(name string, have int) (int, error) {
	if want := e.layout.Replicas; want != 0 {
		if want < have {
			return 0, fmt.Errorf("stream %s has %d replicas and is not reduced to %d: that gives up copies; do it by hand if it is meant", name, have, want)
		}
		return want, nil
	}
	return have, nil
}

func (e ensurer) bucket(ctx context.Context, name string) (jetstream.KeyValue, error) {
	kv, err := e.js.KeyValue(ctx, name)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		kv, err = e.js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: name, Replicas: max(1, e.layout.Replicas)})
		if err == nil {
			return kv, nil
		}
		if errors.Is(err, jetstream.ErrBucketExists) {
			kv, err = e.js.KeyValue(ctx, name)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("make bucket %s: %w", name, err)
	}
	return kv, e.raise(ctx, "KV_"+name)
}

func (e ensurer) objects(ctx context.Context, name string) error {
	_, err := e.js.ObjectStore(ctx, name)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		_, err = e.js.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{Bucket: name, Replicas: max(1, e.layout.Replicas)})
		if err == nil {
			return nil
		}
		if errors.Is(err, jetstream.ErrBucketExists) {
			_, err = e.js.ObjectStore(ctx, name)
		}
	}
	if err != nil {
		return fmt.Errorf("make object store %s: %w", name, err)
	}
	return e.raise(ctx, "OBJ_"+name)
}

// raise gives the stream of an existing bucket the replicas of the layout.
func (e ensurer) raise(ctx context.Context, name string) error {
	if e.layout.Replicas == 0 {
		return nil
	}
	s, err := e.js.Stream(ctx, name)
	if err != nil {
		return fmt.Errorf("look up stream %s: %w", name, err)
	}
	config := s.CachedInfo().Config
	replicas, err := e.replicas(name, config.Replicas)
	if err != nil || replicas == config.Replicas {
		return err
	}
	config.Replicas = replicas
	if _, err := e.js.UpdateStream(ctx, config); err != nil {
		return fmt.Errorf("update stream %s: %w", name, err)
	}
	return nil
}
