package room

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"tickcast/wire"
)

// A log that takes none of the owner's records is told of after ten seconds, and every
// ten seconds; one that takes any is not.
func TestAnOwnerTellsThatTheLogTakesNothing(t *testing.T) {
	var said bytes.Buffer
	now := time.Unix(1_700_000_000, 0)
	r := NewReplica(ReplicaConfig{Now: func() time.Time { return now }, Log: slog.New(slog.NewTextHandler(&said, nil))})
	r.appender = newAppender(nil)
	settle := func(after time.Duration, err error) {
		now = now.Add(after)
		r.Settled(wire.OwnerRecord{Kind: wire.OwnerTick}, 1, err)
	}
	refused := errors.New("no leader")
	for i, step := range []struct {
		after time.Duration
		err   error
		told  int
	}{
		{0, refused, 0},
		{9 * time.Second, refused, 0},
		{time.Second, refused, 1},
		{9 * time.Second, refused, 1},
		{time.Second, refused, 2},
		{9 * time.Second, nil, 2},
		{time.Hour, refused, 2},
		{9 * time.Second, refused, 2},
	} {
		settle(step.after, step.err)
		if told := strings.Count(said.String(), "takes no records"); told != step.told {
			t.Errorf("step %d: told %d times, want %d\n%s", i, told, step.told, &said)
		}
	}
}
