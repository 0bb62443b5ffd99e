package sim

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"tickcast/room"
	"tickcast/room/cashier"
	"tickcast/room/crash"
	"tickcast/room/game"
	"tickcast/room/race"
	"tickcast/wire"
)

// secret is that of all room servers but those with another one.
var secret = []byte("the secret of the room servers of a simulation")

// chainRounds is how long a chain lasts here, so that chains follow each other.
const chainRounds = 64

// shared are the chains of the secret, which all runs of a process use.
var shared = newChains(secret)

func newChains(secret []byte) *crash.SecretChains {
	c := crash.NewChains(secret, nil)
	c.Rounds = chainRounds
	return c
}

// chains are those of a secret, with salts of their own.
type chains struct {
	*crash.SecretChains
	salts *crash.SecretChains
}

// Salt implements crash.Chains.
func (c *chains) Salt() string { return c.salts.Salt() }

// rules are a server's games. They are made once per server and process, as they compute
// tables; only the salts are those of a run.
type rules struct {
	chains *chains
	kinds  []game.Kind
}

func newRules(secrets *crash.SecretChains) *rules {
	c := &chains{SecretChains: secrets}
	return &rules{c, []game.Kind{crash.New(c), race.Kind{}}}
}

// begin has the salts of a run drawn from its randomness.
func (r *rules) begin(rnd *rand.Rand) *rules {
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(rnd.Uint32())
	}
	r.chains.salts = crash.NewChains(nil, rand.NewChaCha8(seed))
	return r
}

// The rules of the truth, of servers, and of a server with another secret.
var (
	trueRules    = newRules(shared)
	serverRules  = []*rules{newRules(shared), newRules(shared), newRules(shared), newRules(shared)}
	foreignRules = newRules(newChains([]byte("another secret than that of the room servers")))
)

// server is a room server: a real Replica, and what is done to it.
type server struct {
	w     *world
	id    int
	name  string
	link  link
	rules *rules

	replica *room.Replica // nil while it is dead
	old     bool          // it is of an older version
	trimmer *room.Trimmer // of its process, nil when nothing is trimmed
	besides map[string]*steps
	life    int      // how often it was started
	stopped int64    // it is paused until then
	waiting []func() // what happens to it when it goes on
	died    int64
	wakeAt  int64 // of the wake that is asked for; 0 for none
	feedAt  int64 // when the newest record of the feed arrives
	coreAt  int64 // when the newest message of its arrives, so that order is kept
	listens uint64
	leaving bool
	answers []sayAnswer
}

type sayAnswer struct {
	node string
	b    []byte
}

func newServer(w *world, i int) *server {
	s := &server{w: w, id: i, name: fmt.Sprint("room-", i), rules: serverRules[i].begin(w.rnd)}
	s.link = link{w: w, down: true}
	s.old = w.cfg.mixed && w.chance(0.5)
	return s
}

// start makes a process that has caught up with the log, or tries again soon.
func (s *server) start() {
	s.life++
	s.link.down, s.leaving, s.listens, s.stopped, s.waiting, s.wakeAt = false, false, 0, 0, nil, 0
	s.besides, s.trimmer = map[string]*steps{}, nil
	s.replica = room.NewReplica(room.ReplicaConfig{
		Partition: room.PartitionConfig{ID: partition, Kinds: s.rules.kinds, Cashier: cashier.Kind{}, Inline: true},
		Node:      s.name, Version: "sim", Hot: s.store(redis{s.w.redis}), Cold: s.checkpoints(), Rank: s.rank, Better: s.better,
		Trim: s.w.cfg.trimming.config(s), CheckpointRecords: s.w.cfg.trimming.checkpoints,
		Versions: s.agreed, Now: func() time.Time { return time.Unix(0, s.w.now) },
		Rand: rand.New(rand.NewPCG(s.w.rnd.Uint64(), s.w.rnd.Uint64())),
	})
	if err := s.replica.Open(context.Background(), serverLog{s, s.w.log}, voice{s}); err != nil {
		s.kill()
		s.w.after(300*time.Millisecond, func() {
			if s.replica == nil {
				s.start()
			}
		})
		return
	}
	s.w.note("start", []byte(s.name))
	s.turn()
	s.sweepLater()
}

// kill ends the process without a last word.
func (s *server) kill() {
	s.life++
	s.abandon()
	s.replica, s.link.down, s.listens, s.died, s.answers = nil, true, 0, s.w.now, nil
}

// drainWithin is how long a process that leaves hands over at most.
const drainWithin = 4 * time.Second

// leave ends the process in order: it hands over what it owns first.
func (s *server) leave() {
	life := s.life
	s.do(life, func() {
		s.leaving = true
		s.replica.Drain()
	})
	s.w.after(drainWithin, func() { s.do(life, s.left) })
}

// left ends the process behind its last word.
func (s *server) left() {
	s.replica.Leave()
	s.flushAnswers()
	s.abandon()
	s.replica.Flush(context.Background())
	s.kill()
	s.died = 0 // it has said so
}

// do has something happen to the process of a life: at once, when it goes on, or never.
func (s *server) do(life int, f func()) {
	switch {
	case s.life != life || s.replica == nil:
	case s.w.now < s.stopped:
		s.waiting = append(s.waiting, f)
	default:
		f()
		s.turn()
	}
}

// later wraps an event of the replica that comes of something it did in this life.
func (s *server) later(f func(*room.Replica, ack)) func(ack) {
	life := s.life
	return func(a ack) { s.do(life, func() { f(s.replica, a) }) }
}

// pause stops the process for a while, as SIGSTOP and SIGCONT do.
func (s *server) pause(d time.Duration) {
	life := s.life
	s.stopped = s.w.now + int64(d)
	s.w.at(s.stopped, func() {
		if s.life != life || s.w.now < s.stopped {
			return
		}
		waiting := s.waiting
		s.waiting = nil
		for _, f := range waiting {
			s.do(life, f)
		}
	})
}

// turn is what the loop does behind each event.
func (s *server) turn() {
	if s.replica == nil {
		return
	}
	wait := s.replica.Turn()
	s.flushAnswers()
	if s.leaving && s.replica.Drained() {
		s.left()
		return
	}
	at := s.w.now + int64(max(wait, 20*time.Microsecond))
	if s.wakeAt != 0 && s.wakeAt <= at && s.wakeAt > s.w.now {
		return
	}
	s.wakeAt = at
	life := s.life
	s.w.at(at, func() {
		if s.wakeAt == at {
			s.wakeAt = 0
		}
		s.do(life, func() { s.replica.Wake() })
	})
}

func (s *server) sweepLater() {
	life := s.life
	s.w.after(250*time.Millisecond, func() {
		if s.life != life {
			return
		}
		s.do(life, func() {
			s.replica.Sweep()
			s.beside("save", s.replica.Flush)
			if s.trimmer != nil {
				s.beside("trim", s.trimmer.Flush)
			}
		})
		s.sweepLater()
	})
}

// rank is by number, among the servers that were there within the last seconds.
func (s *server) rank(dead string) (better int) {
	for _, name := range s.better() {
		if name != dead {
			better++
		}
	}
	return better
}

// better are the candidates before this one: all there are when it leaves.
func (s *server) better() (names []string) {
	for _, o := range s.w.servers {
		heard := o.replica != nil && o.replica.Halted() == nil || o.replica == nil && o.died != 0 && s.w.now-o.died < int64(3*time.Second)
		if (o.id < s.id || s.leaving && o != s) && heard && !o.leaving {
			names = append(names, o.name)
		}
	}
	return names
}

// republished is a record on its way by the live feed, in order unless it is lost.
func (s *server) republished(rec room.Record) {
	if s.replica == nil || !s.link.toCore() || s.w.now < s.link.log {
		return
	}
	s.feedAt = max(s.feedAt, s.w.now+int64(s.w.delay()))
	life := s.life
	s.w.at(s.feedAt, func() {
		s.do(life, func() {
			s.replica.Record(s.altered(rec))
			s.compare()
		})
	})
}

// compare holds the state to the truth, where that has one for the record.
func (s *server) compare() {
	if s.replica.Halted() != nil {
		if !s.expectedToHalt() {
			s.w.fail("%s halted: %v", s.name, s.replica.Halted())
		}
		return
	}
	p := s.replica.Partition()
	if s.strayed() {
		return
	}
	if want, ok := s.w.truth.digests[p.Last().Seq]; ok && sha256.Sum256(p.Snapshot()) != want {
		s.w.fail("%s has another state at record %d than the truth", s.name, p.Last().Seq)
	}
}

func (s *server) expectedToHalt() bool {
	return s.rules == foreignRules || s.w.truth.halted != nil || s.tooOld()
}

// voice is how a server is heard.
type voice struct{ *server }

// Listen implements room.Voice.
func (v voice) Listen(epoch uint64) error {
	if v.rules == foreignRules {
		v.w.fail("%s owns the partition with another secret", v.name)
	}
	v.listens = epoch
	if !v.strayed() { // else it folded a claim that the log has lost since
		v.w.truth.owned(v.name, epoch)
	}
	return nil
}

// Mute implements room.Voice.
func (v voice) Mute() { v.listens = 0 }

// Say implements room.Voice.
func (v voice) Say(room string, class wire.OutClass, log string, message []byte) {
	message = slices.Clone(message)
	if v.w.cfg.broken == tellsSeeds && class == wire.OutTick {
		message = append(message, v.w.truth.rooms[room].seed...)
	}
	v.w.note("say", message)
	h, body, err := wire.ParseOut(message)
	if err != nil {
		v.w.fail("%s says what is no message", v.name)
		return
	}
	if class == wire.OutUpdate {
		v.w.truth.said(v.server, room, h.Seq, body)
	} else {
		v.w.truth.unsaid("a message of class "+string(class), message)
	}
	for _, g := range v.w.gateways {
		heard := func() { g.heard(room, class, log, h, body) }
		if class == wire.OutMeta && v.link.connected() { // one that is lost is noticed by who was cut off
			v.deliver(func() bool { return g.link.connected() }, heard)
		} else if class != wire.OutMeta {
			v.send(&g.link, heard)
		}
	}
}

// send brings a message to another process by core messaging.
func (v voice) send(to *link, f func()) {
	if !v.link.toCore() {
		return
	}
	v.deliver(to.toCore, f)
}

// deliver has f happen in order with all that the server says, if it arrives then.
func (v voice) deliver(arrives func() bool, f func()) {
	v.coreAt = max(v.coreAt, v.w.now+int64(v.w.delay()))
	v.w.at(v.coreAt, func() {
		if arrives() {
			f()
		}
	})
}

// Answer implements room.Voice. The nodes come in any order, so what one turn says is
// sorted.
func (v voice) Answer(node string, answers []byte) {
	v.answers = append(v.answers, sayAnswer{node, slices.Clone(answers)})
}

func (s *server) flushAnswers() {
	slices.SortStableFunc(s.answers, func(a, b sayAnswer) int { return cmpString(a.node, b.node) })
	for _, a := range s.answers {
		s.w.note("answer", a.b)
		s.w.truth.unsaid("an answer", a.b)
		var list []wire.RoutedAnswer
		if err := json.Unmarshal(a.b, &list); err != nil {
			s.w.fail("%s answers what is no list: %v", s.name, err)
			continue
		}
		if a.node == operatorNode {
			voice{s}.send(&s.w.operator.link, func() { s.w.operator.answered(list) })
		}
		for _, g := range s.w.gateways {
			if g.name == a.node {
				voice{s}.send(&g.link, func() { g.answers(list) })
			}
		}
	}
	s.answers = s.answers[:0]
}

// Book implements room.Voice.
func (v voice) Book(id string, booking []byte) error {
	v.w.note("book", booking)
	v.w.truth.unsaid("a booking", booking)
	if v.w.cfg.broken == booksOnce && v.w.ledger.sent[id] {
		return nil
	}
	v.w.ledger.sent[id] = true
	booking = slices.Clone(booking)
	v.send(&v.w.ledger.link, func() { v.w.ledger.queued(id, booking) })
	return nil
}

// List implements room.Voice.
func (v voice) List([]wire.RoomInfo, []wire.Sanction) {}

// Introduce implements room.Voice.
func (v voice) Introduce(time.Time, []wire.RoomInfo, []wire.Sanction) {}

// Flush implements room.Voice.
func (v voice) Flush() {}

// Offer implements room.Voice.
func (v voice) Offer(n uint64, node string, offer []byte) error {
	to := v.w.servers[slices.IndexFunc(v.w.servers, func(o *server) bool { return o.name == node })]
	life := v.life
	declined := func(why string) { v.w.after(v.w.delay(), func() { v.do(life, func() { v.replica.Declined(n, why) }) }) }
	v.send(&to.link, func() {
		if to.replica == nil {
			declined("nobody listens")
			return
		}
		to.do(to.life, func() {
			var o wire.Offer
			decode(offer, &o)
			if why := to.replica.Offered(o); why != "" {
				declined(why)
			}
		})
	})
	return nil
}

// AskLedger implements room.Voice.
func (v voice) AskLedger(n uint64, query []byte) error {
	var q wire.LedgerQuery
	decode(query, &q)
	life := v.life
	v.send(&v.w.ledger.link, func() {
		if v.w.now < v.w.ledger.down {
			return
		}
		reply := v.w.ledger.stakes(q.Stakes)
		switch v.w.cfg.broken {
		case noOrphans:
			reply.Open = nil
		case noHold:
			reply.Queued, reply.Booked = 0, 0
		case staleWitness:
			if v.w.ledger.witnessed != nil {
				reply.Open = v.w.ledger.witnessed
			}
			v.w.ledger.witnessed = reply.Open
		}
		v.w.after(v.w.delay(), func() {
			if v.link.toCore() {
				v.do(life, func() { v.replica.Witnessed(n, reply) })
			}
		})
	})
	return nil
}

// Ping implements room.Voice.
func (v voice) Ping(n uint64) error {
	if !v.link.toCore() {
		return nil
	}
	life := v.life
	pong := func(owner bool) { v.do(life, func() { v.replica.Pong(n, owner) }) }
	v.w.after(v.w.delay(), func() {
		listening := false
		for _, o := range v.w.servers {
			if o.listens == 0 {
				continue
			}
			listening = true
			if v.w.now >= o.stopped && o.link.toCore() && v.link.toCore() {
				v.w.after(v.w.delay(), func() { pong(true) })
			}
		}
		if !listening && v.link.toCore() {
			v.w.after(v.w.delay(), func() { pong(false) })
		}
	})
	return nil
}

// ask brings a request to the owner, or when there is none, and now and then, to a
// follower, and the reply back. Without one that says something done gets nil.
func (w *world) ask(from *link, a wire.Ask, done func(*wire.AskReply)) {
	answered := false
	finish := func(r *wire.AskReply) {
		if !answered {
			answered = true
			done(r)
		}
	}
	w.after(time.Second, func() { finish(nil) })
	if !from.toCore() {
		return
	}
	w.after(w.delay(), func() {
		for _, s := range w.askable() {
			s.do(s.life, func() { s.reply(from, encode(a), finish) })
		}
	})
}

// askable are the servers that a request reaches.
func (w *world) askable() (list []*server) {
	for _, s := range w.servers {
		if s.listens != 0 && s.link.toCore() {
			list = append(list, s)
		}
	}
	if s := w.servers[w.rnd.IntN(len(w.servers))]; s.listens == 0 && (len(list) == 0 || w.chance(0.2)) && s.link.toCore() {
		return []*server{s}
	}
	return list
}

func (s *server) reply(to *link, request []byte, finish func(*wire.AskReply)) {
	reply := s.replica.Ask(request)
	s.w.truth.unsaid("a reply", reply)
	var r wire.AskReply
	if err := json.Unmarshal(reply, &r); err != nil {
		s.w.fail("%s replies what is none: %v", s.name, err)
		return
	}
	if to.toCore() && (r.Error == nil || r.Error.Code != wire.CodeUnavailable) {
		s.w.after(s.w.delay(), func() { finish(&r) })
	}
}
