//go:build !unix

package app

import (
	"fmt"
	"os"
)

// lockData makes the data directory. This system has no lock that ends with its
// process, so two processes on one directory are not noticed.
func lockData(c *Config) (release func(), err error) {
	if err := os.MkdirAll(c.Data, 0o755); err != nil {
		return nil, fmt.Errorf("make data directory: %w", err)
	}
	return func() {}, nil
}
