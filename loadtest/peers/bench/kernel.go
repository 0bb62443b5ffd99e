package bench

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cpuOf is the CPU time of a process so far, all threads, user and system.
func cpuOf(pid int) (time.Duration, error) {
	const scheduled = 2 // CPUCLOCK_SCHED of linux/posix-timers.h: the scheduler's sum, in ns
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid)<<3|scheduled, &t); err != nil {
		return 0, fmt.Errorf("read CPU time of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// rssOf is the resident set of a process in bytes. It is exact: the figures of /proc/PID/status are sums that
// each core holds back a part of.
func rssOf(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	return parseRSS(string(b))
}

// filesOf is how many files a process has open, its sockets among them.
func filesOf(pid int) (int, error) {
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(list), err
}

func parseRSS(rollup string) (int64, error) {
	for line := range strings.Lines(rollup) {
		words := strings.Fields(line)
		if len(words) != 3 || words[0] != "Rss:" || words[2] != "kB" {
			continue
		}
		kb, err := strconv.ParseInt(words[1], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read resident set: %w", err)
		}
		return kb << 10, nil
	}
	return 0, fmt.Errorf("read resident set: no line Rss in %q", rollup)
}
