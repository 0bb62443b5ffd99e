package service

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// NATSModule is the server's main package and module.
const NATSModule = "github.com/nats-io/nats-server/v2"

// NATS tells how to run a NATS server with JetStream. Config is the text of a
// configuration file, with users and permissions for instance; address, port and
// store directory (dir/store) are set beside it. The server keeps its streams over
// Kill and Start.
func NATS(path, dir, config string) (Spec, error) {
	file := filepath.Join(dir, "nats.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return Spec{}, fmt.Errorf("configure nats: %w", err)
	}
	return Spec{
		Name: "nats-server",
		Path: path,
		Args: func(port int) []string {
			return []string{
				"-c", file, "-a", "127.0.0.1", "-p", strconv.Itoa(port),
				"-js", "-sd", filepath.Join(dir, "store"),
			}
		},
		Ready: "Server is ready",
		Stop:  syscall.SIGTERM,
		Dir:   dir,
		URL:   func(port int) string { return "nats://" + Address(port) },
	}, nil
}

// BuildNATS returns the path of a NATS server of the version in the go.mod of the
// working directory, and builds it when the user's cache directory does not have it
// yet, once per version and toolchain. It is safe for several processes at once.
func BuildNATS() (string, error) {
	version, err := goOutput("list", "-m", "-f", "{{.Version}}", NATSModule)
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
	if _, err := goOutput("build", "-o", path+".part", NATSModule); err != nil {
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
