//go:build !unix

package app

// openFileLimit is not known on this system.
func openFileLimit() (limit int, known bool) { return 0, false }
