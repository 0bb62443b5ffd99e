//go:build unix

package app

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// openFileLimit is how many files this process may open; the runtime has raised
// it as far as it may.
func openFileLimit() (limit int, known bool) {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 0, false
	}
	return int(min(uint64(l.Cur), 1<<30)), true
}

// syncDirectory writes the names in a directory to the disk.
func syncDirectory(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
