package room

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"tickcast/room/cashier"
	"tickcast/room/crash"
	"tickcast/room/game"
	"tickcast/room/race"
	"tickcast/wire"
)

// testSecret is the room secret of tests.
var testSecret = []byte("a secret of thirty-two bytes, or so")

// maxMessageBytes is the largest message that NATS takes.
const maxMessageBytes = 1 << 20

// rig is a partition with everything around it in one goroutine and on one clock:
// the log, an owner that ticks and fulfils duties, and a ledger that books.
type rig struct {
	t      testing.TB
	cfg    PartitionConfig
	p      *Partition
	out    Output
	now    int64 // stored timestamps, Unix ns
	log    []Record
	queue  []queued // records on their way to the log, by time
	book   *modelBook
	asleep bool  // nobody owns the partition
	owned  int64 // when the owner's last record was stored

	updates  map[string][]wire.Update
	ticks    map[string][]wire.Tick
	answers  map[string]wire.Answer // by player/key or action ID
	answered map[string]int
	private  []wire.Private
	infos    map[string]wire.RoomInfo
}

type queued struct {
	at   int64
	kind wire.Kind
	room string
	data []byte
}

func newRig(t testing.TB) *rig {
	chains := crash.NewChains(testSecret, rand.NewChaCha8([32]byte{1}))
	return newRigOf(t, PartitionConfig{
		ID: 3, Created: 1_700_000_000_000_000_000,
		Kinds: []game.Kind{crash.New(chains), race.Kind{}}, Cashier: cashier.Kind{},
	})
}

func newRigOf(t testing.TB, cfg PartitionConfig) *rig {
	r := &rig{
		t: t, cfg: cfg, p: NewPartition(cfg), now: 1_700_000_100_000_000_000, book: newModelBook(),
		updates: map[string][]wire.Update{}, ticks: map[string][]wire.Tick{},
		answers: map[string]wire.Answer{}, answered: map[string]int{}, infos: map[string]wire.RoomInfo{},
	}
	r.claim("node-1")
	return r
}

func (r *rig) claim(node string) {
	r.append(wire.KindClaim, "", game.Encode(wire.Claim{Node: node, Folds: r.cfg.versions()}))
	r.fulfil(r.p.roomIDs())
}

// append stores a record at the present time and folds it.
func (r *rig) append(kind wire.Kind, room string, data []byte) {
	r.t.Helper()
	rec := Record{Seq: uint64(len(r.log) + 1), Time: r.now, Kind: kind, Room: room, Data: data}
	r.log = append(r.log, rec)
	if err := r.p.Apply(rec, &r.out); err != nil {
		r.t.Fatal(err)
	}
	if r.p.OwnedLast() {
		r.owned = r.now
	}
	r.hear(&r.out)
	if !r.asleep {
		r.fulfil(r.out.Touched)
	}
}

// hear keeps what the owner says and lets the ledger answer 2 ms later.
func (r *rig) hear(o *Output) {
	for _, m := range o.Messages {
		if n := len(wire.AppendOut(nil, m.Header, m.Body)); n > maxMessageBytes {
			r.t.Fatalf("a message of %d bytes on %s of room %s", n, m.Class, m.Room)
		}
		switch m.Class {
		case wire.OutUpdate:
			var u wire.Update
			r.decode(m.Body, &u)
			if have := r.updates[m.Room]; u.Seq != uint64(len(have)+1) {
				r.t.Fatalf("room %s: update %d after %d", m.Room, u.Seq, len(have))
			}
			r.updates[m.Room] = append(r.updates[m.Room], u)
		case wire.OutTick:
			var tick wire.Tick
			r.decode(m.Body, &tick)
			r.ticks[m.Room] = append(r.ticks[m.Room], tick)
		case wire.OutPrivate:
			var list []wire.Private
			r.decode(m.Body, &list)
			r.private = append(r.private, list...)
		}
	}
	for _, a := range o.Answers {
		var answer wire.Answer
		r.decode(a.Answer, &answer)
		id := answerID(a.Player, a.Room, a.Key)
		r.answers[id] = answer
		r.answered[id]++
	}
	for _, info := range o.Directory {
		r.infos[info.ID] = info
	}
	for _, b := range o.Bookings {
		if res, ok := r.book.apply(b); ok {
			r.later(2*time.Millisecond, wire.KindResult, "", game.Encode(res))
		}
	}
}

func answerID(player, room, key string) string { return player + "|" + room + "|" + key }

// fulfil appends what the rooms owe 1 ms later, as an owner does.
func (r *rig) fulfil(rooms []string) {
	for _, id := range slices.Sorted(slices.Values(rooms)) {
		for _, d := range r.p.duties(id) {
			data := game.Encode(wire.OwnerRecord{Epoch: r.p.Epoch(), Kind: d.Kind, Room: id, Data: d.Data})
			if !slices.ContainsFunc(r.queue, func(q queued) bool { return q.room == id && string(q.data) == string(data) }) {
				r.laterIn(id, time.Millisecond, wire.KindOwner, data)
			}
		}
	}
}

func (r *rig) later(d time.Duration, kind wire.Kind, room string, data []byte) {
	r.laterIn(room, d, kind, data)
}

func (r *rig) laterIn(room string, d time.Duration, kind wire.Kind, data []byte) {
	q := queued{at: r.now + int64(d), kind: kind, room: room, data: data}
	i := slices.IndexFunc(r.queue, func(o queued) bool { return o.at > q.at })
	if i < 0 {
		i = len(r.queue)
	}
	r.queue = slices.Insert(r.queue, i, q)
}

// putInForce is the owner's, of a version of the records. Games that it names are out of
// force.
func (r *rig) putInForce(records int, without ...string) {
	v := firstVersions()
	v[wire.Records] = records
	for _, name := range without {
		delete(v, name)
	}
	if maps.Equal(v, r.p.versions) {
		return
	}
	r.append(wire.KindOwner, "", game.Encode(wire.OwnerRecord{Epoch: r.p.Epoch(), Kind: wire.OwnerVersions, Data: game.Encode(v)}))
}

// run lets time pass: queued records arrive, and the owner ticks.
func (r *rig) run(d time.Duration) {
	r.t.Helper()
	end := r.now + int64(d)
	for {
		next := end
		if len(r.queue) > 0 {
			next = min(next, max(r.queue[0].at, r.now))
		}
		tickAt := r.tickAt()
		if tickAt < next {
			r.now = tickAt
			r.append(wire.KindOwner, "", game.Encode(wire.OwnerRecord{Epoch: r.p.Epoch(), Kind: wire.OwnerTick}))
			continue
		}
		r.now = next
		if len(r.queue) == 0 || r.queue[0].at > r.now {
			return
		}
		q := r.queue[0]
		r.queue = r.queue[1:]
		room := q.room
		if q.kind == wire.KindOwner || q.kind == wire.KindResult {
			room = ""
		}
		r.append(q.kind, room, q.data)
	}
}

// tickAt is when the owner appends its next tick.
func (r *rig) tickAt() int64 {
	wait, due := r.p.tickIn(time.Duration(r.now-r.log[len(r.log)-1].Time), time.Duration(r.now-r.owned))
	if r.asleep || !due {
		return 1<<63 - 1
	}
	return r.now + int64(max(wait, 0))
}

// until runs until ok, at most for an hour of game time.
func (r *rig) until(why string, ok func() bool) {
	r.t.Helper()
	for end := r.now + int64(time.Hour); r.now < end; {
		if ok() {
			return
		}
		r.run(5 * time.Millisecond)
	}
	r.t.Fatalf("never: %s", why)
}

func (r *rig) command(player, room, key, op string, round uint64, args any) {
	r.t.Helper()
	c := wire.Command{Player: player, Name: player, Gateway: "gw", Key: key, Op: op, Round: round, Guest: true}
	if args != nil {
		c.Args = game.Encode(args)
	}
	b, _ := c.AppendBinary(nil)
	r.append(wire.KindCommand, room, b)
}

// act performs an operator's action and returns its answer.
func (r *rig) act(room, op string, args any) wire.Answer {
	r.t.Helper()
	id := fmt.Sprintf("action-%d", len(r.log))
	a := wire.Action{ID: id, Operator: "op", ReplyTo: "api", Op: op}
	if args != nil {
		a.Args = game.Encode(args)
	}
	r.append(wire.KindAction, room, game.Encode(a))
	return r.answer("", room, id)
}

// roomUUID is that of a room that is made by the record behind n others.
func roomUUID(n int) string { return fmt.Sprintf("0190a000-0000-7000-8000-%012d", n) }

func (r *rig) create(room, kind string, settings any) {
	r.t.Helper()
	args := wire.CreateArgs{UUID: roomUUID(len(r.log)), Game: kind, Name: room}
	if settings != nil {
		args.Settings = game.Encode(settings)
	}
	if a := r.act(room, wire.ActionCreate, args); !a.OK {
		r.t.Fatalf("create %s: %v", room, a.Error)
	}
}

func (r *rig) answer(player, room, key string) wire.Answer {
	r.t.Helper()
	a, ok := r.answers[answerID(player, room, key)]
	if !ok {
		r.t.Fatalf("%s has no answer to %s in %s", player, key, room)
	}
	return a
}

// wantError checks the code of the answer to a command.
func (r *rig) wantError(why, player, room, key string, code wire.Code) {
	r.t.Helper()
	a := r.answer(player, room, key)
	if a.OK || a.Error.Code != code {
		r.t.Fatalf("%s: answer %+v %v, want %s", why, a, a.Error, code)
	}
}

func (r *rig) wantOK(why, player, room, key string) wire.Answer {
	r.t.Helper()
	a := r.answer(player, room, key)
	if !a.OK {
		r.t.Fatalf("%s: refused: %v", why, a.Error)
	}
	return a
}

func (r *rig) decode(b []byte, v any) {
	r.t.Helper()
	if err := json.Unmarshal(b, v); err != nil {
		r.t.Fatalf("decode %s: %v", b, err)
	}
}

// view decodes the public view of a room.
func (r *rig) view(room string) map[string]any {
	r.t.Helper()
	var v map[string]any
	r.decode(r.p.rooms[room].game.View(game.At{Now: r.p.Now()}), &v)
	return v
}

func (r *rig) phase(room string) string { return fmt.Sprint(r.view(room)["phase"]) }

// modelBook is the ledger as a few maps: enough to decide stakes, and a reference
// for where the money is.
type modelBook struct {
	balances map[string]int64
	versions map[string]int64
	results  map[string]wire.BookingResult
	ends     map[string]string // stake to its end
	stakes   map[string]wire.Booking
	down     bool
}

const modelGrant = 100_000

func newModelBook() *modelBook {
	return &modelBook{
		balances: map[string]int64{}, versions: map[string]int64{}, results: map[string]wire.BookingResult{},
		ends: map[string]string{}, stakes: map[string]wire.Booking{},
	}
}

func (m *modelBook) apply(b wire.Booking) (wire.BookingResult, bool) {
	if m.down {
		return wire.BookingResult{}, false
	}
	if res, ok := m.results[b.ID]; ok {
		return res, true
	}
	res := wire.BookingResult{ID: b.ID, Player: b.Player, Booked: true}
	if b.Player != "" {
		if _, ok := m.balances[b.Player]; !ok {
			m.balances[b.Player], m.versions[b.Player] = modelGrant, 1
		}
		before := m.balances[b.Player]
		if code := m.move(b); code != "" {
			res.Booked, res.Code = false, code
		}
		if m.balances[b.Player] != before {
			m.versions[b.Player]++
		}
		res.Balance, res.Version = m.balances[b.Player], m.versions[b.Player]
	}
	m.results[b.ID] = res
	return res, true
}

func (m *modelBook) move(b wire.Booking) wire.Code {
	switch b.Kind {
	case wire.BookStake:
		if m.ends[b.ID] != "" {
			return wire.CodeBetVoided
		}
		if m.balances[b.Player] < b.Amount {
			return wire.CodeInsufficientFunds
		}
		m.balances[b.Player] -= b.Amount
		m.stakes[b.ID] = b
	case wire.BookPayout, wire.BookCancel:
		if m.ends[b.Stake] != "" {
			panic("a second end of " + b.Stake + ": " + b.ID)
		}
		m.ends[b.Stake] = string(b.Kind)
		amount := b.Amount
		if b.Kind == wire.BookCancel {
			amount = m.stakes[b.Stake].Amount
		}
		m.balances[b.Player] += amount
	case wire.BookCredit, wire.BookRefill:
		if b.Kind == wire.BookRefill && m.balances[b.Player] >= 100 {
			return wire.CodeBalanceNotZero
		}
		m.balances[b.Player] += b.Amount
	}
	return ""
}
