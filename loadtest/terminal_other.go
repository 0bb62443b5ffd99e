//go:build !unix

package loadtest

import "os"

// terminalWidth is how many columns a terminal has, 0 for what is none.
func terminalWidth(f *os.File) int {
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return 0
	}
	return usualWidth
}
