package audit

import (
	"context"

	"github.com/nats-io/nats.go"

	"tickcast/archive"
	"tickcast/bus"
)

// Streams is the Source of a running deployment: its streams, and its archive for what was
// trimmed from them. Its connection needs the permissions of bus.RoleAuditor.
type Streams struct {
	*archive.Reader
	nc *nats.Conn
}

// NewStreams reads by a connection, which the caller closes, and from the given stores of
// the archive.
func NewStreams(nc *nats.Conn, stores ...archive.Store) (*Streams, error) {
	r, err := archive.NewReader(nc, stores...)
	if err != nil {
		return nil, err
	}
	return &Streams{r, nc}, nil
}

// Partitions implements Source.
func (s *Streams) Partitions(ctx context.Context) (int, error) {
	return bus.StoredPartitions(ctx, s.nc)
}
