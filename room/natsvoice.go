package room

import (
	"encoding/json"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/bus"
	"tickcast/room/game"
	"tickcast/wire"
)

const (
	// askBuffer bounds the requests that wait for a replica.
	askBuffer = 4096
	// pongBuffer bounds the answers to pings that wait; one ping is under way at a time.
	// So it is with offers.
	pongBuffer = 16
	// hungAfter is after how long without a turn of its loop an owner does not answer
	// pings any more: it is far more than any turn takes, and sweeps make turns.
	hungAfter = 2 * time.Second
)

// noResponders is the status of NATS's own answer when nobody listens.
const noResponders = "503"

// natsVoice is the Voice on core NATS. Errors of publishing are those of a closed
// connection, which the replica meets elsewhere.
type natsVoice struct {
	// Static after newNATSVoice.
	nc        *nats.Conn
	p         int
	node      string
	directory *directory
	inbox     string // where pings are answered
	declines  string // where offers are
	witness   string // where questions to the ledger are

	turn  atomic.Int64         // when the loop made its last turn, Unix ns
	epoch atomic.Uint64        // under which it listens as the owner, 0 while it does not
	asks  chan *nats.Msg       // for this replica
	pongs chan *nats.Msg       // answers to pings
	subs  []*nats.Subscription // as the owner while listening, else as a follower

	offers    chan *nats.Msg // to this node
	declined  chan *nats.Msg // answers to offers of this node
	witnesses chan *nats.Msg // answers of the ledger
	always    []*nats.Subscription
}

func newNATSVoice(nc *nats.Conn, p int, node string, d *directory) *natsVoice {
	return &natsVoice{
		nc: nc, p: p, node: node, directory: d, inbox: nc.NewInbox(), declines: nc.NewInbox(), witness: nc.NewInbox(),
		asks: make(chan *nats.Msg, askBuffer), pongs: make(chan *nats.Msg, pongBuffer),
		offers: make(chan *nats.Msg, pongBuffer), declined: make(chan *nats.Msg, pongBuffer),
		witnesses: make(chan *nats.Msg, pongBuffer),
	}
}

// open begins to hear answers to pings, offers and answers to those, and asks as a
// follower.
func (v *natsVoice) open() error {
	for subject, to := range map[string]chan *nats.Msg{
		v.inbox + ".*": v.pongs, v.declines + ".*": v.declined, v.witness + ".*": v.witnesses, wire.OfferSubject(v.p, v.node): v.offers,
	} {
		sub, err := v.nc.ChanSubscribe(subject, to)
		if err != nil {
			v.close()
			return err
		}
		v.always = append(v.always, sub)
	}
	v.standBy()
	return nil
}

func (v *natsVoice) close() {
	v.always, v.subs = unsubscribe(v.always), unsubscribe(v.subs)
}

func unsubscribe(subs []*nats.Subscription) []*nats.Subscription {
	for _, s := range subs {
		_ = s.Unsubscribe()
	}
	return nil
}

// standBy takes the asks that owners do not answer, in turn with the other followers.
func (v *natsVoice) standBy() {
	if s, err := v.nc.ChanQueueSubscribe(wire.FollowerSubject(v.p), "followers", v.asks); err == nil {
		v.subs = append(v.subs, s)
	}
}

// Listen implements Voice.
func (v *natsVoice) Listen(epoch uint64) error {
	if v.epoch.Swap(epoch) != 0 {
		return nil
	}
	v.subs = unsubscribe(v.subs)
	ping, err := v.nc.Subscribe(wire.PingSubject(v.p), func(m *nats.Msg) {
		if time.Now().UnixNano()-v.turn.Load() < int64(hungAfter) {
			_ = bus.Respond(m, game.Encode(wire.OwnerPong{Node: v.node, Epoch: v.epoch.Load()}))
		}
	})
	if err != nil {
		return err
	}
	v.subs = append(v.subs, ping)
	ask, err := v.nc.ChanSubscribe(wire.AskSubject(v.p), v.asks)
	if err != nil {
		return err
	}
	v.subs = append(v.subs, ask)
	return nil
}

// Mute implements Voice.
func (v *natsVoice) Mute() {
	v.epoch.Store(0)
	v.subs = unsubscribe(v.subs)
	v.standBy()
	v.directory.withdraw(v.p)
}

// Say implements Voice.
func (v *natsVoice) Say(room string, class wire.OutClass, log string, message []byte) {
	m := &nats.Msg{Subject: wire.OutClassSubject(v.p, room, class), Data: message}
	if log != "" {
		m.Header = nats.Header{wire.LogHeader: {log}}
	}
	_ = v.nc.PublishMsg(m)
}

// Answer implements Voice.
func (v *natsVoice) Answer(node string, answers []byte) {
	_ = v.nc.Publish(wire.AnswerSubject(node), answers)
}

// Book implements Voice. The Msg-Id lets the ledger's queue drop early repetitions.
func (v *natsVoice) Book(id string, booking []byte) error {
	m := nats.NewMsg(wire.LedgerSubject(v.p))
	m.Header.Set(jetstream.MsgIDHeader, id)
	m.Data = booking
	return v.nc.PublishMsg(m)
}

// List implements Voice.
func (v *natsVoice) List(rooms []wire.RoomInfo, sanctions []wire.Sanction) {
	v.directory.put(rooms, sanctions)
}

// Introduce implements Voice.
func (v *natsVoice) Introduce(claimed time.Time, rooms []wire.RoomInfo, sanctions []wire.Sanction) {
	v.directory.introduce(v.p, claimed, rooms, sanctions)
}

// Ping implements Voice.
func (v *natsVoice) Ping(n uint64) error {
	return v.nc.PublishRequest(wire.PingSubject(v.p), v.inbox+"."+strconv.FormatUint(n, 10), nil)
}

// parsePong reads which ping a message answers, and whether the owner did.
func (v *natsVoice) parsePong(m *nats.Msg) (n uint64, owner bool) {
	n, _ = strconv.ParseUint(strings.TrimPrefix(m.Subject, v.inbox+"."), 10, 64)
	return n, m.Header.Get("Status") != noResponders
}

// Offer implements Voice.
func (v *natsVoice) Offer(n uint64, node string, offer []byte) error {
	return v.nc.PublishRequest(wire.OfferSubject(v.p, node), v.declines+"."+strconv.FormatUint(n, 10), offer)
}

// parseDecline reads which offer a message answers, and why it is not taken.
func (v *natsVoice) parseDecline(m *nats.Msg) (n uint64, why string) {
	n, _ = strconv.ParseUint(strings.TrimPrefix(m.Subject, v.declines+"."), 10, 64)
	var d wire.Decline
	if m.Header.Get("Status") == noResponders {
		d.Why = "nobody listens"
	} else if err := json.Unmarshal(m.Data, &d); err != nil {
		d.Why = err.Error()
	}
	return n, d.Why
}

// AskLedger implements Voice.
func (v *natsVoice) AskLedger(n uint64, query []byte) error {
	return v.nc.PublishRequest(wire.LedgerQuerySubject, v.witness+"."+strconv.FormatUint(n, 10), query)
}

// parseWitness reads which question a message answers; the reply is nil when the ledger
// cannot say.
func (v *natsVoice) parseWitness(m *nats.Msg) (n uint64, reply *wire.StakesReply) {
	n, _ = strconv.ParseUint(strings.TrimPrefix(m.Subject, v.witness+"."), 10, 64)
	var r wire.LedgerReply
	var s wire.StakesReply
	if json.Unmarshal(m.Data, &r) != nil || r.Error != nil || json.Unmarshal(r.Data, &s) != nil {
		return n, nil
	}
	return n, &s
}

// Flush implements Voice.
func (v *natsVoice) Flush() { _ = v.nc.FlushTimeout(time.Second) }
