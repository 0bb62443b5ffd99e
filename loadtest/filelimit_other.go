//go:build !unix

package loadtest

// openFileLimit is not known on this system.
func openFileLimit() (uint64, bool) { return 0, false }
