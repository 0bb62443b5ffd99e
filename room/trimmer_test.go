package room

import (
	"context"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"tickcast/archive"
)

// unansweredLog is the Purger of a log whose next purges have no answer, whether they are done or not.
type unansweredLog struct {
	first      uint64
	unanswered int
	done       bool
}

func (l *unansweredLog) First(context.Context, int) (uint64, error) { return l.first, nil }

func (l *unansweredLog) Purge(_ context.Context, _ int, below uint64) error {
	if l.unanswered > 0 {
		l.unanswered--
		if l.done {
			l.first = below
		}
		return context.DeadlineExceeded
	}
	l.first = below
	return nil
}

// TestTrimmedRecordsAreCounted once each, whether the log told at once that they are gone, or later.
func TestTrimmedRecordsAreCounted(t *testing.T) {
	for _, done := range []bool{false, true} {
		for unanswered := range 3 {
			l := &unansweredLog{first: 1, unanswered: unanswered, done: done}
			tr := NewTrimmer(l, make([]*archive.Writer, 1))
			for i, below := range []uint64{100, 250, 250, 400, 400} {
				if err := tr.purge(t.Context(), 0, below); (err != nil) != (i < unanswered) {
					t.Errorf("%d purges unanswered, purge %d: %v", unanswered, i, err)
				}
			}
			if got := testutil.ToFloat64(tr.metrics.trimmed); got != 399 || l.first != 400 {
				t.Errorf("%d purges unanswered, done %t: %v records counted, the log begins with %d", unanswered, done, got, l.first)
			}
		}
	}
}
