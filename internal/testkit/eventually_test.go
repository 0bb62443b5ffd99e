package testkit

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// recorder is a test that can fail without failing this one.
type recorder struct {
	testing.TB
	failure string
}

func (*recorder) Helper() {}

func (r *recorder) Fatalf(format string, args ...any) {
	r.failure = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func TestEventually(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		Eventually(t, "a second passes", 2*time.Second, func() bool { return time.Since(start) >= time.Second })
		if took := time.Since(start); took != time.Second {
			t.Errorf("returned after %v", took)
		}
	})
}

func TestEventuallyFailsAtTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		r := &recorder{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			Eventually(r, "never", 3*time.Second, func() bool { return false })
		}()
		<-done
		if took := time.Since(start); took != 3*time.Second || !strings.Contains(r.failure, "never: not within 3s") {
			t.Errorf("after %v: %q", took, r.failure)
		}
	})
}
