package room

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"tickcast/bus"
	"tickcast/internal/testkit"
	"tickcast/room/game"
	"tickcast/wire"
)

// gaps are the longest times between two ticks of a room, as a gateway hears them.
type gaps struct {
	s     *stage
	last  map[string]time.Time // by subject
	worst time.Duration
	ticks int
}

// tickEvery is the tick interval of the rooms whose gaps are watched: the shortest that
// a room may have, so that a pause is many of them.
const tickEvery = 50 * time.Millisecond

func (s *stage) watchGaps() *gaps {
	s.t.Helper()
	g := &gaps{s: s, last: map[string]time.Time{}}
	s.subscribe(s.gateway, "out.*.*."+string(wire.OutTick), func(m *nats.Msg) {
		s.mu.Lock()
		defer s.mu.Unlock()
		now := time.Now()
		if before, ok := g.last[m.Subject]; ok {
			g.worst = max(g.worst, now.Sub(before))
		}
		g.last[m.Subject] = now
		g.ticks++
	})
	return g
}

// during is the longest gap, and the number of ticks, while f runs.
func (g *gaps) during(f func()) (worst time.Duration, ticks int) {
	g.s.mu.Lock()
	g.worst, g.ticks = 0, 0
	g.s.mu.Unlock()
	f()
	g.s.mu.Lock()
	defer g.s.mu.Unlock()
	return g.worst, g.ticks
}

// watchClaims lists the claims from now on. The list is guarded by mu, and may be cleared.
func (s *stage) watchClaims() *[]wire.Claim {
	s.t.Helper()
	var claims []wire.Claim
	s.subscribe(s.connect(bus.RoleRoom), "log.*.own.*", func(m *nats.Msg) {
		s.mu.Lock()
		defer s.mu.Unlock()
		var c wire.Claim
		if err := json.Unmarshal(m.Data, &c); err != nil {
			s.t.Error(err)
		}
		claims = append(claims, c)
	})
	return &claims
}

// areOffered reports whether partitions were claimed, and each from an owner that offered it.
func areOffered(claims []wire.Claim) bool {
	return len(claims) > 0 && !slices.ContainsFunc(claims, func(c wire.Claim) bool { return !c.Offered })
}

// TestAPlannedMoveIsNotSeen has a host come and go while rounds are in flight: the
// longest gap between two ticks is at most a tick more than without that, and whoever
// claims was offered the partition. A machine that has other things to do makes gaps
// itself, and so long ones that an owner is taken for dead: a try in which that happened
// says nothing, and there is another one.
func TestAPlannedMoveIsNotSeen(t *testing.T) {
	s := newStage(t, 4)
	one, two := s.host("one", false), s.host("two", false)
	shared := func() bool { return one.owned() == 2 && two.owned() == 2 }
	s.eventually("each owns its share", shared)
	var rooms []string
	for i := range 8 {
		rooms = append(rooms, fmt.Sprintf("room-%d", i))
		s.create(rooms[i], "crash", map[string]any{"betting_ms": 2000, "tick_ms": tickEvery.Milliseconds()})
	}
	s.eventually("all rooms tick", func() bool { return len(s.lastTick) == len(rooms) })
	g, claims := s.watchGaps(), s.watchClaims()
	testkit.Eventually(t, "partitions move, and nobody notices", 4*patience, func() bool { // a try takes half a minute
		s.mu.Lock()
		*claims = nil
		s.mu.Unlock()
		moved, ticks := g.during(func() {
			two.stop()
			s.eventually("the other owns all", func() bool { return one.owned() == 4 })
			two = s.host("two", false)
			s.eventually("each owns its share again", shared)
		})
		calm, _ := g.during(func() { s.eventually("as many ticks", func() bool { return g.ticks >= ticks }) })
		s.mu.Lock()
		defer s.mu.Unlock()
		offered := areOffered(*claims)
		t.Logf("longest gap between ticks: %v with moves, %v without; all of %d claims offered: %v", moved, calm, len(*claims), offered)
		return offered && moved <= calm+tickEvery
	})
	for _, room := range rooms {
		s.wantNoVoid(room)
	}
}

// TestADeclinedOfferChangesNothing has the best candidate say no, as one does that is
// about to end, and not answer, as one does that hangs.
func TestADeclinedOfferChangesNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	names := assign(1, []string{"a", "b"})[0]
	owner := s.host(names[1], false)
	s.eventually("it owns", func() bool { return owner.owned() == 1 })
	epoch := owner.Partitions()[0].Epoch
	best := s.connect(bus.RoleRoom)
	offers := make(chan *nats.Msg, 16)
	if _, err := best.ChanSubscribe(wire.OfferSubject(0, names[0]), offers); err != nil {
		t.Fatal(err)
	}
	there := game.Encode(wire.NodeInfo{ID: names[0], Role: "room"})
	for try := range 3 { // the first is declined, the others have no answer
		s.eventually("it is offered the partition", func() bool {
			if best.Publish(wire.NodeSubject("room", names[0]), there) != nil {
				return false
			}
			select {
			case m := <-offers:
				if try == 0 {
					_ = m.Respond(game.Encode(wire.Decline{Why: "draining"}))
				}
				return true
			default:
				return false
			}
		})
	}
	if now := owner.Partitions()[0]; now.Epoch != epoch || !now.Owner {
		t.Fatalf("the owner is %+v, its epoch was %d", now, epoch)
	}
	owner.stop() // there is still the other one, which does not take it
}

// TestPatienceWithServersThatComeAndGo: each move makes the next one take longer.
func TestPatienceWithServersThatComeAndGo(t *testing.T) {
	var h handover
	at := time.Unix(1000, 0)
	for i, want := range []time.Duration{handOver, 2 * handOver, handOverMost, handOverMost} {
		if got := h.patience(at); got != want {
			t.Errorf("after %d moves: %v, want %v", i, got, want)
		}
		h.moved(at.UnixNano())
		at = at.Add(time.Second)
	}
	if got := h.patience(at.Add(calmAfter)); got != handOver {
		t.Errorf("after a minute of calm: %v, want %v", got, handOver)
	}
	h.moved(at.Add(calmAfter).UnixNano())
	if got := h.patience(at.Add(calmAfter)); got != 2*handOver {
		t.Errorf("after a move behind calm: %v, want %v", got, 2*handOver)
	}
}
