package app_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tickcast/internal/testkit"
	"tickcast/internal/testsvc"
)

// deadline bounds waits for what takes milliseconds on a free machine.
const deadline = 60 * time.Second

// binary builds the program once for all tests.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "tickcast-test-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "tickcast")
	out, err := exec.Command("go", "build", "-o", path, "tickcast").CombinedOutput()
	if err != nil {
		return "", errors.New(string(out))
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := binary(); err == nil {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// server is the program as a process.
type server struct {
	t                testing.TB
	args, env        []string
	public, internal string // base URLs
	cmd              *exec.Cmd
	done             chan struct{} // closed when the process has ended
	out, log         *lockedBuffer
}

// newServer prepares a process on free ports; start starts it.
func newServer(t testing.TB, env []string, args ...string) *server {
	t.Helper()
	s := &server{t: t, env: env}
	listen, internal := "127.0.0.1:"+strconv.Itoa(testsvc.FreePort(t)), "127.0.0.1:"+strconv.Itoa(testsvc.FreePort(t))
	s.public, s.internal = "http://"+listen, "http://"+internal
	s.args = append(args, "--listen", listen, "--internal-listen", internal)
	t.Cleanup(func() {
		s.kill()
		if t.Failed() && s.log != nil {
			t.Logf("%s said:\n%s%s", strings.Join(args, " "), s.out, s.log)
		}
	})
	return s
}

func (s *server) start() {
	s.t.Helper()
	path, err := binary()
	if err != nil {
		s.t.Fatal(err)
	}
	s.out, s.log, s.done = &lockedBuffer{}, &lockedBuffer{}, make(chan struct{})
	s.cmd = exec.Command(path, s.args...)
	s.cmd.Env = append(cleanEnvironment(), s.env...)
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.log
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() { _ = s.cmd.Wait(); close(s.done) }()
}

// startReady starts the process and waits until it says that it is ready.
func (s *server) startReady() {
	s.t.Helper()
	s.start()
	s.awaitReady()
}

func (s *server) awaitReady() {
	s.t.Helper()
	testkit.Eventually(s.t, "the process is ready", deadline, func() bool {
		select {
		case <-s.done:
			s.t.Fatalf("the process ended: %v\n%s", s.cmd.ProcessState, s.log)
		default:
		}
		code, _ := s.get(s.internal + "/readyz")
		return code == http.StatusOK
	})
}

func (s *server) get(url string) (code int, body string) {
	r, err := http.Get(url)
	if err != nil {
		return 0, ""
	}
	defer func() { _ = r.Body.Close() }()
	b, _ := io.ReadAll(r.Body)
	return r.StatusCode, string(b)
}

// stop asks the process to end and returns its exit code.
func (s *server) stop() int {
	s.t.Helper()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	return s.wait()
}

func (s *server) wait() int {
	s.t.Helper()
	select {
	case <-s.done:
	case <-time.After(deadline):
		s.t.Fatal("the process does not end")
	}
	return s.cmd.ProcessState.ExitCode()
}

// kill ends the process as a power cut of the process would.
func (s *server) kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		<-s.done
	}
}

// socket is the address of the WebSocket.
func (s *server) socket() string { return strings.Replace(s.public, "http", "ws", 1) }

// runCommand runs a command of the program and wants it to succeed.
func runCommand(t testing.TB, env []string, args ...string) string {
	t.Helper()
	out, err := tryCommand(t, env, args...)
	if err != nil {
		t.Fatalf("tickcast %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// tryCommand runs a command of the program, which may be refused.
func tryCommand(t testing.TB, env []string, args ...string) (string, error) {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Env = append(cleanEnvironment(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// cleanEnvironment is the environment without settings of the program.
func cleanEnvironment() []string {
	var env []string
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "TICKCAST_") {
			env = append(env, e)
		}
	}
	return env
}

// lockedBuffer is written by a process while the test reads it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

const testSecret = "7c1f0a93be64d825f7c1f0a93be64d82"

func TestRoomProcess(t *testing.T) {
	s := newServer(t, []string{"TICKCAST_ROOM_SECRET=" + testSecret},
		"room", "--nats-url", testsvc.NATS(t), "--redis-url", testsvc.Redis(t), "--partitions", "2")
	s.startReady()
	if code, body := s.get(s.internal + "/metrics"); code != http.StatusOK || !strings.Contains(body, "tickcast_build_info") {
		t.Errorf("metrics: %d\n%s", code, body)
	}
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
	s.args = append(s.args, "--partitions", "3")
	s.start()
	if code := s.wait(); code != 1 || !strings.Contains(s.log.String(), "2 partitions") {
		t.Errorf("another number of partitions: exit code %d, %s", code, s.log)
	}
}

// TestLedgerProcess starts a ledger worker before the streams are there.
func TestLedgerProcess(t *testing.T) {
	nats, redis := testsvc.NATS(t), testsvc.Redis(t)
	l := newServer(t, nil, "ledger", "--nats-url", nats, "--redis-url", redis, "--database-url", filepath.Join(t.TempDir(), "ledger.db"))
	l.start()
	r := newServer(t, []string{"TICKCAST_ROOM_SECRET=" + testSecret}, "room", "--nats-url", nats, "--redis-url", redis)
	r.startReady()
	testkit.Eventually(t, "the ledger worker is ready", deadline, func() bool {
		code, _ := l.get(l.internal + "/readyz")
		return code == http.StatusOK
	})
	if code := l.stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
}

func TestPortInUse(t *testing.T) {
	env := []string{"TICKCAST_ROOM_SECRET=" + testSecret}
	a := newServer(t, env, "room", "--nats-url", testsvc.NATS(t), "--redis-url", testsvc.Redis(t))
	a.startReady()
	b := newServer(t, env)
	b.args = a.args
	b.start()
	if code := b.wait(); code != 1 || !strings.Contains(b.log.String(), "choose another with --internal-listen") {
		t.Errorf("exit code %d, %s", code, b.log)
	}
}
