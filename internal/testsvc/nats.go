package testsvc

import (
	"errors"
	"os/exec"
	"sync"
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
	spec, err := service.NATS(buildNATS(t), t.TempDir(), config)
	if err != nil {
		t.Fatal(err)
	}
	return start(t, spec)
}

// StartNATSCluster starts three NATS servers that are one cluster. Config renders the
// configuration of a node.
func StartNATSCluster(t testing.TB, config func(service.NATSNode) string) *service.NATSCluster {
	t.Helper()
	c, err := service.StartNATSCluster(buildNATS(t), t.TempDir(), 3, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		logsOf(t, c.Nodes)
	})
	return c
}

// natsServer is asked for once in a process: the go command is run to find it.
var natsServer = sync.OnceValues(service.BuildNATS)

// buildNATS returns the path of a NATS server.
func buildNATS(t testing.TB) string {
	t.Helper()
	path, err := natsServer()
	if errors.Is(err, exec.ErrNotFound) {
		missing(t, "go is not in PATH to build "+service.NATSModule)
	}
	if err != nil {
		t.Fatalf("build %s: %v", service.NATSModule, err)
	}
	return path
}

// logsOf shows what services said to a test that failed.
func logsOf(t testing.TB, list []*service.Service) {
	if !t.Failed() {
		return
	}
	for _, s := range list {
		t.Logf("the end of what %s said:\n%s", s.Name(), s.Log())
	}
}
