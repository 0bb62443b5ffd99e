package judge

import (
	"container/heap"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"tickcast/wire"
)

// Modes of a room.
const (
	running = "running"
	pausing = "pausing" // paused behind the round that is on
	paused  = "paused"
)

// never is a time that does not come.
const never = math.MaxInt64

// rules are what a game has of its own. Its implementations are crash and race.
type rules interface {
	// command judges a command whose key is fresh.
	command(at at, c *wire.Command) error
	// act performs an operator's action; false is a refusal.
	act(at at, a *wire.Action) bool
	// fact applies what the owner states. One that is not owed has no effect.
	fact(at at, kind string, data []byte) error
	// result gives a bet the ledger's answer.
	result(at at, b *Booking) error
	// due is when time has something to do, never if nothing.
	due() int64
	// advance does it; at.now is due. blocked: the seed has not been read yet.
	advance(at at) (blocked bool, err error)
	// round is the newest that a command can be for.
	round() uint64
	mode() string
	// settled: nothing is on its way to the ledger.
	settled() bool
	keyless(op string) bool
}

// room is what is common to all games.
type room struct {
	log      *Log
	id, uuid string
	kind     string
	game     rules
	keys     *keyTable
	closing  bool
	queued   int64           // due time in the heap, 0 for none
	orphans  map[string]bool // stakes that the log lost, by the IDs of their bookings
}

// differs is a Difference of a round of the room at the present record.
func (r *room) differs(rd *Round, what, expected, found string) *Difference {
	d := r.log.differs(what, expected, found)
	d.Room = r.id
	if rd != nil {
		d.Round = rd.Number
	}
	return d
}

// command judges a player's command: a key that is known has had its effect.
func (r *room) command(c *wire.Command) error {
	id := keyID{c.Player, c.Key}
	if r.keys.knows(id) {
		return nil
	}
	round := r.game.round()
	if round > 0 && c.Round+keptRounds < round {
		return nil
	}
	if r.game.keyless(c.Op) {
		r.keys.fileKeyless(id, round)
	} else if !r.keys.file(id, round) {
		return nil
	}
	return r.game.command(r.log.at, c)
}

// touch looks after a room whose state may have changed.
func (l *Log) touch(r *room) {
	if r.closing && r.game.mode() == paused && l.waiting[r.id] == 0 && r.game.settled() {
		delete(l.rooms, r.id)
		if c, ok := r.game.(*crash); ok && len(c.next.Bets) > 0 {
			l.unopened = append(l.unopened, c.next)
		}
		return
	}
	l.schedule(r)
}

// schedule puts a room into the heap under its due time.
func (l *Log) schedule(r *room) {
	due := r.game.due()
	if due == r.queued {
		return
	}
	r.queued = due
	if due != never {
		heap.Push(&l.due, dueRoom{due, r})
	}
}

// passTimers lets every room meet what the clock has passed. blocked: one of them needs
// a seed that has not been read.
func (l *Log) passTimers() (blocked bool, err error) {
	for len(l.due) > 0 && l.due[0].due <= l.at.now {
		d := l.due[0]
		if d.room.queued != d.due || l.rooms[d.room.id] != d.room {
			heap.Pop(&l.due) // it was scheduled anew, or is gone
			continue
		}
		when := l.at
		when.now = d.due
		if blocked, err := d.room.game.advance(when); blocked || err != nil {
			return blocked, err
		}
		heap.Pop(&l.due)
		d.room.queued = 0
		l.touch(d.room)
	}
	return false, nil
}

// dueHeap orders rooms by their due time.
type dueHeap []dueRoom

type dueRoom struct {
	due  int64
	room *room
}

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due < h[j].due }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(x any)        { *h = append(*h, x.(dueRoom)) }
func (h *dueHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// action performs an operator's action once.
func (l *Log) action(roomID string, rec *Record) error {
	var a wire.Action
	if json.Unmarshal(rec.Data, &a) != nil || a.ID == "" {
		l.notes.Malformed.add(rec.Seq)
		return nil
	}
	if l.actions[a.ID] {
		return nil
	}
	l.actions[a.ID] = true
	if l.acted = append(l.acted, a.ID); len(l.acted) > keptActions {
		delete(l.actions, l.acted[0])
		l.acted = l.acted[1:]
	}
	l.perform(roomID, &a)
	l.ask(&Booking{ID: "audit/" + a.ID, Kind: wire.BookAudit, Room: roomID, Operator: a.Operator})
	if r := l.rooms[roomID]; r != nil {
		l.touch(r)
	}
	return nil
}

func (l *Log) perform(roomID string, a *wire.Action) {
	if roomID == wire.CashierRoom {
		l.cashier.act(a)
		return
	}
	if a.Op == wire.ActionCreate {
		l.create(roomID, a)
		return
	}
	r := l.rooms[roomID]
	switch {
	case r == nil:
	case a.Op == wire.ActionClose:
		r.closing = true
		if r.game.mode() != paused {
			pause := *a
			pause.Op = wire.ActionPause
			r.game.act(l.at, &pause)
		}
	case r.closing && (a.Op == wire.ActionStart || a.Op == wire.ActionResume):
	default:
		r.game.act(l.at, a)
	}
}

// create makes a room, if the action is a good one.
func (l *Log) create(roomID string, a *wire.Action) {
	var args wire.CreateArgs
	if !wire.ValidRoomID(roomID) || l.rooms[roomID] != nil || json.Unmarshal(a.Args, &args) != nil {
		return
	}
	if l.cfg.Rooms != nil && !l.cfg.Rooms[roomID] || l.versions.inForce[args.Game] == 0 {
		return
	}
	uuid, ok := parseUUIDv7(args.UUID)
	if !ok || args.Name != "" && !wire.ValidText(args.Name, wire.MaxNameBytes) || args.Name == "" && !wire.ValidText(roomID, wire.MaxNameBytes) {
		return
	}
	r := &room{log: l, id: roomID, uuid: uuid, kind: args.Game, keys: newKeyTable(), orphans: map[string]bool{}}
	switch args.Game {
	case "crash":
		if g := newCrash(r, &args); g != nil {
			r.game = g
		}
	case "race":
		if g := newRace(r, &args); g != nil {
			r.game = g
		}
	}
	if r.game != nil {
		l.rooms[roomID] = r
		l.schedule(r)
	}
}

// parseUUIDv7 reads a UUID of version 7 in any of its usual forms and returns the
// canonical one.
func parseUUIDv7(s string) (string, bool) {
	if len(s) == 45 && strings.EqualFold(s[:9], "urn:uuid:") {
		s = s[9:]
	} else if len(s) == 38 && s[0] == '{' && s[37] == '}' {
		s = s[1:37]
	}
	if len(s) == 36 {
		if s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
			return "", false
		}
		s = s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:]
	}
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 16 || b[6]>>4 != 7 {
		return "", false
	}
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), true
}
