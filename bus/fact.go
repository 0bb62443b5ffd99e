package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/wire"
)

// Fact reads what was remembered of the deployment under a key, or "" when
// nothing was. EnsureStreams has made the bucket.
func Fact(ctx context.Context, nc *nats.Conn, key string) (string, error) {
	kv, err := systemBucket(ctx, nc)
	if err != nil {
		return "", fmt.Errorf("read fact %s: %w", key, err)
	}
	entry, err := kv.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read fact %s: %w", key, err)
	}
	return string(entry.Value()), nil
}

// SetFact remembers a fact of the deployment. nc must be of RoleRoom.
func SetFact(ctx context.Context, nc *nats.Conn, key, value string) error {
	kv, err := systemBucket(ctx, nc)
	if err == nil {
		_, err = kv.PutString(ctx, key, value)
	}
	if err != nil {
		return fmt.Errorf("remember fact %s: %w", key, err)
	}
	return nil
}

func systemBucket(ctx context.Context, nc *nats.Conn) (jetstream.KeyValue, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	return js.KeyValue(ctx, wire.BucketSystem)
}
