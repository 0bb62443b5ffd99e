//go:build !unix

package app

// openFileLimit is not known on this system.
func openFileLimit() (limit int, known bool) { return 0, false }

// syncDirectory does nothing: this system writes names by itself.
func syncDirectory(string) error { return nil }
