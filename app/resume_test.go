package app_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"tickcast/internal/service"
	"tickcast/internal/testkit"
)

// busyRoom makes a race whose phases alone are several updates a second.
func (d *deployment) busyRoom(name string) {
	d.t.Helper()
	d.run("rooms", "create", name, "--api", d.gateways[0].internal, "--game", "race",
		"--set", "gathering_ms=200", "--set", "running_ms=300", "--set", "finished_ms=200")
}

// awaitMore waits until each recorder has n more updates.
func awaitMore(t testing.TB, n int, all ...*recorder) {
	t.Helper()
	var want []uint64
	for _, r := range all {
		want = append(want, r.newest()+uint64(n))
	}
	testkit.Eventually(t, "updates go on", deadline, func() bool {
		for i, r := range all {
			if r.newest() < want[i] {
				return false
			}
		}
		return true
	})
}

func (r *recorder) newest() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.seq
}

// resumed is how often the recorder resumed from a source.
func (r *recorder) resumed(source string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sources[source]
}

// TestClientsResume kills gateways and starts them again, while clients that go to
// another one get every update once, each from the cheapest place that has it.
func TestClientsResume(t *testing.T) {
	t.Parallel()
	d := startDeployment(t)
	const room = "busy"
	d.busyRoom(room)
	one, two := d.gateways[0], d.gateways[1]
	a, b := d.record("ann", room, one, two), d.record("bob", room, two, one)
	awaitMore(t, 3, a, b)

	one.kill()
	testkit.Eventually(t, "ann resumes from the other gateway's ring", deadline, func() bool { return a.resumed("ring") > 0 })
	awaitMore(t, 3, a, b)

	two.kill()
	_, log := d.logOf(room)
	begin := log.CachedInfo().State.LastSeq
	testkit.Eventually(t, "some updates reach no gateway", deadline, func() bool {
		info, err := log.Info(t.Context())
		return err == nil && info.State.LastSeq >= begin+30 // a phase takes two or three records
	})
	one.startReady()
	testkit.Eventually(t, "both resume at a fresh gateway, from the owner or from what that brought", deadline, func() bool {
		return a.resumed("owner")+b.resumed("owner") > 0 && b.resumed("owner")+b.resumed("ring") > 0
	})
	awaitMore(t, 3, a, b)

	two.startReady()
	a.stayAway(true)
	awaitMore(t, 5, b)
	a.goTo(two)
	a.stayAway(false)
	testkit.Eventually(t, "ann resumes at another fresh gateway, from the first one's ring", deadline, func() bool { return a.resumed("gateway") > 0 })
	awaitMore(t, 3, a, b)

	for _, r := range d.rooms {
		r.kill()
		r.startReady()
	}
	awaitMore(t, 3, a, b)
	wantSame(t, a, b)
	if n := a.resumed("snapshot") + b.resumed("snapshot"); n != 0 {
		t.Errorf("%d snapshots", n)
	}
}

// TestNATSDropsMessagesToAGateway: the gateway notices by the numbers, fills the gaps, and
// its clients see nothing.
func TestNATSDropsMessagesToAGateway(t *testing.T) {
	t.Parallel()
	d := startDeployment(t)
	const room = "busy"
	d.busyRoom(room)
	lossy := startLossyRelay(t, service.Address(d.nats[0].Port()))
	g := d.process("gateway", "--guests", "on")
	i := slices.Index(g.args, "--nats-url")
	g.args[i+1] = "nats://" + lossy.address
	g.startReady()
	a, b := d.record("ann", room, g), d.record("bob", room, d.gateways[0])
	lossy.losing.Store(true)
	testkit.Eventually(t, "many updates are lost on their way to the gateway", deadline, func() bool { return lossy.lost.Load() >= 20 })
	lossy.losing.Store(false)
	awaitMore(t, 3, a, b)
	wantSame(t, a, b)
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.sources) != 0 || a.first+uint64(len(a.updates)) != a.seq {
		t.Errorf("the client was told of it: it joined again from %v, and has %d updates behind %d", a.sources, len(a.updates), a.first)
	}
}

// lossyRelay is between a client of NATS and its server. While it loses, every other update
// to the client is left out.
type lossyRelay struct {
	address, target string
	losing          atomic.Bool
	lost, seen      atomic.Int64
	running         sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn // guarded by mu
}

func startLossyRelay(t testing.TB, target string) *lossyRelay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &lossyRelay{address: l.Addr().String(), target: target}
	r.running.Go(func() { r.accept(l) })
	t.Cleanup(func() {
		_ = l.Close()
		r.mu.Lock()
		for _, c := range r.conns {
			_ = c.Close()
		}
		r.mu.Unlock()
		r.running.Wait()
	})
	return r
}

func (r *lossyRelay) accept(l net.Listener) {
	for {
		client, err := l.Accept()
		if err != nil {
			return // closed at the end
		}
		server, err := net.Dial("tcp", r.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		r.mu.Lock()
		r.conns = append(r.conns, client, server)
		r.mu.Unlock()
		r.running.Go(func() { _, _ = io.Copy(server, client); _ = server.Close() })
		r.running.Go(func() { r.toClient(client, bufio.NewReader(server)); _ = client.Close() })
	}
}

// toClient relays the server's messages but those that are lost. The protocol is lines;
// MSG and HMSG end in the size of a payload that follows.
func (r *lossyRelay) toClient(client io.Writer, from *bufio.Reader) {
	for {
		line, err := from.ReadBytes('\n')
		if err != nil {
			return
		}
		if fields := bytes.Fields(line); len(fields) > 3 && bytes.HasSuffix(fields[0], []byte("MSG")) {
			size, err := strconv.Atoi(string(fields[len(fields)-1]))
			if err != nil {
				return
			}
			payload := make([]byte, size+len("\r\n"))
			if _, err := io.ReadFull(from, payload); err != nil {
				return
			}
			if subject := string(fields[1]); r.losing.Load() && strings.HasPrefix(subject, "out.") && strings.HasSuffix(subject, ".u") && r.seen.Add(1)%2 == 0 {
				r.lost.Add(1)
				continue
			}
			line = append(line, payload...)
		}
		if _, err := client.Write(line); err != nil {
			return
		}
	}
}

// TestEverythingRestartsInTurn restarts every process in good order, one after the other, while
// rounds go on and bets are placed. None is voided.
func TestEverythingRestartsInTurn(t *testing.T) {
	t.Run("rolling restart of everything during 20 rounds with 0 voids", func(t *testing.T) {
		t.Parallel()
		d := startDeployment(t)
		const room = "quick"
		d.run("rooms", "create", room, "--api", d.gateways[0].internal,
			"--set", "betting_ms=1000", "--set", "crashed_ms=200", "--set", "cap=101")
		watch, ann := d.record("watch", room, d.gateways...), d.record("ann", room, d.gateways[1], d.gateways[0])
		begin, _ := watch.now()
		accepted := int64(0)
		bet := func() { // a client that has just resumed may be late for a round
			testkit.Eventually(t, "a bet is on", deadline, func() bool {
				now := watch.await("betting")
				return strings.Contains(ann.begin("bet", now.Round, betOf{Amount: 100, Auto: 101}).answer(), `"ok":true`)
			})
			accepted++
		}
		var restarts []func()
		for _, s := range d.processes() {
			restarts = append(restarts, func() {
				if code := s.stop(); code != 0 {
					t.Errorf("%v: exit code %d after SIGTERM", s.args, code)
				}
				s.startReady()
			})
		}
		for _, s := range append(slices.Clone(d.nats), d.redis...) {
			restarts = append(restarts, func() {
				if err := s.Stop(); err != nil {
					t.Error(err)
				}
				if err := s.Start(); err != nil {
					t.Fatal(err)
				}
			})
		}
		for _, restart := range restarts {
			bet()
			restart()
			bet()
		}
		testkit.Eventually(t, "20 rounds", deadline, func() bool {
			now, _ := watch.now()
			return now.Round >= begin.Round+20
		})
		if n := d.countRows(`SELECT COUNT(*) FROM rounds WHERE voided = 1`); n != 0 {
			t.Errorf("%d rounds were voided", n)
		}
		if n := d.countRows(`SELECT COUNT(*) FROM bets`); n != accepted {
			t.Errorf("%d bets are booked, %d were accepted", n, accepted)
		}
		wantSame(t, watch, ann)
		d.wantNoDifference()
		t.Logf("%d restarts, %d bets", len(restarts), accepted)
	})
}
