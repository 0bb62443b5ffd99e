package testsvc

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// natsModule is the server's main package and module.
const natsModule = "github.com/nats-io/nats-server/v2"

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
	path := natsServer(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "nats.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatalf("configure nats: %v", err)
	}
	return start(t, spec{
		name: "nats-server",
		path: path,
		args: func(port int) []string {
			return []string{
				"-c", file, "-a", "127.0.0.1", "-p", strconv.Itoa(port),
				"-js", "-sd", filepath.Join(dir, "store"),
			}
		},
		ready: "Server is ready",
		stop:  syscall.SIGTERM,
		dir:   dir,
		url:   func(port int) string { return "nats://" + address(port) },
	})
}

// natsServer returns the path of the server's binary and builds it when the cache
// directory does not have this version yet.
func natsServer(t testing.TB) string {
	t.Helper()
	path, err := cachedBuild(natsModule)
	if errors.Is(err, exec.ErrNotFound) {
		missing(t, "go is not in PATH to build "+natsModule)
	}
	if err != nil {
		t.Fatalf("build %s: %v", natsModule, err)
	}
	return path
}

// cachedBuild builds the main package of a module that go.mod requires into the
// user's cache directory, once per version and toolchain. It is safe for several
// processes at once.
func cachedBuild(module string) (string, error) {
	version, err := goOutput("list", "-m", "-f", "{{.Version}}", module)
	if err != nil {
		return "", err
	}
	toolchain, err := goOutput("env", "GOVERSION")
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "tickcast", "bin", toolchain)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	path := filepath.Join(dir, "nats-server-"+version)
	unlock, err := lock(path + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	// Under another name first: a build that is cut short must not look done.
	if _, err := goOutput("build", "-o", path+".part", module); err != nil {
		return "", err
	}
	return path, os.Rename(path+".part", path)
}

func goOutput(args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out)), nil
}

// lock keeps other processes away until unlock is called.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	// Closing gives the lock back.
	return func() { _ = f.Close() }, nil
}
