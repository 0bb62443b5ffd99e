package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/wire"
)

// owner is a peer that owns all partitions and does what the test says. It speaks
// the contract of package wire and nothing else.
type owner struct {
	t  *testing.T
	nc *nats.Conn
	js jetstream.JetStream

	ears    []*nats.Subscription // where it is asked
	mu      sync.Mutex
	epoch   uint64
	rooms   map[string]*ownedRoom
	asked   []wire.Ask
	deaf    bool                                                             // asks get no answer
	held    chan struct{}                                                    // answers to AskSince wait for its end; nil: they do not
	judge   func(room string, c wire.Command) (json.RawMessage, *wire.Error) // the answer; nil, nil: none yet
	newer   int                                                              // times that a follower was asked for updates
	mute    bool                                                             // answers are kept, not said
	forgets bool                                                             // a command without an answer is not known
	answers map[string]json.RawMessage                                       // by player, room, key, body
	logged  []wire.Command
}

type ownedRoom struct {
	id      string
	p       int
	log     string
	named   bool // messages name the log
	seq     uint64
	time    int64 // ns
	updates []wire.OutRecord
	kept    int // updates that can be given again
	padding int // bytes that updates are made larger by
	you     map[string]json.RawMessage
}

func newOwner(t *testing.T, nc *nats.Conn) *owner {
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	o := &owner{t: t, nc: nc, js: js, epoch: 1, rooms: map[string]*ownedRoom{}, answers: map[string]json.RawMessage{}}
	o.judge = func(_ string, c wire.Command) (json.RawMessage, *wire.Error) {
		return json.RawMessage(fmt.Sprintf(`{"op":%q,"round":%d}`, c.Op, c.Round)), nil
	}
	for p := range partitions {
		o.ears = append(o.ears, o.subscribe(wire.AskSubject(p), o.ask))
		o.subscribe(wire.FeedSubject(p), o.record)
	}
	return o
}

func (o *owner) subscribe(subject string, h nats.MsgHandler) *nats.Subscription {
	s, err := o.nc.Subscribe(subject, h)
	if err != nil {
		o.t.Fatal(err)
	}
	return s
}

// hide has whoever asks the owner told at once that nobody is there.
func (o *owner) hide() {
	o.t.Helper()
	for _, s := range o.ears {
		if err := s.Unsubscribe(); err != nil {
			o.t.Fatal(err)
		}
	}
	if err := o.nc.Flush(); err != nil {
		o.t.Fatal(err)
	}
}

// follow has a follower answer what the owner does not.
func (o *owner) follow() {
	for p := range partitions {
		_, err := o.nc.QueueSubscribe(wire.FollowerSubject(p), "followers", func(m *nats.Msg) {
			var a wire.Ask
			if err := json.Unmarshal(m.Data, &a); err != nil {
				o.t.Errorf("ask: %v", err)
				return
			}
			o.mu.Lock()
			reply := o.reply(a)
			if a.Op == wire.AskSince {
				o.newer++
			}
			o.mu.Unlock()
			reply.Follower = true
			_ = m.Respond(encodeJSON(reply))
		})
		if err != nil {
			o.t.Fatal(err)
		}
	}
}

// create makes a room and puts it into the directory.
func (o *owner) create(room string) *ownedRoom {
	o.t.Helper()
	return o.createAs(room, "log-"+room)
}

func (o *owner) createAs(room, log string) *ownedRoom {
	o.t.Helper()
	o.mu.Lock()
	r := &ownedRoom{id: room, p: wire.PartitionOf(room, partitions), log: log, kept: 500, you: map[string]json.RawMessage{}}
	o.rooms[room] = r
	o.mu.Unlock()
	o.list(room, "running", log)
	return r
}

func (o *owner) list(room, state, uuid string) {
	o.t.Helper()
	kv, err := o.js.KeyValue(o.t.Context(), wire.BucketRooms)
	if err == nil {
		info, _ := json.Marshal(wire.RoomInfo{ID: room, UUID: uuid, Game: "crash", Name: "Room " + room, State: state, Partition: wire.PartitionOf(room, partitions), Created: 1})
		_, err = kv.Put(o.t.Context(), room, info)
	}
	if err != nil {
		o.t.Fatal(err)
	}
}

// close closes a room.
func (o *owner) close(room string) {
	o.t.Helper()
	o.mu.Lock()
	r := o.rooms[room]
	delete(o.rooms, room)
	o.mu.Unlock()
	o.list(room, "closed", r.log)
	o.say(r, wire.OutMeta, wire.OutHeader{}, nil)
}

// lines a takeover up: the next epoch speaks.
func (o *owner) takeOver() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.epoch++
}

// update cuts the next update and says it, unless lost.
func (o *owner) update(r *ownedRoom, lost bool) []byte {
	o.mu.Lock()
	r.seq++
	r.time += 20e6
	body := encodeJSON(wire.Update{Type: wire.TypeUpdate, Room: r.id, Seq: r.seq, Time: r.time / 1000, Events: []json.RawMessage{json.RawMessage(fmt.Sprintf(`{"e":"n","n":%d%s}`, r.seq, r.pad()))}})
	r.updates = append(r.updates, wire.OutRecord{Seq: r.seq, Time: r.time, Message: body})
	h := wire.OutHeader{Epoch: o.epoch, Seq: r.seq, Time: r.time}
	o.mu.Unlock()
	if !lost {
		o.say(r, wire.OutUpdate, h, body)
	}
	return body
}

func (r *ownedRoom) pad() string {
	if r.padding == 0 {
		return ""
	}
	return `,"x":"` + strings.Repeat("x", r.padding) + `"`
}

func (o *owner) tick(r *ownedRoom) {
	o.mu.Lock()
	r.time += 1e6
	body := encodeJSON(wire.Tick{Type: wire.TypeTick, Room: r.id, Seq: r.seq, Time: r.time / 1000, Epoch: o.epoch})
	h := wire.OutHeader{Epoch: o.epoch, Seq: r.seq, Time: r.time}
	o.mu.Unlock()
	o.say(r, wire.OutTick, h, body)
}

// tell tells players something in private. room may be the cashier's.
func (o *owner) tell(room string, p int, list ...wire.Private) {
	o.sayOn(wire.OutClassSubject(p, room, wire.OutPrivate), nil, wire.OutHeader{Epoch: o.epoch}, encodeJSON(list))
}

func (o *owner) say(r *ownedRoom, c wire.OutClass, h wire.OutHeader, body []byte) {
	var header nats.Header
	if r.named {
		header = nats.Header{wire.LogHeader: {r.log}}
	}
	o.sayOn(wire.OutClassSubject(r.p, r.id, c), header, h, body)
}

func (o *owner) sayOn(subject string, header nats.Header, h wire.OutHeader, body []byte) {
	if err := o.nc.PublishMsg(&nats.Msg{Subject: subject, Header: header, Data: wire.AppendOut(nil, h, body)}); err != nil {
		o.t.Error(err)
	}
}

// ask answers an Ask from the script.
func (o *owner) ask(m *nats.Msg) {
	var a wire.Ask
	if err := json.Unmarshal(m.Data, &a); err != nil {
		o.t.Errorf("ask: %v", err)
		return
	}
	o.mu.Lock()
	o.asked = append(o.asked, a)
	deaf, held := o.deaf, o.held
	reply := o.reply(a)
	o.mu.Unlock()
	if held != nil && a.Op == wire.AskSince {
		<-held
	}
	if !deaf {
		_ = m.Respond(encodeJSON(reply))
	}
}

// reply makes the answer. The caller holds mu.
func (o *owner) reply(a wire.Ask) wire.AskReply {
	if a.Op == wire.AskAnswer && a.Room == wire.CashierRoom {
		return wire.AskReply{Answer: o.answers[answerKey(a.Player, a.Room, a.Key, a.Body)]}
	}
	r := o.rooms[a.Room]
	if r == nil {
		return wire.AskReply{Error: wire.Errorf(wire.CodeUnknownRoom, "no room %s", a.Room)}
	}
	reply := wire.AskReply{Log: r.log, Seq: r.seq, Epoch: o.epoch, Time: r.time}
	switch a.Op {
	case wire.AskSnapshot:
		reply.View = json.RawMessage(fmt.Sprintf(`{"game":"crash","n":%d}`, r.seq))
		reply.Sum = r.sum(r.seq)
	case wire.AskSince:
		first := len(r.updates) - min(len(r.updates), r.kept)
		own := r.sum(a.Seq)
		reply.Lost = a.Seq < uint64(first) || a.Seq > r.seq || own != nil && len(a.Sum) > 0 && !bytes.Equal(own, a.Sum)
		if !reply.Lost {
			reply.Updates = r.updates[a.Seq:]
		}
	case wire.AskYou:
		reply.You = map[string]json.RawMessage{}
		for _, p := range a.Players {
			if you := r.you[p]; you != nil {
				reply.You[p] = you
			}
		}
	case wire.AskAnswer:
		reply.Answer = o.answers[answerKey(a.Player, a.Room, a.Key, a.Body)]
		reply.Pending = reply.Answer == nil && !o.forgets && o.judges(a)
	}
	return reply
}

// judges reports whether the command that is asked for is in the log. The caller holds mu.
func (o *owner) judges(a wire.Ask) bool {
	return slices.ContainsFunc(o.logged, func(c wire.Command) bool {
		body := c.BodyHash()
		return c.Player == a.Player && c.Key == a.Key && bytes.Equal(body[:], a.Body)
	})
}

// sum is that of an update, nil when it is not there.
func (r *ownedRoom) sum(seq uint64) []byte {
	if seq == 0 || seq > uint64(len(r.updates)) {
		return nil
	}
	return wire.UpdateSum(r.updates[seq-1].Message)
}

func answerKey(player, room, key string, body []byte) string {
	return fmt.Sprintf("%s/%s/%s/%x", player, room, key, body)
}

// record judges a record of the log.
func (o *owner) record(m *nats.Msg) {
	_, subject, _ := cutTwice(m.Subject)
	kind, _, room, ok := wire.ParseLogSubject(subject)
	if !ok || kind != wire.KindCommand {
		return
	}
	c, err := wire.DecodeCommand(m.Data)
	if err != nil {
		o.t.Errorf("a command in the log is malformed: %v", err)
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.logged = append(o.logged, c)
	result, refusal := o.judge(room, c)
	if result == nil && refusal == nil {
		return
	}
	o.answer(room, c, result, refusal)
}

// answer keeps an answer and says it. The caller holds mu.
func (o *owner) answer(room string, c wire.Command, result json.RawMessage, refusal *wire.Error) {
	body := c.BodyHash()
	a := encodeJSON(wire.Answer{Type: wire.TypeAnswer, Room: room, Key: c.Key, OK: refusal == nil, Result: result, Error: refusal})
	o.answers[answerKey(c.Player, room, c.Key, body[:])] = a
	if o.mute {
		return
	}
	list := []wire.RoutedAnswer{{Player: c.Player, Room: room, Key: c.Key, Body: body[:], Answer: a}}
	if err := o.nc.Publish(wire.AnswerSubject(c.Gateway), encodeJSON(list)); err != nil {
		o.t.Error(err)
	}
}

func (o *owner) locked(f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f()
}

func (o *owner) asks(op string) (n int) {
	o.locked(func() {
		for _, a := range o.asked {
			if a.Op == op {
				n++
			}
		}
	})
	return n
}

// resumes counts the questions for updates that the asker is behind of: one that has all
// asks as well, when the room was silent.
func (o *owner) resumes(r *ownedRoom) (n int) {
	o.locked(func() {
		for _, a := range o.asked {
			if a.Op == wire.AskSince && a.Seq < r.seq {
				n++
			}
		}
	})
	return n
}

func (o *owner) records() (n int) {
	o.locked(func() { n = len(o.logged) })
	return n
}

// sanction puts a sanction where gateways watch.
func (o *owner) sanction(s wire.Sanction) {
	o.t.Helper()
	kv, err := o.js.KeyValue(context.Background(), wire.BucketSanctions)
	if err == nil {
		_, err = kv.Put(context.Background(), wire.PlayerKey(s.Player), encodeJSON(s))
	}
	if err != nil {
		o.t.Fatal(err)
	}
}

// cutTwice splits "log.<p>.<subject>".
func cutTwice(s string) (p, rest string, ok bool) {
	var n int
	for i := range s {
		if s[i] == '.' {
			if n++; n == 2 {
				return s[4:i], s[i+1:], true
			}
		}
	}
	return "", "", false
}

func encodeJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// ledger is a peer that answers the queries of a ledger worker.
type ledger struct {
	mu      sync.Mutex
	data    map[string]any // by operation
	queries []wire.LedgerQuery
}

func newLedger(t *testing.T, nc *nats.Conn) *ledger {
	l := &ledger{data: map[string]any{
		wire.QueryBalance: wire.Balance{Amount: 100_000, Version: 1},
	}}
	_, err := nc.QueueSubscribe(wire.LedgerQuerySubject, "ledger", func(m *nats.Msg) {
		var q wire.LedgerQuery
		if err := json.Unmarshal(m.Data, &q); err != nil {
			t.Errorf("query: %v", err)
		}
		l.mu.Lock()
		l.queries = append(l.queries, q)
		data, ok := l.data[q.Op]
		l.mu.Unlock()
		if !ok {
			return // as if nobody were there
		}
		_ = m.Respond(encodeJSON(wire.LedgerReply{Data: encodeJSON(data)}))
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *ledger) set(op string, data any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.data[op] = data
}

func (l *ledger) last() wire.LedgerQuery {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.queries[len(l.queries)-1]
}
