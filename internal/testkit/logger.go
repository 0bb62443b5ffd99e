package testkit

import (
	"log/slog"
	"testing"
)

// Logger logs to the output of a test, from the level info on.
func Logger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}
