package loadtest

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// monotonic reads a clock that never jumps, and that all processes of a machine
// share.
func monotonic() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic("loadtest: read the monotonic clock: " + err.Error())
	}
	return time.Duration(t.Nano())
}

// clockID names the clock: processes with the same one read the same clock. It is
// empty when that is not known.
func clockID() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	// A time namespace shifts the clock for the processes in it.
	shift, err := os.ReadFile("/proc/self/timens_offsets")
	if err != nil && !os.IsNotExist(err) {
		return ""
	}
	return strings.Join(strings.Fields(string(boot)+" "+string(shift)), " ")
}
