//go:build unix

package loadtest

import "syscall"

// openFileLimit is how many files this process may open. The Go runtime has
// raised the soft limit to the hard one already.
func openFileLimit() (uint64, bool) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, false
	}
	return uint64(l.Cur), true
}
