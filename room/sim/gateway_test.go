package sim

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"tickcast/wire"
)

// gateway is the model of one: it applies updates by their number and fills gaps, and
// brings commands to the log until each has its answer.
type gateway struct {
	w        *world
	name     string
	link     link
	life     int
	cutUntil int64 // as it was when somebody was asked last

	rooms   map[string]*copied
	pending map[answerID]*pending
	lanes   map[string][]func(done func()) // by player: one command is on its way at a time
}

// copied is a gateway's copy of a room, as far as players of the simulation look at it.
type copied struct {
	log     string // empty while nobody has told
	seq     uint64
	chain   uint64 // of its updates; 0 when they come from a snapshot
	newest  []byte // wire.UpdateSum of it; nil when it comes from a snapshot of an owner that did not have it
	speaker uint64 // epoch of the owner that said it, or that it has it
	epoch   uint64 // newest that was heard of
	spoke   int64  // newest game time that its owner, or one before it, spoke of
	ring    map[uint64]uint64
	unsure  bool  // nothing is applied until a snapshot is there
	replace bool  // likewise, and it takes the place of what is here
	check   bool  // it was cut off, and nobody has answered since
	wrong   int64 // since when it goes on along a tail that the log has lost; 0 for not
	tick    int64
	stale   int64 // since when ticks come of older epochs only, without a pause; 0 for not
	dropped int64 // when the last of them came
	phase   string
	round   uint64
	asking  bool
	heard   int64 // when something of the room was
	jumps   int   // snapshots
}

// pending is a command without an answer.
type pending struct {
	cmd      *command
	msgID    string
	logged   bool
	unknown  int
	appended int
	waiters  []*player
}

func newGateway(w *world, i int) *gateway {
	g := &gateway{w: w, name: fmt.Sprint("gw-", i), link: link{w: w}}
	g.restart()
	g.lookLater()
	return g
}

// putRightWithin is how long a gateway that was cut off may go on along a lost tail.
const putRightWithin = 10 * time.Second

// quiet is after how long a silence a room is asked for what was missed.
const quiet = int64(5 * time.Second)

func (g *gateway) lookLater() {
	g.w.after(time.Second, func() {
		for i := range g.w.cfg.rooms {
			c := g.copyOf(roomName(i))
			c.check = c.check || g.cutUntil != g.link.core && g.link.connected()
			if c.unsure || c.replace || c.check || g.w.now-c.heard > quiet {
				g.catchUp(roomName(i))
			}
			if c.wrong != 0 && g.w.now-c.wrong > int64(putRightWithin) {
				g.w.fail("%s goes on with %s along a tail that the log has lost", g.name, roomName(i))
			}
		}
		if g.link.connected() {
			g.cutUntil = g.link.core
		}
		g.lookLater()
	})
}

// restart forgets everything: the process died and is back.
func (g *gateway) restart() {
	g.life++
	g.link.down = false
	g.rooms, g.pending, g.lanes = map[string]*copied{}, map[answerID]*pending{}, map[string][]func(func()){}
}

func (g *gateway) copyOf(room string) *copied {
	c := g.rooms[room]
	if c == nil {
		c = &copied{chain: fnvOffset, ring: map[uint64]uint64{}}
		g.rooms[room] = c
	}
	return c
}

// heard takes a message of an owner. One that names another log, or of an owner that does not know what
// an owner before said, or says another update in its place, tells that the log lost its tail.
func (g *gateway) heard(room string, class wire.OutClass, log string, h wire.OutHeader, body []byte) {
	c := g.copyOf(room)
	c.heard = g.w.now
	switch {
	case g.w.cfg.broken == staysAstray:
	case log != "" && c.log != "" && log != c.log, class == wire.OutMeta, c.unclaimed(h.Epoch, h.Time) && g.w.cfg.broken != dropsTicks:
		c.unsure = true
	case class == wire.OutUpdate && c.differs(h.Seq, body):
		c.replace = true
	case class == wire.OutTick && h.Seq < c.seq && h.Epoch > c.speaker:
		g.jump(room)
	}
	switch {
	case c.unsure || c.replace:
		g.jump(room)
		return
	case class == wire.OutTick && h.Epoch < c.epoch:
		g.drop(room)
	case class == wire.OutTick && h.Time >= c.tick:
		c.tick, c.stale = h.Time, 0
	case class == wire.OutUpdate && h.Seq == c.seq:
		c.speaker = h.Epoch
	case class == wire.OutUpdate && h.Seq == c.seq+1 && (h.Epoch == c.speaker || g.w.cfg.broken == staysAstray):
		g.apply(room, h.Epoch, h.Seq, body)
	case class == wire.OutUpdate && h.Seq > c.seq && g.w.cfg.broken == ignoresGaps:
		g.apply(room, h.Epoch, h.Seq, body)
	}
	if h.Seq > c.seq || class == wire.OutTick && h.Seq == c.seq && h.Epoch > c.speaker {
		g.catchUp(room)
	}
}

// drop takes note of a tick of an older epoch. An owner that was deposed does not go on for long.
func (g *gateway) drop(room string) {
	c := g.copyOf(room)
	if c.stale == 0 || g.w.now-c.dropped > int64(time.Second) {
		c.stale = g.w.now
	}
	if c.dropped = g.w.now; c.dropped-c.stale > int64(putRightWithin) {
		g.w.fail("%s drops the ticks of %s for an epoch that the log has lost", g.name, room)
	}
}

// unclaimed takes note of who spoke, and of the game time then. It reports whether the log cannot have the newest claim
// any more: an owner before it speaks of what is a second later.
func (c *copied) unclaimed(epoch uint64, t int64) bool {
	if epoch < c.epoch {
		return c.log != "" && t > c.spoke+int64(time.Second)
	}
	c.epoch, c.spoke = epoch, max(c.spoke, t)
	return false
}

// differs reports whether an update is another one than the copy has under its number.
func (c *copied) differs(seq uint64, body []byte) bool {
	if was, ok := c.ring[seq]; ok {
		return was != sum(body)
	}
	return seq == c.seq && c.newest != nil && !bytes.Equal(c.newest, wire.UpdateSum(body))
}

// ringUpdates is how many updates a gateway has of a room.
const ringUpdates = 512

// apply takes the next update of a room.
func (g *gateway) apply(room string, epoch, seq uint64, body []byte) {
	c := g.copyOf(room)
	u, ok := g.w.truth.find(room, seq, c.chain, body)
	if !ok && g.w.truth.lostTails > 0 {
		if u, ok = g.w.truth.find(room, seq, 0, body); c.wrong == 0 {
			c.wrong = g.w.now
		}
	}
	if seq != c.seq+1 || !ok {
		g.w.fail("%s applies an update %d of %s behind %d that is not the next", g.name, seq, room, c.seq)
	}
	c.seq, c.chain, c.newest, c.speaker, c.ring[seq] = seq, u.chain, wire.UpdateSum(body), epoch, u.sum
	delete(c.ring, seq-ringUpdates)
	if u.phase != "" {
		c.phase, c.round = u.phase, u.round
	}
	g.w.note(g.name, nil)
}

// catchUp asks for what is missing, then for a snapshot if that is gone.
func (g *gateway) catchUp(room string) {
	c, life := g.copyOf(room), g.life
	if c.asking {
		return
	}
	if c.unsure || c.replace {
		g.jump(room)
		return
	}
	c.asking = true
	from, newest := c.seq, c.newest
	if g.w.cfg.broken == staysAstray {
		newest = nil
	}
	g.w.ask(&g.link, wire.Ask{Op: wire.AskSince, Room: room, Seq: from, Sum: newest}, func(r *wire.AskReply) {
		if g.life != life {
			return
		}
		c.asking = false
		if r != nil && r.Error == nil {
			c.log, c.check = cmp.Or(c.log, r.Log), false
		}
		switch {
		case r == nil || r.Error != nil:
		case r.Log != c.log && g.w.cfg.broken != staysAstray:
			c.unsure = true
			g.jump(room)
		case r.Seq < c.seq && r.Epoch > c.speaker:
			g.jump(room)
		case c.unclaimed(r.Epoch, r.Time) && g.w.cfg.broken != dropsTicks:
			c.unsure = true
			g.jump(room)
		case r.Seq < c.seq: // a follower that is behind
		case r.Lost:
			c.replace = true
			g.jump(room)
		default:
			g.newer(room, from, r)
		}
	})
}

// newer takes the updates behind from, the newest when they were asked for.
func (g *gateway) newer(room string, from uint64, r *wire.AskReply) {
	c := g.copyOf(room)
	if from == c.seq {
		c.speaker = r.Epoch
	}
	for _, u := range r.Updates {
		switch {
		case c.unsure || c.replace:
		case u.Seq <= c.seq:
			if c.differs(u.Seq, u.Message) {
				c.replace = true
			} else if u.Seq == c.seq {
				c.speaker = r.Epoch
			}
		case u.Seq == c.seq+1:
			g.apply(room, r.Epoch, u.Seq, u.Message)
		}
	}
}

func (g *gateway) jump(room string) {
	c, life := g.copyOf(room), g.life
	if c.asking {
		return
	}
	c.asking = true
	g.w.ask(&g.link, wire.Ask{Op: wire.AskSnapshot, Room: room}, func(r *wire.AskReply) {
		if g.life != life {
			return
		}
		c.asking = false
		var v struct {
			Phase string
			Round uint64
		}
		if r == nil || r.Error != nil || json.Unmarshal(r.View, &v) != nil {
			return
		}
		replace := c.replace
		c.unsure, c.replace, c.check = false, false, false
		unclaimed := c.unclaimed(r.Epoch, r.Time) && g.w.cfg.broken != dropsTicks
		switch {
		case unclaimed || r.Log != c.log || r.Seq < c.seq && r.Epoch > c.speaker || replace && r.Seq >= c.seq:
		case r.Seq > c.seq:
			g.catchUp(room)
			return
		default:
			return
		}
		if unclaimed || r.Log != c.log {
			c.epoch, c.spoke, c.stale = r.Epoch, r.Time, 0
		}
		c.log, c.seq, c.newest, c.speaker, c.phase, c.round = r.Log, r.Seq, r.Sum, r.Epoch, v.Phase, v.Round
		c.chain, c.ring, c.wrong = 0, map[uint64]uint64{}, 0
		c.jumps++
	})
}

// submit takes a command of a player, who waits for its answer.
func (g *gateway) submit(p *player, cmd *command) {
	if g.link.down {
		return
	}
	id := cmd.id
	if known := g.pending[id]; known != nil {
		if !slices.Contains(known.waiters, p) {
			known.waiters = append(known.waiters, p)
		}
		return
	}
	q := &pending{cmd: cmd, msgID: cmd.wire.MsgID(cmd.room), waiters: []*player{p}}
	g.pending[id] = q
	g.lane(cmd.wire.Player, func(done func()) { g.bring(q, q.msgID, done) })
}

// lane runs the jobs of a player one behind the other.
func (g *gateway) lane(player string, job func(done func())) {
	g.lanes[player] = append(g.lanes[player], job)
	if len(g.lanes[player]) == 1 {
		g.next(player)
	}
}

func (g *gateway) next(player string) {
	life := g.life
	g.lanes[player][0](func() {
		if g.life != life {
			return
		}
		if g.lanes[player] = g.lanes[player][1:]; len(g.lanes[player]) > 0 {
			g.next(player)
		}
	})
}

// bring appends the command's record until the log's answer is definite.
func (g *gateway) bring(q *pending, msgID string, done func()) {
	if g.pending[q.cmd.id] != q {
		done()
		return
	}
	c := q.cmd.wire
	c.Gateway = g.name
	record, _ := c.AppendBinary(nil)
	life := g.life
	g.w.log.publish(&g.link, message{kind: wire.KindCommand, room: q.cmd.room, data: record, id: msgID}, 2*time.Second, func(a ack) {
		switch {
		case g.life != life:
		case a.err != nil && g.w.cfg.broken == givesUp:
			done()
		case a.err != nil:
			g.bring(q, msgID, done)
		default:
			q.logged, q.cmd.acked = true, true
			done()
			if a.duplicate {
				g.askFor(q)
			} else {
				g.w.after(time.Second, func() { g.askFor(q) })
			}
		}
	})
}

// askFor asks the owner for an answer that is late.
func (g *gateway) askFor(q *pending) {
	if g.pending[q.cmd.id] != q || !q.logged {
		return
	}
	id, life := q.cmd.id, g.life
	g.w.ask(&g.link, wire.Ask{Op: wire.AskAnswer, Room: id.room, Player: id.player, Key: id.key, Body: []byte(id.body)}, func(r *wire.AskReply) {
		switch {
		case g.life != life || g.pending[id] != q:
			return
		case r == nil || r.Error != nil && r.Error.Code != wire.CodeUnknownRoom:
		case r.Answer != nil:
			g.finish(q, r.Answer)
			return
		case r.Pending:
			q.unknown = 0
		default:
			if q.unknown++; q.unknown >= 2 { // the room does not keep it: a new record is answered anew
				q.unknown, q.logged = 0, false
				q.appended++
				msgID := fmt.Sprintf("%s.%s.%d", q.msgID, g.name, q.appended)
				g.lane(id.player, func(done func()) { g.bring(q, msgID, done) })
				return
			}
		}
		g.w.after(time.Second, func() { g.askFor(q) })
	})
}

// answers takes what an owner answers to commands that came by this gateway.
func (g *gateway) answers(list []wire.RoutedAnswer) {
	for _, a := range list {
		if q := g.pending[idOf(a)]; q != nil {
			g.finish(q, a.Answer)
		}
	}
}

func (g *gateway) finish(q *pending, answer json.RawMessage) {
	delete(g.pending, q.cmd.id)
	for _, p := range q.waiters {
		if !g.w.lost() { // else the player's connection is gone
			g.w.after(g.w.delay(), func() { p.answered(q.cmd, answer) })
		}
	}
}
