package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/nats-io/nats.go"

	"tickcast/bus"
	"tickcast/internal/testkit"
	"tickcast/wire"
)

// The deployment under test: as many partitions as by default, each with a room, and
// three room servers.
const (
	pauseRooms   = wire.DefaultPartitions
	pauseServers = 3
	// calm is how long nothing is done to a deployment between two faults, and up to
	// half of it again, so that faults do not keep step with anything.
	calm = time.Second
)

// BenchmarkTakeover kills (SIGKILL) room servers in turn, of three, and measures in two
// clients on different gateways how long the rooms of the dead one stood still: from the
// last tick before the kill to the first tick of another owner ("pause"), and from the
// kill to that tick. Each kill is a sample per room and client. Run it with -benchtime 45x.
func BenchmarkTakeover(b *testing.B) {
	p := startPauses(b, 100*time.Millisecond)
	var all pauseSamples
	for i := 0; b.Loop(); i++ {
		s := p.rooms[i%pauseServers]
		owned := p.awaitOwned(fmt.Sprint("room-", i%pauseServers))
		p.keepCalm()
		at := time.Now()
		s.kill()
		all.add(p.pausesBehind(at, owned))
		s.startReady()
	}
	all.report(b)
}

// pauses is a deployment whose rooms are watched by clients.
type pauses struct {
	*deployment
	nc      *nats.Conn
	clients []*tickWatch
	names   []string // of the rooms, by partition
}

func startPauses(b testing.TB, tick time.Duration) *pauses {
	b.Helper()
	p := &pauses{deployment: startDeploymentOf(b, pauseServers, pauseRooms)}
	nc, err := bus.Connect(b.Context(), withUser(p.natsURL, bus.RoleGateway), "bench")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(nc.Close)
	p.nc = nc
	for partition := range pauseRooms {
		name := roomIn(partition, pauseRooms)
		p.names = append(p.names, name)
		p.run("rooms", "create", name, "--api", p.gateways[0].internal, "--set", "betting_ms=2000", "--set", fmt.Sprint("tick_ms=", tick.Milliseconds()))
	}
	for _, g := range p.gateways {
		p.clients = append(p.clients, watchTicks(b, g, p.names))
	}
	for _, c := range p.clients {
		testkit.Eventually(b, "all rooms tick", deadline, func() bool { return len(c.newest()) == pauseRooms })
	}
	return p
}

// owners are the node and epoch that own each partition, as a gateway learns them.
func (p *pauses) owners() []wire.OwnerPong {
	owners := make([]wire.OwnerPong, pauseRooms)
	for i := range owners {
		if m, err := p.nc.Request(wire.PingSubject(i), nil, time.Second); err == nil {
			_ = json.Unmarshal(m.Data, &owners[i])
		}
	}
	return owners
}

// awaitOwned waits until a node owns rooms, and returns their epochs by name.
func (p *pauses) awaitOwned(node string) (epochs map[string]uint64) {
	p.t.Helper()
	testkit.Eventually(p.t, node+" owns something and every partition is owned", deadline, func() bool {
		epochs = map[string]uint64{}
		for i, o := range p.owners() {
			switch o.Node {
			case "":
				return false
			case node:
				epochs[p.names[i]] = o.Epoch
			}
		}
		return len(epochs) > 0
	})
	return epochs
}

// keepCalm lets a moment of random length pass.
func (p *pauses) keepCalm() {
	<-time.After(calm + rand.N(calm/2))
}

// pausesBehind waits until every client has heard a tick of another owner in each of
// the rooms, and returns how long it had to wait for it.
func (p *pauses) pausesBehind(at time.Time, epochs map[string]uint64) (samples pauseSamples) {
	p.t.Helper()
	for _, c := range p.clients {
		for room, epoch := range epochs {
			testkit.Eventually(p.t, room+" goes on", deadline, func() bool { return c.newest()[room] > epoch })
			before, after := c.around(room, epoch)
			samples.paused = append(samples.paused, after.Sub(before))
			samples.behind = append(samples.behind, after.Sub(at))
		}
	}
	return samples
}

// pauseSamples are pauses as clients saw them.
type pauseSamples struct {
	paused []time.Duration // from the last tick of one owner to the first of the next
	behind []time.Duration // from the fault to that tick
}

func (s *pauseSamples) add(more pauseSamples) {
	s.paused = append(s.paused, more.paused...)
	s.behind = append(s.behind, more.behind...)
}

func (s *pauseSamples) report(b *testing.B) {
	b.Helper()
	for name, list := range map[string][]time.Duration{"pause": s.paused, "behind": s.behind} {
		slices.Sort(list)
		for _, q := range []float64{0.5, 0.9, 0.99, 1} {
			at := list[min(int(q*float64(len(list))), len(list)-1)]
			b.ReportMetric(float64(at.Microseconds())/1e3, fmt.Sprintf("%s-p%g-ms", name, 100*q))
		}
	}
	b.ReportMetric(float64(len(s.paused)), "samples")
	b.ReportMetric(0, "ns/op")
}

// tickWatch is a client that notes when it got the ticks of each room.
type tickWatch struct {
	ws *websocket.Conn

	mu    sync.Mutex // guards rooms
	rooms map[string][]tickSeen
}

type tickSeen struct {
	at    time.Time
	epoch uint64
	game  int64 // µs
}

func watchTicks(t testing.TB, g *server, rooms []string) *tickWatch {
	t.Helper()
	ws, token := dialAsGuest(t, g.public)
	w := &tickWatch{ws: ws, rooms: map[string][]tickSeen{}}
	ended := make(chan struct{})
	t.Cleanup(func() {
		_ = ws.CloseNow()
		<-ended
	})
	say := func(message any) {
		t.Helper()
		m, err := json.Marshal(message)
		if err == nil {
			err = ws.Write(t.Context(), websocket.MessageText, m)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	say(map[string]any{"type": "hello", "protocol": 1, "token": token})
	for i, room := range rooms {
		testkit.Eventually(t, "the gateway knows "+room, deadline, func() bool {
			code, _ := g.get(g.public + "/api/rooms/" + room)
			return code == 200
		})
		say(map[string]any{"type": "join", "id": i + 1, "room": room})
	}
	go func() {
		defer close(ended)
		w.read(t)
	}()
	return w
}

func (w *tickWatch) read(t testing.TB) {
	for {
		_, b, err := w.ws.Read(context.Background())
		if err != nil {
			return
		}
		at := time.Now()
		var tick wire.Tick
		if json.Unmarshal(b, &tick) != nil {
			continue
		}
		if tick.Type == wire.TypePing {
			_ = w.ws.Write(context.Background(), websocket.MessageText, []byte(`{"type":"pong"}`))
		}
		if tick.Type != wire.TypeTick {
			continue
		}
		w.mu.Lock()
		seen := w.rooms[tick.Room]
		if n := len(seen); n > 0 && (tick.Time < seen[n-1].game || tick.Epoch < seen[n-1].epoch) {
			t.Errorf("%s went back from %+v to %+v", tick.Room, seen[n-1], tick)
		}
		w.rooms[tick.Room] = append(seen, tickSeen{at: at, epoch: tick.Epoch, game: tick.Time})
		w.mu.Unlock()
	}
}

// newest are the newest epochs of the rooms.
func (w *tickWatch) newest() map[string]uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	epochs := map[string]uint64{}
	for room, seen := range w.rooms {
		epochs[room] = seen[len(seen)-1].epoch
	}
	return epochs
}

// longest is the longest time without a tick of a room, of what has passed since a time.
func (w *tickWatch) longest(from time.Time) (gap time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, seen := range w.rooms {
		after := time.Now()
		for i := len(seen) - 1; i >= 0 && after.After(from); i-- {
			before := seen[i].at
			if before.Before(from) {
				before = from
			}
			gap = max(gap, after.Sub(before))
			after = seen[i].at
		}
	}
	return gap
}

// around is when the last tick of an epoch came and the first of a later one.
func (w *tickWatch) around(room string, epoch uint64) (before, after time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := w.rooms[room]
	i := slices.IndexFunc(seen, func(s tickSeen) bool { return s.epoch > epoch })
	return seen[i-1].at, seen[i].at
}

// withUser names a role's user and password in the URL of the deployment's NATS.
func withUser(url string, r bus.Role) string {
	return strings.ReplaceAll(url, "nats://", fmt.Sprintf("nats://%s:%s@", r, natsPassword(r)))
}
