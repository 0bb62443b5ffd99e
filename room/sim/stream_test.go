package sim

import (
	"errors"
	"fmt"
	"time"

	"tickcast/room"
	"tickcast/wire"
)

// errNoAnswer leaves open whether a record was stored.
var errNoAnswer = errors.New("no answer from the log")

// stream is the log: total order, the leader's clock, acknowledgements that may be lost.
type stream struct {
	w       *world
	created int64
	window  int // owner records that may be on their way
	dedupe  time.Duration

	records   []room.Record // all there ever were, but for lost tails
	at        []int64       // when each was stored
	first     uint64        // what is before was trimmed
	lastClaim uint64
	made      uint64 // the record behind which all rooms are there; 0 before
	offset    int64  // of the leader's clock
	silent    int64  // nothing is stored before
	stale     stale
	seedDelay time.Duration // how much longer seeds are on their way than all else
	misled    int           // how often a server was told that the log ends before what it has folded
	seen      map[string]stored
	keys      map[string]int // of commands, for what is broken
}

type stored struct {
	seq   uint64
	until int64
}

func newStream(w *world) *stream {
	return &stream{
		w: w, created: w.now - int64(time.Hour), window: []int{1, 64}[w.rnd.IntN(2)], dedupe: wire.DedupeWindow, seen: map[string]stored{},
		keys: map[string]int{}, first: 1,
	}
}

func (s *stream) last() uint64 { return uint64(len(s.records)) }

// message is what is to be stored.
type message struct {
	kind   wire.Kind
	room   string
	data   []byte
	id     string  // Msg-Id; "" for none
	expect *uint64 // of the newest claim
}

// ack is what became of a message.
type ack struct {
	seq       uint64
	duplicate bool
	err       error
}

// publish sends a message to the log. done is called once: with the answer, or when
// timeout has passed.
func (s *stream) publish(l *link, m message, timeout time.Duration, done func(ack)) {
	settled := false
	finish := func(a ack) {
		if !settled {
			settled = true
			done(a)
		}
	}
	s.w.after(timeout, func() { finish(ack{err: errNoAnswer}) })
	if l.toLog() {
		s.w.after(s.w.delay(), func() { s.arrive(l, m, finish) })
	}
}

// arrive is a message at the leader. One without a voice loses it, or stores it late.
func (s *stream) arrive(l *link, m message, finish func(ack)) {
	if s.w.now < s.silent {
		if s.w.chance(0.5) {
			s.w.at(s.silent+int64(s.w.delay()), func() { s.arrive(l, m, finish) })
		}
		return
	}
	a := s.store(m)
	if l.toLog() {
		s.w.after(s.w.delay(), func() { finish(a) })
	}
}

func (s *stream) store(m message) ack {
	if m.expect != nil && *m.expect != s.lastClaim {
		return ack{err: room.ErrFenced}
	}
	if known, ok := s.seen[m.id]; ok && m.id != "" && s.w.now < known.until {
		return ack{seq: known.seq, duplicate: true}
	}
	if m.kind == wire.KindCommand && s.w.cfg.broken == forgetsKeys {
		m = s.forget(m)
	}
	rec := room.Record{Seq: s.last() + 1, Time: s.w.now + s.offset, Kind: m.kind, Room: m.room, Data: m.data}
	if m.id != "" {
		s.seen[m.id] = stored{rec.Seq, s.w.now + int64(s.dedupe)}
	}
	if m.kind == wire.KindClaim {
		s.lastClaim = rec.Seq
	}
	s.records, s.at = append(s.records, rec), append(s.at, s.w.now)
	s.w.note(string(rec.Kind), rec.Data)
	s.w.truth.unsaid("a record", rec.Data)
	s.w.truth.fold(rec)
	if s.made == 0 && len(s.w.truth.list) == s.w.cfg.rooms {
		s.made = rec.Seq
	}
	for _, srv := range s.w.servers {
		srv.republished(rec)
	}
	return ack{seq: rec.Seq}
}

// serverLog is the log as a room server sees it.
type serverLog struct {
	s *server
	*stream
}

// Created implements room.Log.
func (l serverLog) Created() int64 { return l.created }

// Window implements room.Log.
func (l serverLog) Window() int { return l.window }

// Waiting implements room.Log.
func (l serverLog) Waiting() int { return 0 }

// Last implements room.Log.
func (l serverLog) Last() (uint64, error) {
	if l.w.now < l.silent || l.w.now < l.s.link.log {
		return 0, errNoAnswer
	}
	if r := l.s.replica; r != nil && r.Partition() != nil && r.Partition().Last().Seq > l.shown() {
		l.misled++
	}
	return l.shown(), nil
}

// At implements room.Log.
func (l serverLog) At(seq uint64) (*room.Record, error) {
	if l.w.now < l.s.link.log || l.w.lost() {
		return nil, errNoAnswer
	}
	if seq < l.first || seq > l.shown() {
		return nil, nil
	}
	rec := l.records[seq-1]
	return &rec, nil
}

// Read implements room.Log. A server that is cut off, or wants what the log does not have
// any more, would wait; here it goes on without, which is one more thing that can happen.
func (l serverLog) Read(from, to uint64, apply func(room.Record) error) error {
	for ; from <= to; from++ {
		if l.w.now < l.s.link.log || from > l.shown() {
			return room.ErrClosed
		}
		if from < l.first {
			return fmt.Errorf("%w: it begins with record %d, and %d is wanted", room.ErrTrimmed, l.first, from)
		}
		if err := apply(l.s.altered(l.records[from-1])); err != nil {
			return err
		}
		l.s.compare()
	}
	return nil
}

// Append implements room.Log.
func (l serverLog) Append(rec wire.OwnerRecord) {
	epoch := rec.Epoch
	m := message{kind: wire.KindOwner, data: encode(rec), expect: &epoch}
	if l.w.cfg.broken == noFence {
		m.expect = nil
	}
	settled := l.s.later(func(r *room.Replica, a ack) { r.Settled(rec, a.seq, a.err) })
	if l.seedDelay > 0 && rec.Kind == "reveal" {
		l.w.after(l.seedDelay, func() { l.publish(&l.s.link, m, 500*time.Millisecond, settled) })
		return
	}
	l.publish(&l.s.link, m, 500*time.Millisecond, settled)
}

// Claim implements room.Log.
func (l serverLog) Claim(c wire.Claim, expected uint64) {
	m := message{kind: wire.KindClaim, data: encode(c), expect: &expected}
	l.publish(&l.s.link, m, time.Second, l.s.later(func(r *room.Replica, a ack) { r.Claimed(a.seq, a.err) }))
}
