package loadtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"tickcast/wire"
)

// cursor checks what one connection receives of one room against the rules of
// docs/protocol.md, section 3. It is owned by its bot and used under the bot's
// lock; times are arguments.
type cursor struct {
	// What every update and tick needs stands first, near each other in memory.
	stream  *stream // set while joined
	seq     uint64  // last update received, or the position joined at
	live    uint64  // updates up to here were out when the room was joined
	updateT int64   // game time of the last update of this join
	meter   *meter
	seat    *seat // of the bot
	joined  bool
	slow    bool   // the bot reads slowly on purpose
	tickT   int64  // game time of the last tick of this join
	tickSeq uint64 // newest update that a tick told of
	ticks   uint64 // number of the last tick, 0 before the first of this join
	epoch   uint64

	check   *checker
	bot     int
	source  string // the gateway, for examples
	room    string
	asked   *wire.Position // position given in the join, nil for none
	joinID  uint64         // id of the join that waits for its answer, 0 for none
	askedAt time.Duration  // when that join was sent

	skipTo   uint64 // a skip was announced up to here; 0 for none
	degraded bool   // a skip ever happened: what came is no gap-free sequence
	left     bool   // the room was closed
}

// example describes a failure seen here.
func (c *cursor) fail(name checkName, seq uint64, format string, args ...any) {
	e := Example{Bot: c.bot, Gateway: c.source, Room: c.room, Seq: seq, Detail: fmt.Sprintf(format, args...)}
	if c.stream != nil {
		e.Log = c.stream.log
	}
	c.check.fail(name, e)
}

// ask notes that a join is sent, with the position given in it.
func (c *cursor) ask(id uint64, p *wire.Position) {
	c.joinID, c.asked = id, p
}

// position is where to resume, nil before the first join.
func (c *cursor) position() *wire.Position {
	if c.stream == nil {
		return nil
	}
	return &wire.Position{Log: c.stream.log, Seq: c.seq}
}

// onJoined checks the answer to a join, or the snapshot behind a skip (P3.2,
// P3.10, P3.12).
func (c *cursor) onJoined(m *wire.Joined) {
	asked, unasked := c.asked, m.ID == 0
	switch {
	case unasked && c.skipTo == 0:
		c.fail(checkRecovery, m.Position.Seq, "a joined message without id came without a skip before it")
	case !unasked && m.ID != c.joinID:
		c.fail(checkProtocol, m.Position.Seq, "joined has id %d, the join had %d", m.ID, c.joinID)
	}
	s := c.check.stream(c.room, m.Position.Log)
	if s == nil || m.Position.Log == "" {
		c.fail(checkProtocol, m.Position.Seq, "joined names log %.80q; more than %d logs of a room, or none", m.Position.Log, maxLogs)
		return
	}
	if unasked {
		asked = c.position()
		if m.Position.Seq < c.skipTo {
			c.fail(checkRecovery, m.Position.Seq, "the snapshot behind a skip is at %d, before its end %d", m.Position.Seq, c.skipTo)
		}
	}
	c.checkPosition(m, asked)
	c.checkSource(m, asked != nil && !unasked)
	if c.stream != s {
		c.tickSeq = 0
	}
	c.ticks = 0
	c.stream, c.seq, c.joined, c.live = s, m.Position.Seq, true, s.getNewest()
	c.skipTo, c.updateT, c.tickT, c.epoch = 0, 0, 0, m.Epoch
	if !unasked {
		c.joinID = 0
	}
}

func (c *cursor) checkPosition(m *wire.Joined, asked *wire.Position) {
	hasView := len(m.Snapshot) > 0 && !bytes.Equal(m.Snapshot, []byte("null"))
	switch {
	case m.Recovered && asked == nil:
		c.fail(checkRecovery, m.Position.Seq, "recovered without a position to recover from")
	case m.Recovered && m.Position != *asked:
		c.fail(checkRecovery, m.Position.Seq, "recovered at %v, but the position given was %v", m.Position, *asked)
	case m.Recovered && hasView:
		c.fail(checkRecovery, m.Position.Seq, "recovered, but with a snapshot")
	case m.Recovered:
		c.check.count(countRecovered, 1)
	case !hasView:
		c.fail(checkRecovery, m.Position.Seq, "not recovered, but without a snapshot")
	case asked != nil && m.Position.Log == asked.Log && m.Position.Seq < asked.Seq:
		c.fail(checkRecovery, m.Position.Seq, "the snapshot is at %d, behind the position %d of the same log", m.Position.Seq, asked.Seq)
	case asked != nil && m.Position.Log != asked.Log:
		c.check.count(countOtherLog, 1)
	case asked != nil:
		c.check.count(countNotRecovered, 1)
	}
}

// checkSource checks what the gateway says about where the join was served from, and counts it.
func (c *cursor) checkSource(m *wire.Joined, recovering bool) {
	switch m.Source {
	case wire.SourceRing, wire.SourceGateway, wire.SourceOwner, wire.SourceFollower, wire.SourceSnapshot:
	default:
		c.fail(checkRecovery, m.Position.Seq, "joined from %.80q", m.Source)
		return
	}
	if m.Recovered == (m.Source == wire.SourceSnapshot) {
		c.fail(checkRecovery, m.Position.Seq, "recovered: %t, from %s", m.Recovered, m.Source)
	}
	if m.WasRecovering != recovering {
		c.fail(checkRecovery, m.Position.Seq, "was_recovering is %t, a position was given: %t", m.WasRecovering, recovering)
	}
	if recovering {
		c.check.count(countFrom+string(m.Source), 1)
	}
}

// quickUpdate takes in a message that is the next update of the room, byte for
// byte as another bot got it and as it was checked then. For any other message it
// does nothing and returns nil.
func (c *cursor) quickUpdate(raw []byte, at time.Duration) *frame {
	if !c.joined {
		return nil
	}
	f := c.stream.again(c.seq+1, raw, c.sight(c.seq+1, at))
	if f != nil {
		c.follow(f.seq, f.t)
	}
	return f
}

// quickTick does the same for a tick. It returns what was read of it, nil when
// others have not got it yet.
func (c *cursor) quickTick(raw []byte, at time.Duration) *tickFrame {
	if !c.joined {
		return nil
	}
	f := c.stream.tick(raw)
	if f != nil {
		c.meter.received(len(raw))
		c.onTick(f.head)
		c.countTick(f, at)
	}
	return f
}

func (c *cursor) sight(seq uint64, at time.Duration) sight {
	return sight{at: at, inOrder: seq == c.seq+1, live: seq > c.live, slow: c.slow, meter: c.meter}
}

// onUpdate checks an update (P3.3, P3.4). It returns what the bot should react
// to, and whether the sequence is broken, so that a client must resume.
func (c *cursor) onUpdate(h head, raw []byte, at time.Duration) (n *news, broken bool) {
	if !c.joined {
		// Behind left or before joined nothing of the room may come (P3.8).
		c.fail(checkOrder, h.seq, "an update of a room that is not joined")
		return nil, false
	}
	w := c.sight(h.seq, at)
	got := c.stream.see(h, raw, w)
	if got.differ {
		c.fail(checkContent, h.seq, "content %s differs from %s that was seen first: %.200s", got.sum, got.known, raw)
	}
	if got.bad != nil {
		c.fail(checkProtocol, h.seq, "%v: %.200s", got.bad, raw)
	}
	for _, p := range got.problems {
		c.fail(p.check, h.seq, "%s", p.detail)
	}
	switch {
	case w.inOrder:
	case h.seq <= c.seq:
		c.fail(checkOrder, h.seq, "came again behind %d (content %s)", c.seq, got.sum)
		return nil, false
	case c.skipTo > 0:
		// Between a skip and its snapshot the numbers jump; that was announced.
		c.seq = h.seq
		return got.news, false
	default:
		c.fail(checkOrder, h.seq, "gap: came behind %d (content %s)", c.seq, got.sum)
		return nil, true
	}
	c.follow(h.seq, h.t)
	return got.news, false
}

// follow moves on to the next update.
func (c *cursor) follow(seq uint64, t int64) {
	c.seq = seq
	if t < c.updateT {
		c.fail(checkClock, seq, "game time %d µs, before %d of the update before", t, c.updateT)
	}
	c.updateT = max(c.updateT, t)
}

// onTick checks a tick (P3.5, P3.6): its time and epoch never go back on a
// connection, and its time lies between update seq and the one behind it.
func (c *cursor) onTick(h head) {
	if !c.joined {
		c.fail(checkOrder, h.seq, "a tick of a room that is not joined")
		return
	}
	if h.t < c.tickT {
		c.fail(checkClock, h.seq, "tick at %d µs behind one at %d", h.t, c.tickT)
	}
	if h.epoch < c.epoch {
		c.fail(checkClock, h.seq, "tick of epoch %d behind epoch %d", h.epoch, c.epoch)
	}
	this, next := c.stream.timesAround(h.seq)
	if this > h.t || (next >= 0 && h.t > next) {
		c.fail(checkClock, h.seq, "tick at %d µs does not lie between its update (%d) and the next (%d; -1: not seen)", h.t, this, next)
	}
	c.tickT, c.epoch = max(c.tickT, h.t), max(c.epoch, h.epoch)
	c.tickSeq = max(c.tickSeq, h.seq)
}

// meetTick takes in a tick that the bot is the first to get.
func (c *cursor) meetTick(h head, raw []byte, at time.Duration) {
	if !c.joined {
		return
	}
	if f := c.stream.meetTick(h, raw, at); f != nil {
		c.countTick(f, at)
	}
}

// countTick counts the ticks that others got and this connection did not. That is
// no failure: of ticks only the newest counts.
func (c *cursor) countTick(f *tickFrame, at time.Duration) {
	if c.ticks > 0 && f.number > c.ticks+1 {
		name := countTicksMissed
		if c.meter.warming.Load() {
			name += earlySuffix
		}
		if c.slow {
			name += slowSuffix
		}
		c.check.count(name, f.number-c.ticks-1)
	}
	c.ticks = max(c.ticks, f.number)
	if !c.slow {
		c.meter.sawTick(at - time.Duration(f.head.t*1000+c.stream.tickBase.Load()))
	}
}

// onSkip notes that updates are left out on purpose (P3.10).
func (c *cursor) onSkip(m *wire.Skip) {
	if m.From > m.To || m.To == 0 {
		c.fail(checkProtocol, m.From, "skip from %d to %d", m.From, m.To)
		return
	}
	c.skipTo = max(c.skipTo, m.To)
	suffix := ""
	if c.slow {
		suffix = slowSuffix
	}
	if !c.degraded {
		c.degraded = true
		c.check.count(countDegraded+suffix, 1)
	}
	c.check.count(countSkips+suffix, 1)
	c.check.count(countSkipped+suffix, m.To-m.From+1)
}

func (c *cursor) onLeft() {
	c.joined, c.left = false, true
	c.check.count(countClosed, 1)
}

// finish checks in the end that nothing is missing: what somebody else had when
// the bots stopped acting, and what a tick told of then.
func (c *cursor) finish(tickMark uint64) {
	if c.slow {
		c.finishSlow()
		return
	}
	if c.left || c.degraded || !c.joined {
		return
	}
	if want := max(c.stream.getMark(), tickMark); c.seq < want {
		c.fail(checkComplete, c.seq, "stands at %d, but %d was out before the end", c.seq, want)
	}
}

// finishSlow checks that a bot that was slow on purpose has it all in the end: what
// it missed it was told of, or its sequence would have had a gap.
func (c *cursor) finishSlow() {
	if c.left {
		return
	}
	if !c.joined {
		c.fail(checkSlow, c.seq, "is not joined, though it reads again")
	} else if want := c.stream.getMark(); c.seq < want {
		c.fail(checkSlow, c.seq, "stands at %d, though it reads again and %d was out before the end", c.seq, want)
	}
	if !c.degraded {
		c.check.count(countUnnoticed, 1)
	}
}

// Counters of things that are no failures.
const (
	countRecovered    = "resumes recovered"
	countNotRecovered = "resumes by snapshot"
	countFrom         = "resumes from: " // a wire.Source
	countOtherLog     = "resumes into another log"
	countSkips        = "skips"
	countSkipped      = "updates skipped"
	countDegraded     = "sequences degraded"
	countClosed       = "rooms closed"
	countUnnoticed    = "sequences of slow bots that are whole on their last connection"
	countTicksMissed  = "ticks missed that others got"

	// slowSuffix marks what concerns bots that are slow on purpose.
	slowSuffix = " (slow bots)"
	// earlySuffix marks what was late before the warm-up ended.
	earlySuffix = " (warm-up)"
)

// decode reads a whole message into m, or reports that it is malformed.
func decode(raw []byte, m any) error {
	if err := json.Unmarshal(raw, m); err != nil {
		return fmt.Errorf("%w: %.200s", err, raw)
	}
	return nil
}
