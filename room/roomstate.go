package room

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"tickcast/room/game"
	"tickcast/wire"
)

const (
	// cutInterval is the least game time between two updates of a room: 50 updates a
	// second are more than a screen shows, and an answer is on every screen within it.
	cutInterval = game.Time(20 * time.Millisecond)
	// ringUpdates and ringBytes bound the updates of a room that an owner can give
	// again: ten seconds of the fastest room.
	ringUpdates = 500
	ringBytes   = 1 << 20
	// maxListBytes bounds a list of messages that goes out in one, which grows by up to
	// a third on the way and must fit a NATS message of 1 MiB.
	maxListBytes = 512 << 10

	statePaused = "paused"
	stateClosed = "closed"
)

// roomState is what the fold keeps of one room around its game.
type roomState struct {
	id      string
	kind    string
	uuid    string
	name    string
	log     string // names the log in positions
	lost    uint64 // by which record the log is another one, because it lost its tail: its stored timestamp, Unix ns; by versions of the records below 3 its sequence
	created int64  // Unix ms
	hidden  bool   // the cashier: no updates, no directory entry
	closing bool   // gone after the current round
	game    game.Room
	keys    *keyTable

	seq      uint64       // of the newest update
	events   []game.Event // not cut yet
	lastCut  game.Time
	lastTick game.Time // when the newest tick that was cut was due
	phase    game.Time // static; how long before a multiple of the interval a tick is due, modulo the interval

	private   []wire.Private // of the record being folded
	announced string         // state in the directory
	touched   bool           // by the record being folded
	ring      updateRing     // not part of the state: what can be said again

	wake  game.Time // owned by wakeHeap, like index
	index int
}

func newRoomState(created int64, kind string, cfg game.Config, g game.Room, at game.At) *roomState {
	return &roomState{
		id: cfg.ID, kind: kind, uuid: cfg.UUID, name: cfg.Name, log: logName(cfg.UUID, created, 0), created: at.Wall,
		game: g, keys: newKeyTable(), lastCut: at.Now - cutInterval, lastTick: at.Now, phase: tickPhase(cfg.UUID),
	}
}

// logName names a room's log: another room under the same ID, another stream, or the
// stream behind the record lost that tells that it lost its tail, has another name.
func logName(uuid string, created int64, lost uint64) string {
	text := fmt.Appendf(nil, "%s/%d", uuid, created)
	if lost > 0 {
		text = fmt.Appendf(text, "/%d", lost)
	}
	sum := sha256.Sum256(text)
	return base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:10])
}

func (r *roomState) addEvents(events []game.Event) {
	if r.hidden {
		return
	}
	for _, e := range events {
		if e.Slot != "" {
			r.events = slices.DeleteFunc(r.events, func(old game.Event) bool { return old.Slot == e.Slot })
		}
		r.events = append(r.events, e)
	}
}

// cut makes an update of the events when enough time has passed since the last
// one, and a tick when the clock has passed the instant at which one is due.
func (r *roomState) cut(p *Partition, at game.At) {
	if len(r.events) > 0 && at.Now >= r.lastCut+cutInterval {
		r.seq++
		u := wire.Update{Type: wire.TypeUpdate, Room: r.id, Seq: r.seq, Time: at.Now.Micros()}
		for _, e := range r.events {
			u.Events = append(u.Events, e.Body)
		}
		r.events, r.lastCut = nil, at.Now
		body := u.AppendJSON(nil)
		r.ring.add(wire.OutRecord{Seq: r.seq, Time: int64(at.Now), Message: body})
		p.out.Messages = append(p.out.Messages, r.message(p, wire.OutUpdate, at.Now, body))
	}
	if iv := r.game.TickInterval(); iv > 0 {
		if m := at.Now - r.sinceTick(p, at.Now, iv); m > r.lastTick {
			r.lastTick = m
			t := wire.Tick{Type: wire.TypeTick, Room: r.id, Seq: r.seq, Time: at.Now.Micros(), Epoch: p.epoch}
			p.out.Messages = append(p.out.Messages, r.message(p, wire.OutTick, at.Now, t.AppendJSON(make([]byte, 0, envelopeBytes+len(r.id)))))
		}
	}
}

func (r *roomState) message(p *Partition, c wire.OutClass, now game.Time, body []byte) Message {
	return Message{Room: r.id, Class: c, Header: wire.OutHeader{Epoch: p.epoch, Seq: r.seq, Time: int64(now)}, Log: r.lineage(), Body: body}
}

// lineage is what messages say of the log: nothing unless it has lost its tail. An owner that dies before it
// said so is not missed, as each message of those behind it says it, too.
func (r *roomState) lineage() string {
	if r.lost == 0 {
		return ""
	}
	return r.log
}

// nextWake is the game time at which the room wants a record.
func (r *roomState) nextWake(p *Partition, now game.Time) game.Time {
	wake := r.game.Due()
	if len(r.events) > 0 {
		wake = min(wake, r.lastCut+cutInterval)
	}
	if iv := r.game.TickInterval(); iv > 0 {
		wake = min(wake, now-r.sinceTick(p, now, iv)+iv)
	}
	return wake
}

// tickPhase spreads rooms over the longest tick interval.
func tickPhase(uuid string) game.Time {
	h := fnv.New32a()
	_, _ = h.Write([]byte(uuid))
	return game.Time(h.Sum32()) // up to 4.3 s
}

// sinceTick is how long ago a tick was due. By version 1 of the records ticks are due at
// multiples of the interval, in all rooms at once; since version 2 at a phase of the room's
// own, so that ten thousand rooms do not want to be told of at the same instant.
func (r *roomState) sinceTick(p *Partition, now, iv game.Time) game.Time {
	if p.versions[wire.Records] < 2 {
		return now % iv
	}
	return (now + r.phase%iv) % iv
}

func (r *roomState) info(partition int) wire.RoomInfo {
	return wire.RoomInfo{
		ID: r.id, UUID: r.uuid, Game: r.kind, Name: r.name, State: r.game.State(), Partition: partition, Created: r.created,
	}
}

// flushPrivate makes messages of what single players are told: one, unless a crash
// tells thousands.
func (p *Partition) flushPrivate(r *roomState) {
	for rest := r.private; len(rest) > 0; {
		n, bytes := fitting(rest, func(m wire.Private) int { return len(m.Player) + len(m.Message) + 32 })
		body := wire.AppendPrivates(make([]byte, 0, bytes), rest[:n])
		p.out.Messages = append(p.out.Messages, r.message(p, wire.OutPrivate, p.clock.Now, body))
		rest = rest[n:]
	}
	r.private = nil
}

// announce keeps the directory up to date and takes a closed room away.
func (p *Partition) announce(r *roomState) {
	if r.hidden {
		return
	}
	info := r.info(p.cfg.ID)
	if r.closing && info.State == statePaused && p.pending.rooms[r.id] == 0 && len(r.events) == 0 && r.settled() {
		info.State = stateClosed
		delete(p.rooms, r.id)
		p.wakes.remove(r)
		p.out.Messages = append(p.out.Messages, r.message(p, wire.OutMeta, p.clock.Now, nil))
	}
	if info.State != r.announced {
		r.announced = info.State
		p.out.Directory = append(p.out.Directory, info)
	}
}

func (r *roomState) settled() bool {
	k, ok := r.game.(game.Settled)
	return !ok || k.Settled()
}

// updateRing holds the newest updates of a room.
type updateRing struct {
	records []wire.OutRecord
	bytes   int
}

func (u *updateRing) add(r wire.OutRecord) {
	u.records = append(u.records, r)
	u.bytes += len(r.Message)
	n := 0
	for len(u.records)-n > ringUpdates || u.bytes > ringBytes && len(u.records)-n > 1 {
		u.bytes -= len(u.records[n].Message)
		n++
	}
	if n > 0 {
		u.records = slices.Delete(u.records, 0, n)
	}
}

// sum is the wire.UpdateSum of an update, nil when it is not there.
func (u *updateRing) sum(seq uint64) []byte {
	if n := len(u.records); n == 0 || seq < u.records[0].Seq || seq > u.records[n-1].Seq {
		return nil
	}
	return wire.UpdateSum(u.records[seq-u.records[0].Seq].Message)
}

// since returns the updates behind seq, and whether they are all there. Behind an update that was another one, by its
// sum, they are not: that was in a tail that the log has lost.
func (u *updateRing) since(seq uint64, sum []byte, newest uint64) ([]wire.OutRecord, bool) {
	if own := u.sum(seq); own != nil && len(sum) > 0 && !bytes.Equal(own, sum) {
		return nil, false
	}
	if seq >= newest {
		return nil, seq == newest
	}
	if len(u.records) == 0 || u.records[0].Seq > seq+1 {
		return nil, false
	}
	return u.records[seq+1-u.records[0].Seq:], true
}

// answerAsk answers a request about a room from the state.
func (p *Partition) answerAsk(a wire.Ask) wire.AskReply {
	if a.Op == wire.AskAnswer && a.Player == "" {
		answer := p.actions.answers[a.Key]
		return wire.AskReply{Answer: answer}
	}
	r := p.rooms[a.Room]
	if r == nil {
		return wire.AskReply{Error: wire.Errorf(wire.CodeUnknownRoom, "there is no room %q", a.Room)}
	}
	reply := wire.AskReply{Log: r.log, Seq: r.seq, Epoch: p.epoch, Time: int64(p.clock.Now)}
	switch a.Op {
	case wire.AskSnapshot:
		reply.View = r.game.View(game.At{Now: p.clock.Now, Wall: p.last.Time / 1e6})
		reply.Sum = r.ring.sum(r.seq)
	case wire.AskSince:
		var whole bool
		reply.Updates, whole = r.ring.since(a.Seq, a.Sum, r.seq)
		n, _ := fitting(reply.Updates, updateBytes)
		reply.Updates, reply.Lost = reply.Updates[:n], !whole // who asks goes on behind the last
	case wire.AskYou:
		reply.You = map[string]json.RawMessage{}
		for _, player := range a.Players[:min(len(a.Players), wire.MaxAskPlayers)] {
			if you := r.game.You(player); you != nil {
				reply.You[player] = you
			}
		}
	case wire.AskAnswer:
		reply.Answer, reply.Pending = r.askAnswer(a)
	default:
		return wire.AskReply{Error: wire.Errorf(wire.CodeUnknownOp, "unknown op %q", a.Op)}
	}
	return reply
}

// fitting is how many of the first of a list go out in one message, and their size:
// as many as fit maxListBytes, but at least one if there is one.
func fitting[T any](list []T, size func(T) int) (n, bytes int) {
	for _, e := range list {
		more := size(e)
		if bytes+more > maxListBytes && n > 0 {
			break
		}
		n, bytes = n+1, bytes+more
	}
	return n, bytes
}

func updateBytes(r wire.OutRecord) int { return len(r.Message) }

func (r *roomState) askAnswer(a wire.Ask) (answer json.RawMessage, pending bool) {
	e := r.keys.find(game.Ref{Player: a.Player, Key: a.Key})
	switch {
	case e == nil:
		return nil, false
	case string(e.Body[:]) != string(a.Body):
		return encodeAnswer(r.id, a.Key, nil, wire.Errorf(wire.CodeConflict, "key %q was used with another command", a.Key)), false
	}
	return e.Answer, e.Answer == nil
}
