package app_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"tickcast/internal/testkit"
	"tickcast/internal/testsvc"
)

// TestServe starts everything in a fresh directory, kills it, and starts it
// again.
func TestServe(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	s := newServer(t, nil, "serve", "--data", data)
	s.startReady()
	testkit.Eventually(t, "what was started is told", deadline, func() bool { return strings.Contains(s.out.String(), "Ctrl-C") })
	key := filepath.Join(data, "secrets", "operator.key")
	for _, want := range []string{s.public + "/", s.internal + "/console", key} {
		if !strings.Contains(s.out.String(), want) {
			t.Errorf("%q is not told:\n%s", want, s.out)
		}
	}
	if code, page := s.get(s.public + "/"); code != http.StatusOK || !strings.Contains(page, "<html") {
		t.Errorf("player's page: %d", code)
	}
	secret, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}

	second := newServer(t, nil, "serve", "--data", data)
	second.start()
	if code := second.wait(); code != 1 || !strings.Contains(second.log.String(), "in use by process") {
		t.Errorf("a second process on the same data: exit code %d, %s", code, second.log)
	}

	s.kill()
	s.startReady()
	if again, err := os.ReadFile(key); err != nil || string(again) != string(secret) {
		t.Errorf("the operator's key has changed (%v)", err)
	}
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d after SIGTERM", code)
	}
	if strings.Contains(s.log.String(), strings.TrimSpace(string(secret))) || strings.Contains(s.out.String(), strings.TrimSpace(string(secret))) {
		t.Error("the operator's key was printed")
	}
}

// TestFirstRooms wants a room of each game at the first start, and only then.
func TestFirstRooms(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	s := newServer(t, nil, "serve", "--data", data)
	rooms := func(args ...string) string {
		t.Helper()
		return runCommand(t, nil, append([]string{"rooms", "--data", data, "--api", s.internal}, args...)...)
	}
	s.startReady()
	testkit.Eventually(t, "both rooms run", deadline, func() bool {
		list := rooms("list")
		return strings.Count(list, "running") == 2 && strings.Contains(list, "lobby") && strings.Contains(list, "derby")
	})
	rooms("pause", "lobby")
	rooms("set", "derby", "gathering_ms=1000", "running_ms=1000", "finished_ms=1000")
	rooms("void", "derby")
	rooms("close", "derby")
	public := func() string { _, list := s.get(s.public + "/api/rooms"); return list }
	testkit.Eventually(t, "the closed room is gone", deadline, func() bool {
		return strings.Contains(public(), "lobby") && !strings.Contains(public(), "derby")
	})
	s.kill()
	s.startReady()
	testkit.Eventually(t, "the other room is there again", deadline, func() bool { return strings.Contains(public(), "lobby") })
	if list := public(); strings.Contains(list, "derby") {
		t.Errorf("the closed room came back:\n%s", list)
	}
}

// TestKillWhilePlayed kills everything in the middle of rounds and starts it
// again. The swarm judges that nothing was lost: sequences, answers, crash points,
// balances.
func TestKillWhilePlayed(t *testing.T) {
	t.Parallel()
	s := newServer(t, nil, "serve", "--data", filepath.Join(t.TempDir(), "data"))
	s.startReady()
	testkit.Eventually(t, "both rooms can be joined", deadline, func() bool {
		_, list := s.get(s.public + "/api/rooms")
		return strings.Count(list, "running") == 2
	})
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	var out lockedBuffer
	swarm := exec.Command(path, "swarm", "--url", strings.Replace(s.public, "http", "ws", 1), "--room", "lobby,derby", "--bots", "30", "--duration", "24s")
	swarm.Env, swarm.Stdout, swarm.Stderr = cleanEnvironment(), &out, &out
	if err := swarm.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- swarm.Wait() }()
	for _, at := range []string{" 6s ", " 14s "} {
		testkit.Eventually(t, "the swarm has played for"+at, deadline, func() bool { return strings.Contains(out.String(), at) })
		s.kill()
		s.startReady()
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("swarm: %v\n%s", err, &out)
		}
	case <-time.After(deadline):
		_ = swarm.Process.Kill()
		t.Fatalf("the swarm does not end\n%s", &out)
	}
}

// TestSecondSignalEndsAtOnce has a gateway wait an hour for its client to move,
// and does not.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	services := []string{"--nats-url", testsvc.NATS(t), "--redis-url", testsvc.Redis(t)}
	r := newServer(t, []string{"TICKCAST_ROOM_SECRET=" + testSecret}, append([]string{"room"}, services...)...)
	r.startReady()
	g := newServer(t, []string{"TICKCAST_JWT_SECRET=" + testSecret, "TICKCAST_OPERATOR_KEY=" + testSecret},
		append([]string{"gateway", "--drain-window", "1h"}, services...)...)
	g.startReady()

	c, err := net.Dial("tcp", strings.TrimPrefix(g.public, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	const upgrade = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	if _, err := io.WriteString(c, upgrade); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.Contains(line, "101") {
		t.Fatalf("upgrade: %q, %v", line, err)
	}

	_ = g.cmd.Process.Signal(os.Interrupt)
	testkit.Eventually(t, "the gateway is not ready any more", deadline, func() bool {
		code, body := g.get(g.internal + "/readyz")
		return code == http.StatusServiceUnavailable && strings.Contains(body, "draining")
	})
	_ = g.cmd.Process.Signal(os.Interrupt)
	g.wait()
	if status, ok := g.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGINT {
		t.Errorf("ended with %v, want the second signal", g.cmd.ProcessState)
	}
}
