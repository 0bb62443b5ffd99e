package server

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"time"

	"tickcast/fanout"
	"tickcast/server/internal/peer"
	"tickcast/wire"
)

const (
	// youInterval is how often a room asks for the private parts of those who join:
	// a herd becomes a few requests.
	youInterval = 50 * time.Millisecond
	// youRetry is the pause after the owner did not answer.
	youRetry = 100 * time.Millisecond
	// joinTimeout is how long a join waits for the owner: longer than a takeover.
	joinTimeout = 5 * time.Second
)

// joining is a request for a place in a room. Owned by the feed's loop once it has it.
type joining struct {
	m        *member
	id       uint64
	position *wire.Position
	again    bool   // not asked for by the client: the copy was replaced, or updates were lost
	skipped  uint64 // newest update that the client was told it does not get: the snapshot must have it
	since    time.Time

	youAsked, youKnown bool
	you                json.RawMessage
	filling            bool            // whether it waits, or waited, for updates that were not here
	checked            bool            // whether the position is really newer than the copy
	notices            []*fanout.Frame // told while waiting
}

// fail refuses the join. A client that was a member before cannot go on: it has
// lost updates and there is nothing to give instead.
func (j *joining) fail(e *wire.Error) {
	s := j.m.s
	if !s.forget(j.m) {
		return
	}
	s.g.feeds.release(j.m)
	if j.again {
		s.conn.Close(wire.CloseInsufficient, "room "+j.m.room+": "+e.Message)
		return
	}
	s.refuse(j.id, j.m.room, e)
}

// joins are the joins of a room that wait for something. Owned by the feed's loop.
type joins struct {
	waiting []*joining
	asked   time.Time // when private parts were asked for last
}

// add takes a join. A member that waits already goes on waiting; what its client asked for counts
// for more than what the room has begun by itself before it saw that.
func (w *joins) add(j *joining) {
	for i, other := range w.waiting {
		if other.m == j.m {
			if other.again && !j.again {
				w.waiting[i] = j
			}
			return
		}
	}
	w.waiting = append(w.waiting, j)
}

// again has a member join with a new snapshot.
func (w *joins) again(m *member) { w.add(&joining{m: m, again: true, since: time.Now()}) }

// keep gives a message for a player to his joins that wait: it may be newer than
// the private part they have.
func (w *joins) keep(player string, f *fanout.Frame) {
	for _, j := range w.waiting {
		if f != nil && j.m.s.player.ID == player {
			j.notices = append(j.notices, f)
		}
	}
}

// ahead reports whether a client knows newer updates of the log than the copy has.
func (w *joins) ahead(c *roomCopy) bool {
	return slices.ContainsFunc(w.waiting, func(j *joining) bool {
		return j.position != nil && j.position.Log == c.log && j.position.Seq > c.seq
	})
}

// expire fails the joins that have waited too long.
func (w *joins) expire(now time.Time) {
	w.filter(func(j *joining) bool {
		if now.Sub(j.since) < joinTimeout {
			return true
		}
		j.fail(wire.Errorf(wire.CodeUnavailable, "room %q cannot be asked at the moment", j.m.room))
		return false
	})
}

// filter keeps the joins for which keep returns true.
func (w *joins) filter(keep func(*joining) bool) {
	rest := w.waiting[:0]
	for _, j := range w.waiting {
		if keep(j) {
			rest = append(rest, j)
		}
	}
	clear(w.waiting[len(rest):])
	w.waiting = rest
}

// serve lets in who has everything. It returns when to go on if those are many, else zero.
func (f *feed) serve(now time.Time) (again time.Time) {
	if len(f.joins.waiting) == 0 || f.copy.log == "" || f.sync.doubtful() || !f.chat.loaded {
		return time.Time{}
	}
	served := 0
	f.joins.filter(func(j *joining) bool {
		switch {
		case !j.youKnown:
			return true
		case served == serveTurn:
			again = now
			return true
		case f.admit(j, now) == errWait:
			return true
		}
		served++
		return false
	})
	return again
}

// errWait tells that a join has to wait for an answer of the owner.
var errWait = errors.New("server: join waits")

// admit serves a join from the copy: by position if that can be, else with the
// snapshot.
func (f *feed) admit(j *joining, now time.Time) error {
	if p := j.position; p != nil && p.Log == f.copy.log {
		switch err := f.resume(j, p.Seq); {
		case err == nil || errors.Is(err, errWait):
			return err
		case !errors.Is(err, fanout.ErrGone):
			return f.giveUp(j, err)
		}
	}
	c, y := &f.copy, &f.sync
	old := c.snap.seq < j.skipped
	if (old && c.next == nil || c.seq-c.snap.seq > refreshTail) && now.Sub(y.asked) >= refreshEvery {
		y.snapshot = true
	}
	if old {
		return errWait
	}
	err := f.enter(j, c.snap.seq, f.joinedWhole(j))
	switch {
	case err == nil:
		f.g.metrics.joinSeconds(j, wire.SourceSnapshot, now)
		return nil
	case errors.Is(err, fanout.ErrGone):
		if c.next == nil {
			y.snapshot = true
		}
		return errWait
	}
	return f.giveUp(j, err)
}

// resume goes on behind update seq: from the ring, else with what the owner still
// has. The error is fanout.ErrGone if nobody has it.
func (f *feed) resume(j *joining, seq uint64) error {
	c, y := &f.copy, &f.sync
	if seq > c.seq {
		if !j.checked {
			j.checked, y.since = true, true
		}
		if y.since || y.snapshot {
			return errWait
		}
		return fanout.ErrGone // of a tail that the log lost
	}
	source := wire.SourceRing
	if j.filling {
		source = c.filled
	}
	err := f.enter(j, seq, f.joinedBehind(j, seq, source))
	if err == nil {
		f.g.metrics.joinSeconds(j, source, time.Now())
		return nil
	}
	if !errors.Is(err, fanout.ErrGone) || seq < c.oldest {
		return err
	}
	if y.behind == 0 || seq+1 < y.behind {
		y.behind = seq + 1
	}
	j.filling = true
	return errWait
}

// giveUp ends a join that the connection does not take.
func (f *feed) giveUp(j *joining, err error) error {
	j.fail(wire.Errorf(wire.CodeUnavailable, "room %q: %v", f.room, err))
	return nil
}

// enter makes the session a receiver of the room behind update after.
func (f *feed) enter(j *joining, after uint64, first *fanout.Frame) error {
	s := j.m.s
	s.mu.Lock()
	defer s.mu.Unlock()
	if j.m.gone {
		return nil
	}
	if err := f.topic.Join(s.conn, after, first); err != nil {
		return err
	}
	j.m.joined, j.m.known = true, wire.Position{Log: f.copy.log, Seq: after}
	for _, n := range j.notices {
		s.sendFrame(n)
	}
	return nil
}

// askYou asks for the private parts of who waits, all in one request. It returns
// when to ask next, zero if nobody waits.
func (f *feed) askYou(now time.Time) time.Time {
	w := &f.joins
	if f.ended || !slices.ContainsFunc(w.waiting, func(j *joining) bool { return !j.youAsked }) {
		return time.Time{}
	}
	if next := w.asked.Add(youInterval); now.Before(next) {
		return next
	}
	w.asked = now
	players := map[string]bool{}
	for _, j := range w.waiting {
		if !j.youAsked {
			players[j.m.s.player.ID], j.youAsked = true, true
		}
	}
	chunk := make([]string, 0, min(len(players), wire.MaxAskPlayers))
	for p := range players {
		if chunk = append(chunk, p); len(chunk) == wire.MaxAskPlayers {
			f.askYouOf(chunk)
			chunk = nil
		}
	}
	if len(chunk) > 0 {
		f.askYouOf(chunk)
	}
	return time.Time{}
}

func (f *feed) askYouOf(players []string) {
	f.ask(wire.Ask{Op: wire.AskYou, Players: players}, func(r wire.AskReply, err error, now time.Time) {
		asked := map[string]bool{}
		for _, p := range players {
			asked[p] = true
		}
		for _, j := range f.joins.waiting {
			player := j.m.s.player.ID
			if !asked[player] || !j.youAsked || j.youKnown {
				continue
			}
			if err != nil {
				j.youAsked = false
				continue
			}
			j.youKnown, j.you = true, r.You[player]
		}
		switch {
		case err != nil:
			f.joins.asked = now.Add(youRetry - youInterval)
			f.sync.snapshot = f.sync.snapshot || peer.IsCode(err, wire.CodeUnknownRoom)
		case f.copy.log != "" && r.Log != f.copy.log:
			f.sync.doubt()
		}
	})
}

// joinedWhole is a joined message with the snapshot.
func (f *feed) joinedWhole(j *joining) *fanout.Frame {
	c := &f.copy
	if c.prefix == nil {
		t := c.snap.time
		if c.tickSeq >= c.snap.seq && c.tick > 0 {
			t = min(t, c.tick) // that tick may come next, and time does not go back
		}
		p := wire.Position{Log: c.log, Seq: c.snap.seq}
		c.prefix = f.joinedHead(false, p, c.announced(c.snap.epoch), t)
		c.prefix = append(c.prefix, `,"snapshot":`...)
		c.prefix = appendJSON(c.prefix, c.snap.view)
	}
	return f.joinedFrame(j, wire.SourceSnapshot, c.prefix)
}

// announced is the epoch that a joined message tells of: behind it may come the newest tick, which an owner before
// the one that is known may have said, and the epoch does not go back.
func (c *roomCopy) announced(known uint64) uint64 {
	if c.tick > 0 {
		return min(known, c.ticker)
	}
	return known
}

// joinedBehind is a joined message for a client that has everything up to seq.
// Its time is that of the update which follows.
func (f *feed) joinedBehind(j *joining, seq uint64, source wire.Source) *fanout.Frame {
	c := &f.copy
	t := c.time
	if seq < c.seq {
		t = c.times[(seq+1)%ringUpdates]
	}
	return f.joinedFrame(j, source, f.joinedHead(true, wire.Position{Log: c.log, Seq: seq}, c.announced(c.epoch), t))
}

// joinedHead is the part of a joined message that is the same for everybody, from
// the room on.
func (f *feed) joinedHead(recovered bool, p wire.Position, epoch uint64, t int64) []byte {
	head := struct {
		Room      string        `json:"room"`
		Recovered bool          `json:"recovered"`
		Position  wire.Position `json:"position"`
		Epoch     uint64        `json:"epoch"`
		Time      int64         `json:"t"`
	}{f.room, recovered, p, epoch, t / 1000}
	b := encode(head)
	return b[1 : len(b)-1] // without braces
}

// joinedFrame puts the own part around the common one. The snapshot is tens of kilobytes and has
// been encoded by the owner: marshalling it again for each of a herd would be most of the work.
func (f *feed) joinedFrame(j *joining, source wire.Source, common []byte) *fanout.Frame {
	if f.copy.chatJSON == nil {
		f.copy.chatJSON = encode(append([]wire.ChatLine{}, f.chat.lines...)) // an empty list, not null
	}
	b := make([]byte, 0, len(common)+len(j.you)+len(f.copy.chatJSON)+160)
	b = append(b, `{"type":"joined",`...)
	if j.id != 0 {
		b = append(b, `"id":`...)
		b = append(strconv.AppendUint(b, j.id, 10), ',')
	}
	b = append(b, `"was_recovering":`...)
	b = strconv.AppendBool(b, j.position != nil)
	b = append(b, `,"source":"`...)
	b = append(append(b, source...), `",`...)
	b = append(b, common...)
	b = append(b, `,"you":`...)
	b = appendJSON(b, j.you)
	b = append(b, `,"chat":`...)
	b = append(b, f.copy.chatJSON...)
	b = append(b, `,"players":`...)
	b = strconv.AppendInt(b, int64(f.g.presence.total(f.room, f.topic.Len()+1)), 10)
	return fanout.NewFrame(append(b, '}'))
}

func appendJSON(b []byte, v json.RawMessage) []byte {
	if len(v) == 0 {
		return append(b, "null"...)
	}
	return append(b, v...)
}
