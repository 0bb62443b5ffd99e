package room

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/bus"
	"tickcast/cache"
	"tickcast/internal/testbus"
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
	t          testing.TB
	bus        *testbus.Bus
	partitions int
	gateway    *nats.Conn
	operator   *nats.Conn
	cache      *cache.Client     // nil until there is a host
	configure  func(*HostConfig) // of the next hosts; nil leaves them as they are

	book     *modelBook // guarded by mu, as the next; nil without a ledger
	mu       sync.Mutex
	updates  map[string]map[uint64]string // room to seq to bytes
	conflict string
	answers  map[string]wire.Answer
	lastTick map[string]wire.Tick
}

func newStage(t testing.TB, partitions int) *stage {
	t.Helper()
	s := newStageWithoutLedger(t, partitions)
	s.serveLedger()
	return s
}

func newStageWithoutLedger(t testing.TB, partitions int) *stage {
	t.Helper()
	s := &stage{
		t: t, bus: testbus.Start(t), partitions: partitions, updates: map[string]map[uint64]string{},
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

// jetStream waits for answers as long as a test waits for anything: the five seconds of the
// library are too few on a busy machine.
func jetStream(t testing.TB, nc *nats.Conn, opts ...jetstream.JetStreamOpt) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc, append(opts, jetstream.WithDefaultTimeout(patience))...)
	if err != nil {
		t.Fatal(err)
	}
	return js
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
	js := jetStream(s.t, nc)
	c, err := js.CreateOrUpdateConsumer(s.t.Context(), wire.StreamLedger, jetstream.ConsumerConfig{Durable: "ledger", AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		s.t.Fatal(err)
	}
	s.book = newModelBook()
	cc, err := c.Consume(func(m jetstream.Msg) {
		var b wire.Booking
		if json.Unmarshal(m.Data(), &b) != nil {
			return
		}
		s.mu.Lock()
		res, _ := s.book.apply(b)
		s.mu.Unlock()
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
	js := jetStream(s.t, s.operator)
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
	js := jetStream(s.t, s.gateway)
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

// lastTickOf is the newest tick of a room that was heard.
func (s *stage) lastTickOf(room string) wire.Tick {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lastTick[room]
}

// heardOf are the updates of a room that were heard.
func (s *stage) heardOf(room string) map[uint64]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.updates[room])
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

// wantNoVoid checks what wantWhole does, and that no round of the room was voided.
func (s *stage) wantNoVoid(room string) {
	s.t.Helper()
	s.wantWhole(room)
	for _, u := range s.heardOf(room) {
		if strings.Contains(u, `"e":"void"`) {
			s.t.Fatalf("room %s has a void: %s", room, u)
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
	nc    *nats.Conn
	ended chan struct{} // closed when Run has returned
	err   error         // what it returned
	stop  func()        // clean
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
	cfg := HostConfig{
		Node: node, Conn: nc, Kinds: kinds, Cashier: cashier.Kind{},
		Partitions: s.partitions, Alone: alone, Log: testkit.Logger(s.t), Snapshots: s.redis(),
	}
	if s.configure != nil {
		s.configure(&cfg)
	}
	h, err := NewHost(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	run := &hosted{Host: h, nc: nc, ended: make(chan struct{})}
	go func() {
		defer close(run.ended)
		run.err = h.Run(ctx)
	}()
	run.stop = sync.OnceFunc(func() {
		cancel()
		if <-run.ended; run.err != nil {
			s.t.Errorf("host %s: %v", node, run.err)
		}
		nc.Close()
	})
	s.t.Cleanup(run.stop)
	return run
}

// awaitReady waits until a host has caught up, which one that could not open its log never has.
func (s *stage) awaitReady(h *hosted) {
	s.t.Helper()
	select {
	case <-h.Ready():
	case <-h.ended:
		s.t.Fatalf("the host has ended: %v", h.err)
	}
}

func (h *hosted) owned() (n int) {
	for _, p := range h.Partitions() {
		if p.Owner {
			n++
		}
	}
	return n
}
