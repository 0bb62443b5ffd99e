package peer

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestSweeper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var sweeps, left atomic.Int64
		s, done := NewSweeper(), make(chan struct{})
		go func() {
			defer close(done)
			s.Run(ctx, time.Second, func(time.Time) bool { sweeps.Add(1); return left.Add(-1) > 0 })
		}()
		after := func(why string, d time.Duration, want int64) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			if n := sweeps.Load(); n != want {
				t.Fatalf("%s: %d sweeps, want %d", why, n, want)
			}
		}
		after("nothing to look after", time.Minute, 0)
		left.Store(3)
		s.Begin()
		after("just begun", time.Second-1, 0)
		after("a second", 1, 1)
		after("while something is left", time.Minute, 3)
		left.Store(1)
		s.Begin()
		s.Begin()
		after("begun twice", time.Minute, 5) // the second may have come behind the last sweep
		cancel()
		<-done

		ctx, cancel = context.WithCancel(t.Context())
		s.Begin()
		time.AfterFunc(5*time.Second, cancel)
		s.Run(ctx, time.Second, func(time.Time) bool { return true })
	})
}
