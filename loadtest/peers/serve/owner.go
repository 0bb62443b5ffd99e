package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/bus"
	"tickcast/cache"
	"tickcast/wire"
)

const (
	// Room is the room of the comparison.
	Room = "bench"
	// roomLog is the log that its positions name.
	roomLog = "bench-log"
	// partitions of the deployment: there is one room.
	partitions = 1
	// epoch of an owner that nobody ever takes over from.
	epoch = 1
	// keptUpdates are given again to a gateway that missed some.
	keptUpdates = 500
)

// Owner is what a gateway needs behind NATS, scripted: the owner of its one room, whose updates are
// numbered and cut at the pace of Control, the ledger's answer to who asks for his balance, and a Redis.
type Owner struct {
	nc *nats.Conn

	mu      sync.Mutex // guards everything below
	seq     uint64
	time    int64            // game time, ns
	updates []wire.OutRecord // the newest, oldest first
}

// RunOwner runs an owner until in ends. url returns the address of NATS with the user of a role.
func RunOwner(ctx context.Context, in io.Reader, out io.Writer, url func(bus.Role) string) error {
	nc, err := bus.Connect(ctx, url(bus.RoleRoom), "owner")
	if err != nil {
		return err
	}
	defer nc.Close()
	ledger, err := bus.Connect(ctx, url(bus.RoleLedger), "ledger")
	if err != nil {
		return err
	}
	defer ledger.Close()
	redis, err := cache.StartEmbedded()
	if err != nil {
		return err
	}
	defer redis.Close()
	o := &Owner{nc: nc}
	if err := o.prepare(ctx, ledger); err != nil {
		return err
	}
	fmt.Fprintf(out, "ready %s\n", redis.URL())
	return Control(in, out, o.publish)
}

// prepare makes what a gateway looks for at its start.
func (o *Owner) prepare(ctx context.Context, ledger *nats.Conn) error {
	if err := bus.EnsureStreams(ctx, o.nc, bus.Layout{Partitions: partitions}); err != nil {
		return err
	}
	js, err := jetstream.New(o.nc)
	if err != nil {
		return err
	}
	kv, err := js.KeyValue(ctx, wire.BucketRooms)
	if err != nil {
		return fmt.Errorf("open room directory: %w", err)
	}
	info, err := json.Marshal(wire.RoomInfo{ID: Room, UUID: roomLog, Game: "crash", Name: "Bench", State: "running", Created: 1})
	if err != nil {
		return err
	}
	if _, err := kv.Put(ctx, Room, info); err != nil {
		return fmt.Errorf("write room directory: %w", err)
	}
	if _, err := o.nc.Subscribe(wire.AskSubject(0), o.answer); err != nil {
		return err
	}
	_, err = ledger.Subscribe(wire.LedgerQuerySubject, func(m *nats.Msg) {
		balance, _ := json.Marshal(wire.Balance{Amount: wire.GrantAmount, Version: 1})
		respond(m, wire.LedgerReply{Data: balance})
	})
	if err != nil {
		return err
	}
	return errors.Join(o.nc.FlushTimeout(natsReady), ledger.FlushTimeout(natsReady)) // whoever asks from here on is heard
}

// publish says the next update to the gateways.
func (o *Owner) publish(u Update) error {
	o.mu.Lock()
	o.seq, o.time = u.Seq, u.Due
	body := appendUpdate(nil, u)
	o.updates = append(o.updates, wire.OutRecord{Seq: o.seq, Time: o.time, Message: body})
	if len(o.updates) > keptUpdates {
		o.updates = append([]wire.OutRecord(nil), o.updates[keptUpdates/2:]...)
	}
	o.mu.Unlock()
	message := wire.AppendOut(nil, wire.OutHeader{Epoch: epoch, Seq: u.Seq, Time: u.Due}, body)
	return o.nc.Publish(wire.OutClassSubject(0, Room, wire.OutUpdate), message)
}

// appendUpdate appends a room's update of u.Size bytes with one event.
func appendUpdate(b []byte, u Update) []byte {
	begin := len(b)
	b = fmt.Appendf(b, `{"type":"update","room":%q,"seq":%d,"t":%d,"events":[{"e":"n","ts":%d,"x":"`, Room, u.Seq, u.Due/1000, u.Due)
	for len(b)-begin < u.Size-4 {
		b = append(b, 'x')
	}
	return append(b, `"}]}`...)
}

// answer answers a gateway's Ask.
func (o *Owner) answer(m *nats.Msg) {
	var a wire.Ask
	if json.Unmarshal(m.Data, &a) != nil {
		return
	}
	if a.Room != Room {
		respond(m, wire.AskReply{Error: wire.Errorf(wire.CodeUnknownRoom, "no room %s", a.Room)})
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	r := wire.AskReply{Log: roomLog, Seq: o.seq, Epoch: epoch, Time: o.time}
	switch a.Op {
	case wire.AskSnapshot:
		r.View = json.RawMessage(`{"game":"crash"}`)
	case wire.AskSince:
		first := o.seq - uint64(len(o.updates)) // the updates behind this one are kept
		if r.Lost = a.Seq < first || a.Seq > o.seq; !r.Lost {
			r.Updates = o.updates[a.Seq-first:]
		}
	}
	respond(m, r)
}

// respond answers a request. An answer that is lost is asked for again.
func respond(m *nats.Msg, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic("serve: " + err.Error())
	}
	_ = bus.Respond(m, b)
}
