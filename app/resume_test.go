package app_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"tickcast/internal/service"
	"tickcast/internal/testkit"
	"tickcast/wire"
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

// slower are the sources that are asked when one does not answer in time, as may happen on a
// busy test machine.
func slower(source wire.Source) []wire.Source {
	switch source {
	case wire.SourceGateway:
		return []wire.Source{wire.SourceOwner, wire.SourceFollower}
	case wire.SourceOwner:
		return []wire.Source{wire.SourceFollower}
	}
	return nil
}

// comeBack has a client that is away come back to a gateway, and wants it to resume from
// a source or, if that is too slow, the next one, as the client is told and the gateway
// counts. It reports whether it was the source.
func (r *recorder) comeBack(why string, g *server, source wire.Source) bool {
	r.t.Helper()
	r.mu.Lock()
	before := maps.Clone(r.sources)
	r.mayMiss = source == wire.SourceSnapshot
	r.mu.Unlock()
	r.goTo(g)
	r.stayAway(false)
	var got map[wire.Source]int
	testkit.Eventually(r.t, r.player+" comes back: "+why, deadline, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		got = maps.Clone(r.sources)
		return r.ws != nil
	})
	possible := append([]wire.Source{source}, slower(source)...)
	i := slices.IndexFunc(possible, func(s wire.Source) bool {
		want := maps.Clone(before)
		want[s]++
		return maps.Equal(got, want)
	})
	if i < 0 {
		r.t.Fatalf("%s: %s had resumed from %v, and then from %v, want one of %v more", why, r.player, before, got, possible)
	}
	testkit.Eventually(r.t, "the gateway counts a join from "+string(possible[i])+": "+why, deadline, func() bool { // behind its answer
		_, metrics := g.get(g.internal + "/metrics")
		return strings.Contains(metrics, fmt.Sprintf(`tickcast_join_seconds_count{kind=%q}`, possible[i]))
	})
	return i == 0
}

// comebacks are tries in which a client comes back, one of which is to be from the cheapest
// place. Each begins with a gateway that has kept nothing.
const comebacks = 3

// wantCheapest wants one of some tries to succeed.
func wantCheapest(t testing.TB, try func(i int) (cheapest bool)) {
	t.Helper()
	for i := range comebacks {
		if try(i) {
			return
		}
	}
	t.Errorf("in %d tries the cheapest place that has the updates did not answer in time", comebacks)
}

// absence is clients that go away from a room and come back.
type absence struct {
	*deployment
	room     string
	ann, bob *recorder
	one, two *server // gateways
}

// leave has clients leave, each with more updates than the one before, and returns when
// all have missed some.
func (a *absence) leave(clients ...*recorder) {
	a.t.Helper()
	for i, c := range clients {
		if i > 0 {
			awaitMore(a.t, 3, c)
		}
		c.stayAway(true)
	}
	a.goesOn()
}

// goesOn returns when the room's owner has recorded something.
func (a *absence) goesOn() {
	a.t.Helper()
	_, log := a.logOf(a.room)
	begin := log.CachedInfo().State.LastSeq
	testkit.Eventually(a.t, "the room goes on", deadline, func() bool {
		info, err := log.Info(a.t.Context())
		return err == nil && info.State.LastSeq >= begin+10 // a phase takes two or three records
	})
}

// restart kills servers and starts them again, which have forgotten everything.
func restart(all ...*server) {
	for _, s := range all {
		s.kill()
	}
	for _, s := range all {
		s.startReady()
	}
}

// TestClientsResume: clients go away for a moment and get every update once, each time from
// the cheapest place that has them; where there is none they get a snapshot. They are
// told which.
func TestClientsResume(t *testing.T) {
	t.Parallel()
	d := startDeployment(t)
	claims := startLossyRelay(t, service.Address(d.nats[0].Port()), func(subject string) bool { return strings.HasPrefix(subject, "own.") })
	for _, s := range d.rooms {
		s.connectThrough(claims)
	}
	restart(d.rooms...)
	a := &absence{deployment: d, room: "busy", one: d.gateways[0], two: d.gateways[1]}
	d.busyRoom(a.room)
	a.ann, a.bob = d.record("ann", a.room, a.one), d.record("bob", a.room, a.one)
	awaitMore(t, 3, a.ann, a.bob)
	for _, part := range []func(*absence){
		(*absence).fromGateways,
		(*absence).fromTheOwner,
		func(a *absence) { a.fromAFollower(claims) },
		(*absence).fromTheLog,
		(*absence).behindASavedState,
	} {
		part(a)
		awaitMore(t, 3, a.ann, a.bob)
		wantSame(t, a.ann, a.bob)
	}
}

func (a *absence) fromGateways() {
	a.leave(a.ann)
	a.ann.comeBack("this gateway kept the updates", a.one, wire.SourceRing)
	awaitMore(a.t, 3, a.ann)
	wantCheapest(a.t, func(int) bool {
		a.leave(a.ann)
		restart(a.two)
		a.two.awaitPlayer(a.room)
		return a.ann.comeBack("only another gateway kept them", a.two, wire.SourceGateway)
	})
}

// awaitPlayer waits until a gateway without clients knows that there is somebody at another, whose
// updates it may ask for.
func (s *server) awaitPlayer(room string) {
	s.t.Helper()
	testkit.Eventually(s.t, "a gateway knows that there is somebody at another", deadline, func() bool {
		_, answer := s.get(s.public + "/api/rooms/" + room)
		return strings.Contains(answer, `"players":1`)
	})
}

func (a *absence) fromTheOwner() {
	wantCheapest(a.t, func(int) bool {
		a.leave(a.ann, a.bob)
		restart(a.one, a.two)
		return a.bothComeBack("no gateway kept them")
	})
}

// bothComeBack has clients come back to a gateway that has kept nothing, one by the room's
// owner, and the other by what the gateway was given for that. It reports whether the owner
// was fast enough.
func (a *absence) bothComeBack(why string) (fast bool) {
	a.t.Helper()
	fast = a.ann.comeBack(why, a.one, wire.SourceOwner)
	a.bob.comeBack("the gateway keeps what it was given", a.one, wire.SourceRing)
	return fast
}

// fromAFollower kills the owner, and no claim to replace it reaches the log.
func (a *absence) fromAFollower(claims *lossyRelay) {
	a.leave(a.ann, a.bob)
	restart(a.one)
	owner := a.owner()
	claims.losing.Store(true)
	owner.kill()
	defer owner.startReady()
	a.ann.comeBack("nobody owns the room", a.one, wire.SourceFollower)
	a.bob.comeBack("nobody owns the room, and the gateway keeps what it was given", a.one, wire.SourceRing)
	testkit.Eventually(a.t, "a claim is lost", deadline, func() bool { return claims.lost.Load() > 0 })
	claims.losing.Store(false)
}

// owner is the room server with the room.
func (a *absence) owner() (owner *server) {
	a.t.Helper()
	testkit.Eventually(a.t, "somebody owns the room", deadline, func() bool {
		owners := a.roomOwners()
		i := slices.IndexFunc(a.rooms, func(s *server) bool {
			return slices.ContainsFunc(s.args, func(arg string) bool { return owners[arg] > 0 })
		})
		if i >= 0 {
			owner = a.rooms[i]
		}
		return owner != nil
	})
	return owner
}

// fromTheLog kills all room servers, and Redis forgets what they saved: they fold the log
// again from its first record.
func (a *absence) fromTheLog() {
	wantCheapest(a.t, func(int) bool {
		a.leave(a.ann, a.bob)
		for _, s := range a.rooms {
			s.kill()
		}
		a.flushRedis()
		restart(append(a.rooms, a.one)...)
		a.goesOn()
		return a.bothComeBack("the owner has folded the log from its first record")
	})
}

// behindASavedState stops all room servers in good order: they begin with what they saved,
// which has no update from before.
func (a *absence) behindASavedState() {
	a.leave(a.ann, a.bob)
	for _, s := range a.rooms {
		if code := s.stop(); code != 0 {
			a.t.Errorf("exit code %d after SIGTERM", code)
		}
	}
	restart(append(a.rooms, a.one)...)
	a.goesOn()
	a.ann.comeBack("all servers began behind the position", a.one, wire.SourceSnapshot)
	a.bob.comeBack("all servers began behind the position", a.one, wire.SourceSnapshot)
}

// TestNATSDropsMessagesToAGateway: the gateway notices by the numbers, fills the gaps, and
// its clients see nothing.
func TestNATSDropsMessagesToAGateway(t *testing.T) {
	t.Parallel()
	d := startDeployment(t)
	const room = "busy"
	d.busyRoom(room)
	var updates atomic.Int64
	lossy := startLossyRelay(t, service.Address(d.nats[0].Port()), func(subject string) bool {
		return strings.HasPrefix(subject, "out.") && strings.HasSuffix(subject, ".u") && updates.Add(1)%2 == 0
	})
	g := d.process("gateway", "--guests", "on")
	g.connectThrough(lossy)
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

// lossyRelay is between clients of NATS and their server. While it loses, some messages
// are left out.
type lossyRelay struct {
	address, target string
	loses           func(subject string) bool // Static. Called while it loses.
	losing          atomic.Bool
	lost            atomic.Int64
	running         sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn // guarded by mu
}

// connectThrough has a process connect to NATS through a relay when it starts next.
func (s *server) connectThrough(r *lossyRelay) {
	s.args[slices.Index(s.args, "--nats-url")+1] = "nats://" + r.address
}

func startLossyRelay(t testing.TB, target string, loses func(subject string) bool) *lossyRelay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &lossyRelay{address: l.Addr().String(), target: target, loses: loses}
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
		r.running.Go(func() { r.relay(server, bufio.NewReader(client)); _ = server.Close() })
		r.running.Go(func() { r.relay(client, bufio.NewReader(server)); _ = client.Close() })
	}
}

// relay relays messages but those that are lost. The protocol is lines; PUB, HPUB, MSG and
// HMSG end in the size of a payload that follows.
func (r *lossyRelay) relay(to io.Writer, from *bufio.Reader) {
	for {
		line, err := from.ReadBytes('\n')
		if err != nil {
			return
		}
		if fields := bytes.Fields(line); len(fields) >= 3 && (bytes.HasSuffix(fields[0], []byte("PUB")) || bytes.HasSuffix(fields[0], []byte("MSG"))) {
			size, err := strconv.Atoi(string(fields[len(fields)-1]))
			if err != nil {
				return
			}
			payload := make([]byte, size+len("\r\n"))
			if _, err := io.ReadFull(from, payload); err != nil {
				return
			}
			if r.losing.Load() && r.loses(string(fields[1])) {
				r.lost.Add(1)
				continue
			}
			line = append(line, payload...)
		}
		if _, err := to.Write(line); err != nil {
			return
		}
	}
}

// TestEverythingRestartsInTurn restarts every process in good order, one after the other, while
// rounds go on and bets are placed. None is voided.
func TestEverythingRestartsInTurn(t *testing.T) {
	t.Parallel()
	t.Run("rolling restart of everything during 20 rounds with 0 voids", func(t *testing.T) {
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
		// A stake that is booked too late for its round goes back, and is no bet.
		if n := d.countRows(`SELECT COUNT(*) FROM bets b WHERE NOT EXISTS (SELECT 1 FROM ends e WHERE e.bet = b.id AND e.kind = 'cancel')`); n != accepted {
			t.Errorf("%d bets are booked, %d were accepted", n, accepted)
		}
		wantSame(t, watch, ann)
		d.wantNoDifference()
		t.Logf("%d restarts, %d bets", len(restarts), accepted)
	})
}
