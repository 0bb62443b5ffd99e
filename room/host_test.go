package room

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/bus"
	"tickcast/cache"
	"tickcast/internal/testkit"
	"tickcast/room/cashier"
	"tickcast/room/crash"
	"tickcast/room/game"
	"tickcast/room/race"
	"tickcast/wire"
)

const patience = 60 * time.Second

// stage is a deployment without gateways: the log, hosts, and the test in the
// parts of a gateway, an operator and a ledger.
type stage struct {
	t          *testing.T
	bus        *bus.Embedded
	partitions int
	gateway    *nats.Conn
	operator   *nats.Conn
	cache      *cache.Client // nil until there is a host

	mu       sync.Mutex
	updates  map[string]map[uint64]string // room to seq to bytes
	conflict string
	answers  map[string]wire.Answer
	lastTick map[string]wire.Tick
}

func newStage(t *testing.T, partitions int) *stage {
	t.Helper()
	s := newStageWithoutLedger(t, partitions)
	s.serveLedger()
	return s
}

func newStageWithoutLedger(t *testing.T, partitions int) *stage {
	t.Helper()
	e, err := bus.StartEmbedded(bus.EmbeddedConfig{StoreDir: t.TempDir(), SyncInterval: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Shutdown)
	s := &stage{
		t: t, bus: e, partitions: partitions, updates: map[string]map[uint64]string{},
		answers: map[string]wire.Answer{}, lastTick: map[string]wire.Tick{},
	}
	if err := bus.EnsureStreams(t.Context(), s.connect(bus.RoleRoom), bus.Layout{Partitions: partitions}); err != nil {
		t.Fatal(err)
	}
	s.gateway, s.operator = s.connect(bus.RoleGateway), s.connect(bus.RoleOperator)
	s.subscribe(s.gateway, "out.>", s.heard)
	s.subscribe(s.gateway, wire.AnswerSubject("gw"), s.answered)
	s.subscribe(s.operator, wire.AnswerSubject("api"), s.answered)
	return s
}

func (s *stage) connect(role bus.Role) *nats.Conn {
	s.t.Helper()
	nc, err := s.bus.Connect(role, "test-"+string(role))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(nc.Close)
	return nc
}

func (s *stage) subscribe(nc *nats.Conn, subject string, f nats.MsgHandler) {
	s.t.Helper()
	if _, err := nc.Subscribe(subject, f); err != nil {
		s.t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		s.t.Fatal(err)
	}
}

// serveLedger books with the model, through the real work queue.
func (s *stage) serveLedger() {
	nc := s.connect(bus.RoleLedger)
	js, err := jetstream.New(nc)
	if err != nil {
		s.t.Fatal(err)
	}
	c, err := js.CreateOrUpdateConsumer(s.t.Context(), wire.StreamLedger, jetstream.ConsumerConfig{Durable: "ledger", AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		s.t.Fatal(err)
	}
	book := newModelBook()
	cc, err := c.Consume(func(m jetstream.Msg) {
		var b wire.Booking
		if json.Unmarshal(m.Data(), &b) != nil {
			return
		}
		res, _ := book.apply(b)
		if _, err := js.Publish(context.Background(), wire.ResultSubject(b.Partition), game.Encode(res)); err == nil {
			_ = m.Ack()
		}
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(cc.Stop)
}

func (s *stage) heard(m *nats.Msg) {
	h, body, err := wire.ParseOut(m.Data)
	if err != nil {
		return
	}
	var room, class string
	var p int
	if _, err := fmt.Sscanf(m.Subject, "out.%d.", &p); err != nil {
		return
	}
	class = m.Subject[len(m.Subject)-1:]
	room = m.Subject[len(fmt.Sprintf("out.%d.", p)) : len(m.Subject)-2]
	s.mu.Lock()
	defer s.mu.Unlock()
	switch wire.OutClass(class) {
	case wire.OutUpdate:
		if s.updates[room] == nil {
			s.updates[room] = map[uint64]string{}
		}
		if before, ok := s.updates[room][h.Seq]; ok && before != string(body) {
			s.conflict = fmt.Sprintf("room %s update %d:\n%s\n%s", room, h.Seq, before, body)
		}
		s.updates[room][h.Seq] = string(body)
	case wire.OutTick:
		var tick wire.Tick
		_ = json.Unmarshal(body, &tick)
		s.lastTick[room] = tick
	}
}

func (s *stage) answered(m *nats.Msg) {
	var list []wire.RoutedAnswer
	if json.Unmarshal(m.Data, &list) != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range list {
		var answer wire.Answer
		_ = json.Unmarshal(a.Answer, &answer)
		s.answers[answerID(a.Player, a.Room, a.Key)] = answer
	}
}

func (s *stage) eventually(why string, ok func() bool) {
	s.t.Helper()
	testkit.Eventually(s.t, why, patience, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return ok()
	})
}

func (s *stage) act(room, op string, args any) wire.Answer {
	s.t.Helper()
	js, err := jetstream.New(s.operator)
	if err != nil {
		s.t.Fatal(err)
	}
	a := wire.Action{ID: fmt.Sprintf("%s-%s-%d", room, op, rand.Uint64()), Operator: "op", ReplyTo: "api", Op: op, Args: game.Encode(args)}
	p := wire.PartitionOf(room, s.partitions)
	if _, err := js.Publish(s.t.Context(), wire.ActionSubject(p, room), game.Encode(a)); err != nil {
		s.t.Fatal(err)
	}
	id := answerID("", room, a.ID)
	s.awaitAnswer(id, wire.Ask{Op: wire.AskAnswer, Room: room, Key: a.ID})
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.answers[id]
}

// awaitAnswer waits for an answer, and asks for it like a gateway: it may have
// been given while nobody spoke.
func (s *stage) awaitAnswer(id string, ask wire.Ask) {
	s.t.Helper()
	testkit.Eventually(s.t, "an answer to "+id, patience, func() bool {
		s.mu.Lock()
		_, ok := s.answers[id]
		s.mu.Unlock()
		if ok {
			return true
		}
		m, err := s.operator.Request(wire.AskSubject(wire.PartitionOf(ask.Room, s.partitions)), game.Encode(ask), time.Second)
		var reply wire.AskReply
		var answer wire.Answer
		if err != nil || json.Unmarshal(m.Data, &reply) != nil || json.Unmarshal(reply.Answer, &answer) != nil {
			return false
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.answers[id] = answer
		return true
	})
}

func (s *stage) create(room, kind string, settings any) {
	s.t.Helper()
	args := wire.CreateArgs{UUID: "0190a000-0000-7000-8000-000000000000", Game: kind, Settings: game.Encode(settings)}
	if a := s.act(room, wire.ActionCreate, args); !a.OK {
		s.t.Fatalf("create %s: %v", room, a.Error)
	}
}

func (s *stage) command(room string, c wire.Command) {
	s.t.Helper()
	js, err := jetstream.New(s.gateway)
	if err != nil {
		s.t.Fatal(err)
	}
	c.Name, c.Gateway = c.Player, "gw"
	b, _ := c.AppendBinary(nil)
	if _, err := js.Publish(s.t.Context(), wire.CommandSubject(wire.PartitionOf(room, s.partitions), room), b, jetstream.WithMsgID(c.MsgID(room))); err != nil {
		s.t.Fatal(err)
	}
}

// awaitBetting waits until a round of a crash room has been opened.
func (s *stage) awaitBetting(room string) {
	s.t.Helper()
	s.eventually("a round is open", func() bool {
		for _, u := range s.updates[room] {
			if strings.Contains(u, `"phase":"betting"`) {
				return true
			}
		}
		return false
	})
}

// updatesOf is how many updates of a room were heard; the caller holds mu.
func (s *stage) updatesOf(room string) int { return len(s.updates[room]) }

func (s *stage) updatesSoFar(room string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.updatesOf(room)
}

// wantWhole checks that the updates of a room have no gap and no two versions.
func (s *stage) wantWhole(room string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conflict != "" {
		s.t.Fatal("an update has two versions: " + s.conflict)
	}
	for seq := uint64(1); seq <= uint64(len(s.updates[room])); seq++ {
		if _, ok := s.updates[room][seq]; !ok {
			s.t.Fatalf("room %s: update %d of %d is missing", room, seq, len(s.updates[room]))
		}
	}
}

// redis is the cache of the deployment, started with the first host.
func (s *stage) redis() SnapshotStore {
	s.t.Helper()
	if s.cache != nil {
		return s.cache
	}
	e, err := cache.StartEmbedded()
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(e.Close)
	if s.cache, err = cache.Open(e.URL()); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = s.cache.Close() })
	return s.cache
}

// hosted is a Host with a connection of its own.
type hosted struct {
	*Host
	nc   *nats.Conn
	stop func() // clean
}

func (s *stage) host(node string, alone bool) *hosted {
	s.t.Helper()
	return s.hostWith(node, alone, testSecret)
}

func (s *stage) hostWith(node string, alone bool, secret []byte) *hosted {
	s.t.Helper()
	chains := crash.NewChains(secret, rand.NewChaCha8([32]byte{7}))
	return s.hostOf(node, alone, crash.New(chains), race.Kind{})
}

func (s *stage) hostOf(node string, alone bool, kinds ...game.Kind) *hosted {
	s.t.Helper()
	nc, err := s.bus.Connect(bus.RoleRoom, node)
	if err != nil {
		s.t.Fatal(err)
	}
	h, err := NewHost(HostConfig{
		Node: node, Conn: nc, Kinds: kinds, Cashier: cashier.Kind{},
		Partitions: s.partitions, Alone: alone, Log: testkit.Logger(s.t), Snapshots: s.redis(),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Errorf("host %s: %v", node, err)
		}
		nc.Close()
	})
	s.t.Cleanup(stop)
	return &hosted{Host: h, nc: nc, stop: stop}
}

func (h *hosted) owned() (n int) {
	for _, p := range h.Partitions() {
		if p.Owner {
			n++
		}
	}
	return n
}

func TestAHostRunsRoomsAndGoesOnAfterARestart(t *testing.T) {
	s := newStage(t, 2)
	h := s.host("one", true)
	s.create("lobby", "crash", fastCrash)
	s.create("derby", "race", fastRace)
	s.eventually("rounds in both rooms", func() bool { return s.updatesOf("lobby") > 12 && s.updatesOf("derby") > 12 })
	h.stop()
	s.mu.Lock()
	before := s.lastTick["lobby"]
	s.mu.Unlock()
	s.host("one", true)
	s.eventually("rounds go on", func() bool { return s.lastTick["lobby"].Seq > before.Seq+12 })
	s.wantWhole("lobby")
	s.wantWhole("derby")
	if after := s.lastTick["lobby"]; after.Epoch <= before.Epoch || after.Time < before.Time {
		t.Fatalf("after the restart the tick is %+v, before it was %+v", after, before)
	}
}

func TestABetIsAnsweredThroughTheLedger(t *testing.T) {
	s := newStage(t, 1)
	s.host("one", true)
	s.create("lobby", "crash", map[string]any{"betting_ms": 5000})
	s.awaitBetting("lobby")
	s.command("lobby", wire.Command{Player: "ann", Key: "k", Op: "bet", Round: 1, Args: []byte(`{"slot":0,"amount":1000}`)})
	s.eventually("the bet is answered", func() bool { _, ok := s.answers[answerID("ann", "lobby", "k")]; return ok })
	if a := s.answers[answerID("ann", "lobby", "k")]; !a.OK {
		t.Fatal(a.Error)
	}
}

// TestABookingThatIsLostIsSentAgain has nobody keep what the owner sends at first.
func TestABookingThatIsLostIsSentAgain(t *testing.T) {
	s := newStageWithoutLedger(t, 1)
	nc := s.connect(bus.RoleRoom)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
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
	one := s.host("one", false)
	s.eventually("one owns", func() bool { return one.owned() == 1 })
	nc := s.connect(bus.RoleRoom)
	asked := 0
	s.subscribe(nc, wire.PingSubject(0), func(*nats.Msg) {
		s.mu.Lock()
		defer s.mu.Unlock()
		asked++
	})
	two := s.host("two", false)
	s.eventually("two has heard from the owner", func() bool { return asked > 2 })
	nc.Close()
	js, err := jetstream.New(s.connect(bus.RoleRoom))
	if err != nil {
		t.Fatal(err)
	}
	epoch := one.Partitions()[0].Epoch
	one.nc.Close() // as a kill −9 looks to the others
	lost, err := js.Publish(t.Context(), wire.ClaimSubject(0), game.Encode(wire.Claim{Node: "gone", Replaces: epoch}),
		jetstream.WithExpectLastSequenceForSubject(epoch, wire.ClaimSubject(0)))
	if err != nil {
		t.Fatal(err)
	}
	s.eventually("two owns", func() bool { return two.owned() == 1 && two.Partitions()[0].Epoch > lost.Sequence })
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
	one := s.hostOf("one", false, hangingKind{free: never})
	s.eventually("one owns", func() bool { return one.owned() == 1 })
	s.create("derby", "race", fastRace)
	two := s.hostOf("two", false, hangingKind{free: free})
	s.eventually("two has folded the room", func() bool { return two.Partitions()[0].Rooms == 1 })
	if one.owned() == 1 { // otherwise it was handed over, as two may be the better candidate
		s.command("derby", wire.Command{Player: "ann", Key: "k", Op: "tap", Args: []byte(`{"n":1}`)})
	}
	s.eventually("two owns", func() bool { return two.owned() == 1 })
	close(never)
	s.eventually("one has noticed", func() bool { return one.owned() == 0 })
	s.wantWhole("derby")
}

func TestAHostWithAnotherSecretIsNoCandidate(t *testing.T) {
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

// TestAForgedClaimDoesNoHarm has a gateway's user make JetStream answer to the
// subject of claims, which no permission forbids. The record stands in the log and
// fences the owner, who must claim again behind it.
func TestAForgedClaimDoesNoHarm(t *testing.T) {
	s := newStage(t, 1)
	h := s.host("one", true)
	s.create("derby", "race", fastRace)
	s.eventually("rounds", func() bool { return s.updatesOf("derby") > 5 })
	js, err := jetstream.New(s.gateway)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), wire.ChatSubject("derby"), game.Encode(wire.Claim{Node: "evil"})); err != nil {
		t.Fatal(err)
	}
	before := h.Partitions()[0].Epoch
	if err := s.gateway.PublishRequest("$JS.API.DIRECT.GET."+wire.StreamChat, wire.ClaimSubject(0), []byte(`{"seq":1}`)); err != nil {
		t.Fatal(err)
	}
	s.eventually("the owner claimed again", func() bool { return h.Partitions()[0].Epoch > before && h.owned() == 1 })
	have := 0
	s.eventually("rounds go on", func() bool {
		if have == 0 {
			have = s.updatesOf("derby")
		}
		return s.updatesOf("derby") > have+10
	})
	s.wantWhole("derby")
}

// TestARecordOfNoRoomDoesNoHarm: a subject of the stream takes any token, and a
// record that stopped the fold would stop it for ever.
func TestARecordOfNoRoomDoesNoHarm(t *testing.T) {
	s := newStage(t, 1)
	h := s.host("one", true)
	s.create("derby", "race", fastRace)
	for nc, subject := range map[*nats.Conn]string{s.gateway: "cmd.0.Not-A-Room!", s.operator: "adm.0.Not-A-Room!"} {
		js, err := jetstream.New(nc)
		if err != nil {
			t.Fatal(err)
		}
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
