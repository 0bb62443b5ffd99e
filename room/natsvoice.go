package room

import (
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

	turn  atomic.Int64         // when the loop made its last turn, Unix ns
	asks  chan *nats.Msg       // for this replica
	pongs chan *nats.Msg       // answers to pings
	subs  []*nats.Subscription // as the owner while listening, else as a follower
	inSub *nats.Subscription   // on the inbox; nil until open
}

func newNATSVoice(nc *nats.Conn, p int, node string, d *directory) *natsVoice {
	return &natsVoice{
		nc: nc, p: p, node: node, directory: d, inbox: nc.NewInbox(),
		asks: make(chan *nats.Msg, askBuffer), pongs: make(chan *nats.Msg, pongBuffer),
	}
}

// open begins to hear answers to pings, and asks as a follower.
func (v *natsVoice) open() (err error) {
	if v.inSub, err = v.nc.ChanSubscribe(v.inbox+".*", v.pongs); err == nil {
		v.standBy()
	}
	return err
}

func (v *natsVoice) close() {
	_ = v.inSub.Unsubscribe()
	v.unsubscribe()
}

func (v *natsVoice) unsubscribe() {
	for _, s := range v.subs {
		_ = s.Unsubscribe()
	}
	v.subs = nil
}

// standBy takes the asks that owners do not answer, in turn with the other followers.
func (v *natsVoice) standBy() {
	if s, err := v.nc.ChanQueueSubscribe(wire.FollowerSubject(v.p), "followers", v.asks); err == nil {
		v.subs = append(v.subs, s)
	}
}

// Listen implements Voice.
func (v *natsVoice) Listen(epoch uint64) error {
	v.unsubscribe()
	pong := game.Encode(wire.OwnerPong{Node: v.node, Epoch: epoch})
	ping, err := v.nc.Subscribe(wire.PingSubject(v.p), func(m *nats.Msg) {
		if time.Now().UnixNano()-v.turn.Load() < int64(hungAfter) {
			_ = bus.Respond(m, pong)
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
	v.unsubscribe()
	v.standBy()
	v.directory.withdraw(v.p)
}

// Say implements Voice.
func (v *natsVoice) Say(room string, class wire.OutClass, message []byte) {
	_ = v.nc.Publish(wire.OutClassSubject(v.p, room, class), message)
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

// Flush implements Voice.
func (v *natsVoice) Flush() { _ = v.nc.FlushTimeout(time.Second) }
