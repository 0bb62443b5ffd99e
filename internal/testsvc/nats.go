package testsvc

import (
	"errors"
	"os/exec"
	"testing"

	"tickcast/internal/service"
)

// NATS starts a NATS server with JetStream, open to everybody, and returns its
// URL.
func NATS(t testing.TB) string {
	t.Helper()
	return StartNATS(t, "").URL
}

// StartNATS starts a NATS server of the version in go.mod with JetStream. Config
// is the text of a configuration file, with users and permissions for instance;
// address, port and store directory are set beside it. The server keeps its
// streams over Kill and Start.
func StartNATS(t testing.TB, config string) *Service {
	t.Helper()
	path, err := service.BuildNATS()
	if errors.Is(err, exec.ErrNotFound) {
		missing(t, "go is not in PATH to build "+service.NATSModule)
	}
	if err != nil {
		t.Fatalf("build %s: %v", service.NATSModule, err)
	}
	spec, err := service.NATS(path, t.TempDir(), config)
	if err != nil {
		t.Fatal(err)
	}
	return start(t, spec)
}
