package testkit

import (
	"testing"
	"time"
)

// pollInterval is short against what a person notices and long against a cheap
// condition, so that polling does not starve what it waits for on a small machine.
const pollInterval = 5 * time.Millisecond

// Eventually waits until ok returns true and fails the test when it has not
// within the deadline. Why says what is waited for. The condition is called from
// the caller's goroutine, once more at the deadline, and may call t.Fatal.
func Eventually(t testing.TB, why string, within time.Duration, ok func() bool) {
	t.Helper()
	if ok() {
		return
	}
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	for {
		select {
		case <-poll.C:
			if ok() {
				return
			}
		case <-deadline.C:
			if ok() {
				return
			}
			t.Fatalf("%s: not within %v", why, within)
		}
	}
}
