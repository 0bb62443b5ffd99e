package room

import (
	"slices"
	"time"

	"tickcast/room/game"
	"tickcast/wire"
)

// A booking without a result is sent again after resendFirst, then after twice as
// long each time, up to resendMost. The ledger's queue drops early repetitions; later
// ones stand in the queue beside the first, so they are few. Its ID makes the ledger
// book it once in any case.
const (
	resendFirst = time.Second
	resendMost  = 5 * time.Minute
)

const (
	// gatherAnswers bounds the answers that wait for others to the same gateway.
	gatherAnswers = 512
	// bookBatch is how many bookings go out in one turn of the owner's loop. When a
	// crash or a target ends thousands of bets, ticks and commands come between them.
	bookBatch = 64
	// Payouts wait for others until none has come for payoutPause, for payoutHold at most.
	// Cash-outs come in bursts: what a payout costs behind its answer is then done when
	// the burst is over. A booking that is no payout takes those before it along.
	payoutPause = 25 * time.Millisecond
	payoutHold  = 250 * time.Millisecond
)

// speaker says what the owner says: its messages may be lost, and whoever misses one
// asks. What must not be lost is in the state and said again.
//
// What everybody is told goes out at once. Answers and what single players are told
// wait for flush, so that the records that are folded in one turn of the loop take one
// message to each gateway; bookings follow in batches.
type speaker struct {
	voice   Voice
	buf     []byte
	answers int // in byNode
	byNode  map[string][]wire.RoutedAnswer
	private []Message
	queue   []string // IDs of the bookings that are to go out, in order, each in sent
	sent    map[string]*resend
	hold    hold
}

// hold is for how long the queue of bookings waits for more.
type hold struct {
	urgent        bool // not at all: one of them is no payout, or is due again
	seen          int  // how many there were when flush last looked
	first, newest time.Time
}

// wait is for how long a queue of n bookings is to wait.
func (h *hold) wait(n int, now time.Time) time.Duration {
	if h.seen == 0 {
		h.first = now
	}
	if n > h.seen {
		h.seen, h.newest = n, now
	}
	if h.urgent {
		return 0
	}
	return min(h.newest.Add(payoutPause).Sub(now), h.first.Add(payoutHold).Sub(now))
}

// resend is an outstanding booking.
type resend struct {
	queued bool
	at     time.Time // when it goes out again, unless queued
	wait   time.Duration
}

func newSpeaker(v Voice) *speaker {
	return &speaker{voice: v, byNode: map[string][]wire.RoutedAnswer{}, sent: map[string]*resend{}}
}

// say publishes what everybody is told in an output and keeps the rest for flush.
func (s *speaker) say(o *Output) {
	for _, m := range o.Messages {
		if m.Class == wire.OutPrivate {
			s.private = append(s.private, m)
		} else {
			s.message(m)
		}
	}
	for _, a := range o.Answers {
		s.byNode[a.Node] = append(s.byNode[a.Node], a.RoutedAnswer)
	}
	for i := range o.Bookings {
		s.enqueue(o.Bookings[i].ID, o.Bookings[i].Kind != wire.BookPayout)
	}
	if len(o.Directory)+len(o.Sanctions) > 0 {
		s.voice.List(o.Directory, o.Sanctions)
	}
	if s.answers += len(o.Answers); s.answers >= gatherAnswers {
		s.flushAnswers()
	}
}

// flush publishes the answers and private messages that were kept, and a batch of the
// bookings. It returns after how long it is to be called for the next batch: between
// batches the owner does what else there is to do.
func (s *speaker) flush(p *Partition, now time.Time) (again time.Duration) {
	s.flushAnswers()
	for _, m := range s.private {
		s.message(m)
	}
	clear(s.private)
	s.private = s.private[:0]
	return s.flushBookings(p, now)
}

func (s *speaker) flushBookings(p *Partition, now time.Time) (again time.Duration) {
	if len(s.queue) == 0 {
		return time.Hour
	}
	if wait := s.hold.wait(len(s.queue), now); wait > 0 {
		return wait
	}
	n := min(len(s.queue), bookBatch)
	for _, id := range s.queue[:n] {
		s.book(p, id, now)
	}
	if s.queue = s.queue[n:]; len(s.queue) > 0 {
		s.hold.urgent = true // the queue goes out as a whole
		return 0
	}
	s.hold = hold{}
	return time.Hour
}

func (s *speaker) flushAnswers() {
	for node, answers := range s.byNode {
		for rest := answers; len(rest) > 0; {
			n, bytes := fitting(rest, answerBytes)
			s.voice.Answer(node, wire.AppendAnswers(make([]byte, 0, bytes), rest[:n]))
			rest = rest[n:]
		}
		delete(s.byNode, node)
	}
	s.answers = 0
}

// answerBytes is at least what an answer takes in a list; a character of a key may
// take six.
func answerBytes(a wire.RoutedAnswer) int {
	return len(a.Answer) + len(a.Player) + len(a.Room) + 6*len(a.Key) + 100
}

func (s *speaker) message(m Message) {
	s.buf = wire.AppendOut(s.buf[:0], m.Header, m.Body)
	s.voice.Say(m.Room, m.Class, m.Log, s.buf)
}

// enqueue queues a booking. One that is urgent does not wait for others, nor do those before it.
func (s *speaker) enqueue(id string, urgent bool) {
	r := s.sent[id]
	if r == nil {
		r = &resend{wait: resendFirst / 2}
		s.sent[id] = r
	}
	if !r.queued {
		r.queued = true
		s.queue = append(s.queue, id)
		s.hold.urgent = s.hold.urgent || urgent
	}
}

// book publishes a queued booking, unless its result has come meanwhile.
func (s *speaker) book(p *Partition, id string, now time.Time) {
	n, outstanding := p.pending.byID[id]
	if !outstanding {
		delete(s.sent, id)
		return
	}
	r := s.sent[id]
	if s.voice.Book(id, game.Encode(p.pending.byNum[n])) == nil { // otherwise the connection is down: soon again
		r.wait = min(2*r.wait, resendMost)
	}
	r.queued, r.at = false, now.Add(r.wait)
}

// repeat queues the outstanding bookings that are due again.
func (s *speaker) repeat(p *Partition, now time.Time) {
	var due []string
	for id, r := range s.sent {
		switch _, outstanding := p.pending.byID[id]; {
		case r.queued:
		case !outstanding:
			delete(s.sent, id)
		case now.After(r.at):
			due = append(due, id)
		}
	}
	slices.Sort(due)
	for _, id := range due {
		s.enqueue(id, true)
	}
}

// drop forgets the bookings that are to go out: the next owner repeats them.
func (s *speaker) drop() {
	clear(s.sent)
	s.queue, s.hold = nil, hold{}
}

// introduce says what a new owner says first: the owner before may have folded
// records without having spoken.
func (s *speaker) introduce(p *Partition) {
	var infos []wire.RoomInfo
	var sanctions []wire.Sanction
	for _, id := range p.roomIDs() {
		r := p.rooms[id]
		for _, u := range r.ring.records {
			s.message(Message{
				Room: r.id, Class: wire.OutUpdate, Body: u.Message,
				Header: wire.OutHeader{Epoch: p.epoch, Seq: u.Seq, Time: u.Time}, Log: r.lineage(),
			})
		}
		if !r.hidden {
			infos = append(infos, r.info(p.cfg.ID))
		}
		if k, ok := r.game.(game.Sanctioning); ok {
			sanctions = append(sanctions, k.Sanctions()...)
		}
	}
	s.voice.Introduce(time.Unix(0, p.last.Time), infos, sanctions)
	for _, b := range p.pending.list() {
		s.enqueue(b.ID, true)
	}
}
