package room

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"tickcast/internal/testkit"
)

// TestALogIsOpenedAgain has a replica meet a log that cannot be asked, or not be read to its end, and then can.
func TestALogIsOpenedAgain(t *testing.T) {
	for _, c := range []struct {
		why   string
		first func(*darkLog)
		err   string
	}{
		{"it cannot be asked", func(l *darkLog) { l.dark = true }, "no answer"},
		{"it cannot be read to its end", func(l *darkLog) { l.end = uint64(len(l.records) - 3) }, "the log was read up to record"},
	} {
		t.Run(c.why, func(t *testing.T) {
			r := newDarkRig(t)
			want := r.replica.part.Snapshot()
			r.replica = NewReplica(r.replica.cfg)
			c.first(r.stored)
			if err := r.replica.Open(t.Context(), r.stored, unheard{}); err == nil || !strings.Contains(err.Error(), c.err) {
				t.Fatalf("opened with %v, want %q", err, c.err)
			}
			r.stored.dark, r.stored.end = false, 0
			if err := r.replica.Open(t.Context(), r.stored, unheard{}); err != nil {
				t.Fatal(err)
			}
			if got := r.replica.part.Snapshot(); !bytes.Equal(got, want) {
				t.Errorf("the state is not that of the log: %d bytes, want %d", len(got), len(want))
			}
			if r.replica.Halted() != nil || len(r.replica.tail.known) > 0 {
				t.Errorf("halted %v, %d lost records", r.replica.Halted(), len(r.replica.tail.known))
			}
			r.store("", nil)
			if last := r.replica.part.Last().Seq; last != uint64(len(r.stored.records)) {
				t.Errorf("it follows the log to record %d of %d", last, len(r.stored.records))
			}
		})
	}
}

// warned is a slog.Handler that tells of the first warning with a text.
type warned struct {
	slog.Handler
	text string
	once func()
}

func (w warned) Handle(ctx context.Context, r slog.Record) error {
	if r.Level == slog.LevelWarn && r.Message == w.text {
		w.once()
	}
	return w.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler for the loggers of replicas.
func (w warned) WithAttrs(attrs []slog.Attr) slog.Handler {
	w.Handler = w.Handler.WithAttrs(attrs)
	return w
}

// TestAHostWaitsForALogThatStandsStill starts a host while the server of its log is stopped for longer than a
// request may take.
func TestAHostWaitsForALogThatStandsStill(t *testing.T) {
	s := newStage(t, 1)
	s.host("one", true).stop()
	standing := make(chan struct{})
	s.configure = func(c *HostConfig) {
		c.Log = slog.New(warned{testkit.Logger(t).Handler(), "a log cannot be read now, and is tried again", sync.OnceFunc(func() { close(standing) })})
		s.bus.Suspend()
	}
	two := s.host("two", true)
	select {
	case <-standing:
	case <-time.After(patience):
		t.Error("the host did not ask its log in vain")
	}
	s.bus.Resume()
	select {
	case <-two.Ready():
	case <-time.After(patience):
		t.Fatal("the host is not ready")
	}
	testkit.Eventually(t, "it owns the partition", patience, func() bool { return two.owned() == 1 })
}
