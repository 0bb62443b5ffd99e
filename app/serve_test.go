package app_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

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
