//go:build !linux

package loadtest

import "time"

// processStart is where this process's clock begins.
var processStart = time.Now()

// monotonic reads a clock that never jumps.
func monotonic() time.Duration { return time.Since(processStart) }

// clockID is empty: processes do not share the clock.
func clockID() string { return "" }
