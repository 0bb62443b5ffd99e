package room

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/bus"
	"tickcast/internal/testkit"
	"tickcast/room/cashier"
	"tickcast/room/game"
	"tickcast/room/race"
	"tickcast/wire"
)

func TestAHostRunsRoomsAndGoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	s := newStage(t, 2)
	h := s.host("one", true)
	s.create("lobby", "crash", fastCrash)
	s.create("derby", "race", fastRace)
	s.eventually("rounds in both rooms", func() bool { return s.updatesOf("lobby") > 12 && s.updatesOf("derby") > 12 })
	h.stop()
	before := s.lastTickOf("lobby")
	s.host("one", true)
	s.eventually("rounds go on", func() bool { return s.lastTick["lobby"].Seq > before.Seq+12 })
	s.wantWhole("lobby")
	s.wantWhole("derby")
	if after := s.lastTickOf("lobby"); after.Epoch <= before.Epoch || after.Time < before.Time {
		t.Fatalf("after the restart the tick is %+v, before it was %+v", after, before)
	}
}

// TestTheLogIsEnough restarts a host whose snapshots are damaged in one place or both.
func TestTheLogIsEnough(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	js := jetStream(t, s.connect(bus.RoleRoom))
	hot, cold, other := s.redis(), checkpoints{js, 0}, checkpoints{js, 1}
	h := s.host("one", true)
	s.create("lobby", "crash", fastCrash)
	s.create("derby", "race", fastRace)
	bad := []byte("no snapshot at all, but long enough to have a checksum")
	spoilHot := func() {
		if err := hot.PutSnapshot(t.Context(), 0, 1<<40, bad); err != nil {
			t.Fatal(err)
		}
	}
	spoilCold, spoilOther := func() { overwrite(t, cold, 0, bad) }, func() { overwrite(t, other, 0, bad) }
	for _, damage := range [][]func(){{spoilCold}, {spoilHot}, {spoilCold, spoilOther}, {spoilHot, spoilCold}, {spoilHot, spoilCold, spoilOther}} {
		have := s.updatesSoFar("lobby")
		s.eventually("rounds", func() bool { return s.updatesOf("lobby") > have+5 })
		h.stop()
		before := h.Partitions()[0]
		for _, spoil := range damage {
			spoil()
		}
		h = s.host("one", true)
		s.awaitReady(h)
		if after := h.Partitions()[0]; after.Rooms != 2 || after.Seq < before.Seq || after.GameTime < before.GameTime {
			t.Fatalf("with %d damaged snapshots it came back as %+v, before it was %+v", len(damage), after, before)
		}
	}
	s.wantWhole("lobby")
	s.wantWhole("derby")
}

func TestABetIsAnsweredThroughTheLedger(t *testing.T) {
	s := newStage(t, 1)
	s.host("one", true)
	s.create("lobby", "crash", map[string]any{"betting_ms": 300_000}) // the bet comes in time
	s.awaitBetting("lobby")
	s.command("lobby", wire.Command{Player: "ann", Key: "k", Op: "bet", Round: 1, Args: []byte(`{"slot":0,"amount":1000}`)})
	s.eventually("the bet is answered", func() bool { _, ok := s.answers[answerID("ann", "lobby", "k")]; return ok })
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.answers[answerID("ann", "lobby", "k")]; !a.OK {
		t.Fatal(a.Error)
	}
}

// TestABookingThatIsLostIsSentAgain has nobody keep what the owner sends at first.
func TestABookingThatIsLostIsSentAgain(t *testing.T) {
	s := newStageWithoutLedger(t, 1)
	nc := s.connect(bus.RoleRoom)
	js := jetStream(t, nc)
	queue, err := js.Stream(t.Context(), wire.StreamLedger)
	if err != nil {
		t.Fatal(err)
	}
	deaf := queue.CachedInfo().Config
	deaf.Subjects = []string{"elsewhere"}
	if _, err := js.UpdateStream(t.Context(), deaf); err != nil {
		t.Fatal(err)
	}
	h := s.host("one", true)
	s.create("lobby", "crash", map[string]any{"betting_ms": 300_000})
	s.awaitBetting("lobby")
	s.command("lobby", wire.Command{Player: "ann", Key: "k", Op: "bet", Round: 1, Args: []byte(`{"slot":0,"amount":1000}`)})
	s.eventually("bookings are asked for", func() bool { return h.Partitions()[0].Outstanding == 2 })
	if err := bus.EnsureStreams(t.Context(), nc, bus.Layout{Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	s.serveLedger()
	s.eventually("the bet is answered", func() bool { return s.answers[answerID("ann", "lobby", "k")].OK })
	s.eventually("nothing is asked for any more", func() bool { return h.Partitions()[0].Outstanding == 0 })
}

func TestTwoHostsShareAndTakeOver(t *testing.T) {
	t.Parallel()
	s := newStage(t, 4)
	one, two := s.host("one", false), s.host("two", false)
	s.eventually("each owns its share", func() bool { return one.owned() == 2 && two.owned() == 2 })
	for i := range 8 {
		s.create(fmt.Sprintf("room-%d", i), "race", fastRace)
	}
	rounds := func(n int) func() bool {
		return func() bool {
			for i := range 8 {
				if s.updatesOf(fmt.Sprintf("room-%d", i)) < n {
					return false
				}
			}
			return true
		}
	}
	s.eventually("rounds in all rooms", rounds(5))
	one.nc.Close() // as a kill −9 looks to the others
	s.eventually("the other owns all", func() bool { return two.owned() == 4 })
	have := s.updatesSoFar("room-0")
	s.eventually("rounds go on in all rooms", rounds(have+10))
	for i := range 8 {
		s.wantWhole(fmt.Sprintf("room-%d", i))
	}
}

// TestAClaimantThatDiesBeforeItSpeaksIsReplaced has the owner die, and then a
// candidate behind its claim in the log: nobody ever hears of the newest epoch.
func TestAClaimantThatDiesBeforeItSpeaksIsReplaced(t *testing.T) {
	s := newStage(t, 1)
	order := assign(1, []string{"one", "two"})[0] // the owner is the best candidate: it hands over to nobody
	one := s.host(order[0], false)
	s.eventually("one owns", func() bool { return one.owned() == 1 })
	nc := s.connect(bus.RoleRoom)
	asked := 0
	s.subscribe(nc, wire.PingSubject(0), func(*nats.Msg) {
		s.mu.Lock()
		defer s.mu.Unlock()
		asked++
	})
	two := s.host(order[1], false)
	s.eventually("two has heard from the owner", func() bool { return asked > 2 })
	nc.Close()
	js := jetStream(t, s.connect(bus.RoleRoom))
	one.nc.Close() // as a kill −9 looks to the others
	lost := s.depose(js)
	s.eventually("two owns", func() bool { return two.owned() == 1 && two.Partitions()[0].Epoch > lost })
}

// depose claims partition 0 for a node that is not there, and returns the epoch. Somebody
// else may claim in between: then it is claimed from that one.
func (s *stage) depose(js jetstream.JetStream) (epoch uint64) {
	s.t.Helper()
	log, err := js.Stream(s.t.Context(), wire.PartitionStream(0))
	if err != nil {
		s.t.Fatal(err)
	}
	testkit.Eventually(s.t, "a claim is stored", patience, func() bool {
		m, err := log.GetLastMsgForSubject(s.t.Context(), wire.ClaimSubject(0))
		if err != nil {
			s.t.Fatal(err)
		}
		ack, err := js.Publish(s.t.Context(), wire.ClaimSubject(0), game.Encode(wire.Claim{Node: "gone", Replaces: m.Sequence}),
			jetstream.WithExpectLastSequenceForSubject(m.Sequence, wire.ClaimSubject(0)))
		switch err = orFenced(err); {
		case err == nil:
			epoch = ack.Sequence
		case !errors.Is(err, ErrFenced) && !isCode(err, codeInProcess):
			s.t.Fatal(err)
		}
		return err == nil
	})
	return epoch
}

// hangingKind is a race whose commands wait until free is closed.
type hangingKind struct {
	race.Kind
	free <-chan struct{}
}

type hangingRoom struct {
	game.Room
	free <-chan struct{}
}

func (k hangingKind) New(at game.At, c game.Config, fx *game.Effects) (game.Room, *wire.Error) {
	r, refusal := k.Kind.New(at, c, fx)
	return hangingRoom{r, k.free}, refusal
}

func (r hangingRoom) Command(at game.At, c game.Command, fx *game.Effects) {
	<-r.free
	r.Room.Command(at, c, fx)
}

// TestAnOwnerWhoseLoopHangsIsReplaced: its connection is alive and would answer
// that it is there.
func TestAnOwnerWhoseLoopHangsIsReplaced(t *testing.T) {
	s := newStage(t, 1)
	free, never := make(chan struct{}), make(chan struct{})
	close(free)
	release := sync.OnceFunc(func() { close(never) })
	defer release() // one cannot end before
	one := s.hostOf("one", false, hangingKind{free: never})
	s.eventually("one owns", func() bool { return one.owned() == 1 })
	s.create("derby", "race", fastRace)
	two := s.hostOf("two", false, hangingKind{free: free})
	s.eventually("two has folded the room", func() bool { return two.Partitions()[0].Rooms == 1 })
	if one.owned() == 1 { // otherwise it was handed over, as two may be the better candidate
		s.command("derby", wire.Command{Player: "ann", Key: "k", Op: "tap", Args: []byte(`{"n":1}`)})
	}
	s.eventually("two owns", func() bool { return two.owned() == 1 })
	release()
	s.eventually("one has noticed", func() bool { return one.owned() == 0 })
	s.wantWhole("derby")
}

func anotherSecret(t *testing.T) {
	s := newStage(t, 1)
	right := s.host("right", true)
	s.create("lobby", "crash", fastCrash)
	s.eventually("rounds", func() bool { return s.updatesOf("lobby") > 5 })
	right.stop()
	wrong := s.hostWith("wrong", true, []byte("another secret, of as many bytes as it takes"))
	s.eventually("it halts", func() bool { return wrong.Partitions()[0].Halted != "" })
	if wrong.owned() != 0 {
		t.Fatal("it owns a room whose seeds it cannot know")
	}
}

// TestAHaltedCandidateIsNotWaitedFor has the best candidate by name be one that
// cannot fold the room: the owner must not hand over to it again and again.
func TestAHaltedCandidateIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	s := newStage(t, 1)
	best := assign(1, []string{"a", "b"})[0]
	right := s.host(best[1], false)
	s.eventually("it owns", func() bool { return right.owned() == 1 })
	s.create("lobby", "crash", fastCrash)
	s.eventually("rounds", func() bool { return s.updatesOf("lobby") > 5 })
	wrong := s.hostWith(best[0], false, []byte("another secret, of as many bytes as it takes"))
	s.eventually("the other halts", func() bool { return wrong.Partitions()[0].Halted != "" })
	epoch, until := right.Partitions()[0].Epoch, right.Partitions()[0].GameTime+int64(handOver+2*time.Second)
	s.eventually("rounds go on", func() bool { return right.Partitions()[0].GameTime > until })
	if now := right.Partitions()[0]; now.Epoch != epoch || !now.Owner {
		t.Fatalf("the owner handed over to a candidate that had halted: %+v, the epoch was %d", now, epoch)
	}
}

// TestForgedRecordsDoNoHarm has a gateway's user make JetStream answer to subjects of
// the log, which no permission forbids: with a record, with the news that there is
// none, and with an acknowledgement. What stands on the subject of claims fences the
// owner, who must claim again behind it.
func TestForgedRecordsDoNoHarm(t *testing.T) {
	s := newStage(t, 1)
	h := s.host("one", true)
	s.create("derby", "race", map[string]any{"gathering_ms": 100, "running_ms": 100, "finished_ms": 100})
	s.eventually("rounds", func() bool { return s.updatesOf("derby") > 5 })
	js := jetStream(t, s.gateway)
	if _, err := js.Publish(t.Context(), wire.ChatSubject("derby"), game.Encode(wire.Claim{Node: "evil"})); err != nil {
		t.Fatal(err)
	}
	const get = "$JS.API.DIRECT.GET." + wire.StreamChat
	for _, answered := range []struct{ subject, body string }{
		{get, `{"seq":1}`}, {get, `{"seq":99}`}, {get, `{"seq":1,"batch":3}`}, {get, `no JSON`}, {wire.ChatSubject("derby"), "hello"},
	} {
		before, have := h.Partitions()[0].Epoch, s.updatesSoFar("derby")
		for _, subject := range []string{
			wire.OwnerSubject(0), wire.ResultSubject(0), wire.CommandSubject(0, "derby"), wire.ActionSubject(0, "derby"), wire.ClaimSubject(0),
		} {
			if err := s.gateway.PublishRequest(answered.subject, subject, []byte(answered.body)); err != nil {
				t.Fatal(err)
			}
		}
		s.eventually("the owner claimed again", func() bool { return h.Partitions()[0].Epoch > before && h.owned() == 1 })
		s.eventually("rounds go on", func() bool { return s.updatesOf("derby") > have+5 })
	}
	s.wantWhole("derby")
}

// TestWhatIsSentToTheFeedIsNoRecord has an answer of JetStream sent to the feed, with
// the sequence that the log's next record will have.
func TestWhatIsSentToTheFeedIsNoRecord(t *testing.T) {
	s := newStage(t, 1)
	h := s.host("one", true)
	s.eventually("it owns", func() bool { return h.owned() == 1 })
	next := h.Partitions()[0].Seq + 1
	js := jetStream(t, s.gateway)
	for stored := uint64(0); stored < next; {
		line := nats.NewMsg(wire.ChatSubject("derby"))
		line.Header.Set(nats.JSStream, wire.PartitionStream(0))
		ack, err := js.PublishMsg(t.Context(), line)
		if err != nil {
			t.Fatal(err)
		}
		stored = ack.Sequence
	}
	get := fmt.Sprintf(`{"seq":%d}`, next)
	for _, subject := range []string{"cmd.0.derby", "own.0", "evt.0"} {
		if err := s.gateway.PublishRequest("$JS.API.DIRECT.GET."+wire.StreamChat, "log.0."+subject, []byte(get)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.gateway.Request("$JS.API.DIRECT.GET."+wire.StreamChat, []byte(get), time.Minute); err != nil {
		t.Fatal(err) // the answers before it have been sent
	}
	s.create("derby", "race", fastRace)
	s.eventually("rounds", func() bool { return s.updatesOf("derby") > 3 })
	if p := h.Partitions()[0]; p.Halted != "" || p.Epoch >= next {
		t.Fatalf("the partition is %+v", p)
	}
}

// TestARecordOfNoRoomDoesNoHarm: a subject of the stream takes any token, and a
// record that stopped the fold would stop it for ever.
func TestARecordOfNoRoomDoesNoHarm(t *testing.T) {
	s := newStage(t, 1)
	h := s.host("one", true)
	s.create("derby", "race", fastRace)
	for nc, subject := range map[*nats.Conn]string{s.gateway: "cmd.0.Not-A-Room!", s.operator: "adm.0.Not-A-Room!"} {
		js := jetStream(t, nc)
		for _, data := range [][]byte{nil, []byte("x"), game.Encode(wire.Action{ID: "a", Op: wire.ActionCreate}), make([]byte, 100_000)} {
			if _, err := js.Publish(t.Context(), subject, data); err != nil {
				t.Fatal(err)
			}
		}
	}
	have := s.updatesSoFar("derby")
	s.eventually("rounds go on", func() bool { return s.updatesOf("derby") > have+10 })
	if why := h.Partitions()[0].Halted; why != "" {
		t.Fatal(why)
	}
	h.stop()
	again := s.host("again", true)
	s.eventually("it starts again", func() bool { return again.owned() == 1 })
}

func TestASnapshotThatDoesNotFitTheLogIsReplaced(t *testing.T) {
	s := newStage(t, 1)
	store := s.redis()
	for why, snapshot := range map[string][]byte{
		"of another log": seal(NewPartition(PartitionConfig{Created: 1, Cashier: cashier.Kind{}}).Snapshot()),
		"damaged":        []byte("no snapshot at all, but long enough to have a checksum"),
	} {
		if err := store.PutSnapshot(t.Context(), 0, 1<<40, snapshot); err != nil {
			t.Fatal(err)
		}
		h := s.host("one", true)
		s.eventually("it owns", func() bool { return h.owned() == 1 })
		h.stop()
		sealed, err := store.GetSnapshot(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := unseal(sealed); err != nil || len(b) == 0 {
			t.Fatalf("a snapshot %s is still there: %v", why, err)
		}
	}
}
