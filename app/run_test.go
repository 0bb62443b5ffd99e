package app

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"testing"
)

// TestStopDuringStart stops a process before it has made its streams: that is no failure.
func TestStopDuringStart(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	args := []string{"serve", "--data", filepath.Join(t.TempDir(), "data"), "--listen", "127.0.0.1:0", "--internal-listen", "127.0.0.1:0"}
	if code := Main(ctx, args, &out, &out); code != 0 || strings.Contains(out.String(), "Error") {
		t.Errorf("exit code %d: %s", code, &out)
	}
}
