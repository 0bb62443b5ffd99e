package room

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/bus"
	"tickcast/room/game"
	"tickcast/room/race"
	"tickcast/wire"
)

// driftingKind is a race that counts no taps.
type driftingKind struct{ race.Kind }

type driftingRoom struct{ game.Room }

func (k driftingKind) New(at game.At, c game.Config, fx *game.Effects) (game.Room, *wire.Error) {
	r, refusal := k.Kind.New(at, c, fx)
	return driftingRoom{r}, refusal
}

func (r driftingRoom) Command(_ game.At, c game.Command, fx *game.Effects) {
	fx.Answer(c.Ref, struct{}{})
}

// fill appends taps until the log has more records than a digest is taken after.
func (s *stage) fill(room string) {
	s.t.Helper()
	const taps = digestEvery + 100
	js := jetStream(s.t, s.gateway, jetstream.WithPublishAsyncMaxPending(taps))
	for i := range taps {
		c := wire.Command{Player: fmt.Sprint("p", i%50), Gateway: "gw", Key: fmt.Sprint(i), Op: "tap", Round: 1, Args: fmt.Appendf(nil, `{"n":%d}`, 1+i/50)}
		b, _ := c.AppendBinary(nil)
		if _, err := js.PublishAsync(wire.CommandSubject(0, room), b); err != nil {
			s.t.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
}

// firstDigest tells, when the log has a digest of an owner, the sequence of the first.
func (s *stage) firstDigest() func() uint64 {
	s.t.Helper()
	var seq uint64 // guarded by mu
	f := feed{name: wire.PartitionStream(0)}
	s.subscribe(s.connect(bus.RoleRoom), wire.FeedSubject(0), func(m *nats.Msg) {
		rec, err := f.handedOut(m.Header, m.Data)
		if err != nil || rec.Kind != wire.KindOwner {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if evt, _ := decodeOwner(rec.Data); evt.Kind == wire.OwnerDigest && seq == 0 {
			seq = rec.Seq
		}
	})
	return func() (stated uint64) {
		s.t.Helper()
		s.eventually("the log has a digest", func() bool { stated = seq; return seq > 0 })
		return stated
	}
}

// longRace is one long round in which anybody may tap as fast as he likes.
func longRace() map[string]any {
	return map[string]any{"gathering_ms": 100, "running_ms": 600_000, "max_taps_per_s": 1000}
}

func TestDigestsAgree(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	hosts := []*hosted{s.host("one", false), s.host("two", false)}
	digest := s.firstDigest()
	s.create("derby", "race", longRace())
	s.fill("derby")
	stated := digest()
	for _, h := range hosts {
		s.eventually("the digest is folded", func() bool { p := h.Partitions()[0]; return p.Seq >= stated || p.Halted != "" })
	}
	for _, h := range hosts {
		h.stop()
		if p := h.Partitions()[0]; p.Halted != "" {
			t.Errorf("halted: %s", p.Halted)
		}
		if got := h.replicas[0].part.digests.stated; got != digestEvery {
			t.Errorf("the newest digest in the log is that of record %d, want %d", got, digestEvery)
		}
	}
}

func TestAFoldThatDisagreesHalts(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	hosts := []*hosted{s.hostOf("one", false, race.Kind{}), s.hostOf("two", false, driftingKind{})}
	s.create("derby", "race", longRace())
	s.fill("derby")
	s.eventually("one of them halts", func() bool {
		return strings.Contains(hosts[0].Partitions()[0].Halted+hosts[1].Partitions()[0].Halted, "digest")
	})
	for _, h := range hosts {
		if p := h.Partitions()[0]; p.Owner == (p.Halted != "") {
			t.Errorf("who disagrees with the owner halts, and nobody else: %+v", p)
		}
	}
}
