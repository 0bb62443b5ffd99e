package app_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
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
	t.Parallel()
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
	testkit.Eventually(t, "a round is on and voided", deadline, func() bool {
		_, err := tryCommand(t, nil, "rooms", "--data", data, "--api", s.internal, "void", "derby")
		return err == nil
	})
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

// swarm is a swarm as a process.
type swarm struct {
	t     testing.TB
	out   lockedBuffer
	ended chan error
}

// startSwarm lets 15 bots play for 24 seconds. They wait long for what they are owed:
// how soon it comes is the machine's affair.
func startSwarm(t testing.TB, s *server, args ...string) *swarm {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	args = append([]string{"swarm", "--url", s.socket(), "--bots", "15", "--duration", "24s", "--settle", deadline.String()}, args...)
	w := &swarm{t: t, ended: make(chan error, 1)}
	cmd := exec.Command(path, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = cleanEnvironment(), &w.out, &w.out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // or it has ended
		<-ended
	})
	go func() {
		defer close(ended)
		w.ended <- cmd.Wait()
	}()
	return w
}

// second is the time that the last line of progress tells. Not every second has one
// on a busy machine.
func (w *swarm) second() int {
	last := 0
	for _, m := range regexp.MustCompile(`(?m)^ *(\d+)s  connected`).FindAllStringSubmatch(w.out.String(), -1) {
		last, _ = strconv.Atoi(m[1])
	}
	return last
}

func (w *swarm) wantPassed() {
	w.t.Helper()
	select {
	case err := <-w.ended:
		if err != nil || !strings.Contains(w.out.String(), "verdict: PASSED") {
			w.t.Errorf("swarm: %v\n%s", err, &w.out)
		}
	case <-time.After(3 * deadline):
		w.t.Fatalf("the swarm does not end\n%s", &w.out)
	}
}

// TestSecondSignalEndsAtOnce has a gateway wait an hour for its client to move,
// and does not.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	services := []string{"--nats-url", testsvc.NATS(t), "--redis-url", testsvc.Redis(t)}
	r := newServer(t, []string{"TICKCAST_ROOM_SECRET=" + testSecret}, append([]string{"room"}, services...)...)
	r.startReady()
	g := newServer(t, []string{"TICKCAST_JWT_SECRET=" + testSecret, "TICKCAST_OPERATOR_KEY=" + testSecret},
		append([]string{"gateway", "--guests", "on", "--drain-window", "1h"}, services...)...)
	g.startReady()

	heard := newCapture()
	l := newListener(t, g.public, heard)
	l.send(map[string]any{"type": "hello", "protocol": 1, "token": l.token})
	testkit.Eventually(t, "the client is welcome", deadline, func() bool { return heard.size(channelSockets) > 0 })

	_ = g.cmd.Process.Signal(os.Interrupt)
	testkit.Eventually(t, "the gateway is not ready any more", deadline, func() bool {
		code, body := g.get(g.internal + "/readyz")
		return code == http.StatusServiceUnavailable && strings.Contains(body, "draining")
	})
	// The program begins to drain and to take a signal for the end side by side, so
	// the very next one may come too early.
	testkit.Eventually(t, "another signal ends it", deadline, func() bool {
		_ = g.cmd.Process.Signal(os.Interrupt)
		select {
		case <-g.done:
			return true
		default:
			return false
		}
	})
	if status, ok := g.cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGINT {
		t.Errorf("ended with %v, want the second signal", g.cmd.ProcessState)
	}
}
