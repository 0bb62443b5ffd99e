package room

import (
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/room/game"
	"tickcast/wire"
)

// A booking without a result is sent again after resendFirst, then after twice as
// long each time, up to resendMost. Its Msg-Id lets the ledger's queue drop early
// repetitions; later ones stand in the queue beside the first, so they are few. Its
// ID makes the ledger book it once in any case.
const (
	resendFirst = time.Second
	resendMost  = 5 * time.Minute
)

// speaker says what the owner says, over core NATS: its messages may be lost, and
// whoever misses one asks. What must not be lost is in the state and said again.
type speaker struct {
	nc        *nats.Conn
	p         int
	directory *directory
	buf       []byte
	byNode    map[string][]wire.RoutedAnswer
	sent      map[string]*resend
}

type resend struct {
	at   time.Time
	wait time.Duration
}

func newSpeaker(nc *nats.Conn, p int, d *directory) *speaker {
	return &speaker{nc: nc, p: p, directory: d, byNode: map[string][]wire.RoutedAnswer{}, sent: map[string]*resend{}}
}

// say publishes an output. Errors are those of a closed connection, which the
// replica meets elsewhere.
func (s *speaker) say(o *Output, now time.Time) {
	for _, a := range o.Answers {
		s.byNode[a.Node] = append(s.byNode[a.Node], a.RoutedAnswer)
	}
	for node, answers := range s.byNode {
		for len(answers) > 0 {
			n := fitting(answers, answerBytes)
			_ = s.nc.Publish(wire.AnswerSubject(node), game.Encode(answers[:n]))
			answers = answers[n:]
		}
		delete(s.byNode, node)
	}
	for _, m := range o.Messages {
		s.message(m)
	}
	for _, b := range o.Bookings {
		s.book(b, now)
	}
	s.directory.put(o.Directory, o.Sanctions)
}

// answerBytes is at least what an answer takes in a list; a character of a key may
// take six.
func answerBytes(a wire.RoutedAnswer) int {
	return len(a.Answer) + len(a.Player) + len(a.Room) + 6*len(a.Key) + 100
}

func (s *speaker) message(m Message) {
	s.buf = wire.AppendOut(s.buf[:0], m.Header, m.Body)
	_ = s.nc.Publish(wire.OutClassSubject(s.p, m.Room, m.Class), s.buf)
}

func (s *speaker) book(b wire.Booking, now time.Time) {
	m := nats.NewMsg(wire.LedgerSubject(s.p))
	m.Header.Set(jetstream.MsgIDHeader, b.ID)
	m.Data = game.Encode(b)
	r := s.sent[b.ID]
	if r == nil {
		r = &resend{wait: resendFirst / 2}
		s.sent[b.ID] = r
	}
	if s.nc.PublishMsg(m) == nil { // otherwise the connection is down: soon again
		r.wait = min(2*r.wait, resendMost)
	}
	r.at = now.Add(r.wait)
}

// repeat sends the outstanding bookings that are due again.
func (s *speaker) repeat(p *Partition, now time.Time) {
	for id, r := range s.sent {
		n, outstanding := p.pending.byID[id]
		switch {
		case !outstanding:
			delete(s.sent, id)
		case now.After(r.at):
			s.book(p.pending.byNum[n], now)
		}
	}
}

// introduce says what a new owner says first: the owner before may have folded
// records without having spoken.
func (s *speaker) introduce(p *Partition, now time.Time) {
	clear(s.sent)
	var infos []wire.RoomInfo
	var sanctions []wire.Sanction
	for _, r := range p.rooms {
		for _, u := range r.ring.records {
			s.message(Message{
				Room: r.id, Class: wire.OutUpdate, Body: u.Message,
				Header: wire.OutHeader{Epoch: p.epoch, Seq: u.Seq, Time: u.Time},
			})
		}
		if !r.hidden {
			infos = append(infos, r.info(p.cfg.ID))
		}
		if k, ok := r.game.(game.Sanctioning); ok {
			sanctions = append(sanctions, k.Sanctions()...)
		}
	}
	s.directory.introduce(s.p, time.Unix(0, p.last.Time), infos, sanctions)
	for _, b := range p.pending.list() {
		s.book(b, now)
	}
}
