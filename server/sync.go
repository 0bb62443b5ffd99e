package server

import (
	"time"

	"tickcast/fanout"
	"tickcast/server/internal/peer"
	"tickcast/wire"
)

const (
	// syncRetryFirst is the pause after an owner did not answer, doubled up to
	// syncRetryMost. A takeover lasts a few hundred milliseconds.
	syncRetryFirst = 50 * time.Millisecond
	syncRetryMost  = time.Second
	// unknownTimes an owner must deny a room that the directory has: one that was deposed
	// may not know the room yet.
	unknownTimes = 3
)

// syncing is what a feed wants to know from the owner. One request is under way
// at a time. Owned by the feed's loop.
type syncing struct {
	snapshot bool   // the whole state
	replace  bool   // updates are lost: the snapshot replaces the copy
	unsure   bool   // the room may be another one: nothing is applied until the snapshot is there
	since    bool   // updates behind the newest
	behind   uint64 // updates from this on for clients that resume; 0 for none
	ringless bool   // another gateway was asked for them in vain

	asking  bool
	retryAt time.Time
	wait    time.Duration
	unknown int
	asked   time.Time // when the newest snapshot was asked for
}

// doubt asks for the state before anything else is believed.
func (y *syncing) doubt() { y.unsure, y.snapshot = true, true }

// doubtful reports whether updates cannot be applied.
func (y *syncing) doubtful() bool { return y.unsure || y.replace }

// synchronise asks the owner for what is missing. It returns when to try again,
// zero if an event will tell.
func (f *feed) synchronise(now time.Time) time.Time {
	y := &f.sync
	if y.asking || f.ended || !(y.snapshot || y.since || y.behind > 0) {
		return time.Time{}
	}
	if now.Before(y.retryAt) {
		return y.retryAt
	}
	y.asking = true
	switch {
	case y.snapshot || f.copy.log == "":
		y.asked = now
		f.ask(wire.Ask{Op: wire.AskSnapshot}, f.gotSnapshot)
	case y.behind > 0:
		f.askOlder(y.behind - 1)
	default:
		from := f.copy.seq
		f.ask(wire.Ask{Op: wire.AskSince, Seq: from, Sum: f.newestSum()}, func(r wire.AskReply, err error, now time.Time) {
			f.gotNewer(from, r, err, now)
		})
	}
	return time.Time{}
}

// askOlder asks for the updates behind from: another gateway first, which spares the owner.
func (f *feed) askOlder(from uint64) {
	a := wire.Ask{Op: wire.AskSince, Seq: from}
	if gateway := f.g.presence.somebodyIn(f.room); gateway != "" && !f.sync.ringless {
		f.askRing(gateway, a, func(r wire.AskReply, err error, _ time.Time) {
			f.sync.asking = false
			if err != nil || r.Log != f.copy.log || !f.fill(from, r, wire.SourceGateway) {
				f.sync.ringless = true
			}
		})
		return
	}
	f.ask(a, func(r wire.AskReply, err error, now time.Time) {
		if f.failed(err, now) || f.otherLog(r) {
			return
		}
		source := wire.SourceOwner
		if r.Follower {
			source = wire.SourceFollower
		}
		if !f.fill(from, r, source) {
			f.sync.behind, f.sync.ringless = 0, false
			f.copy.oldest = max(f.copy.oldest, from+1)
		}
	})
}

// failed takes note of a request that brought nothing. It reports whether err is one.
func (f *feed) failed(err error, now time.Time) bool {
	y := &f.sync
	y.asking = false
	if err == nil {
		y.wait, y.unknown = 0, 0
		return false
	}
	y.wait = min(max(2*y.wait, syncRetryFirst), syncRetryMost)
	y.retryAt = now.Add(y.wait)
	if peer.IsCode(err, wire.CodeUnknownRoom) {
		y.unknown++
		if _, open := f.g.directory.room(f.room); !open || y.unknown >= unknownTimes {
			f.ended = true
		}
	}
	return true
}

// gotSnapshot takes the whole state.
func (f *feed) gotSnapshot(r wire.AskReply, err error, now time.Time) {
	if f.failed(err, now) {
		return
	}
	c, y := &f.copy, &f.sync
	replace := y.replace
	*y = syncing{since: y.since, behind: y.behind, asked: y.asked}
	switch {
	case c.log != r.Log:
		y.behind = 0
		f.start(r)
	case r.Seq < c.seq && r.Epoch > c.speaker || c.heard(r.Epoch, r.Time):
		f.start(r) // the log lost its tail, and numbers are used again
	case replace && r.Seq >= c.seq:
		f.start(r)
	case r.Seq > c.seq:
		next := snapshotOf(r)
		c.next, y.since = &next, true
	case r.Seq >= c.snap.seq: // a follower may be behind
		c.adopt(snapshotOf(r))
	}
	f.takeEarly()
	y.since = y.since || len(c.early) > 0
}

// gotNewer takes the updates behind from, the newest when they were asked for.
func (f *feed) gotNewer(from uint64, r wire.AskReply, err error, now time.Time) {
	if f.failed(err, now) || f.otherLog(r) {
		return
	}
	c, y := &f.copy, &f.sync
	y.since = false
	switch {
	case r.Seq < c.seq && r.Epoch > c.speaker:
		y.snapshot = true // judged there
		return
	case r.Lost && r.Seq >= c.seq: // gone, or the newest is another one there
		y.snapshot, y.replace = true, true
		return
	case from == c.seq && r.Seq >= from:
		c.speaker = r.Epoch
	}
	if c.heard(r.Epoch, r.Time) {
		y.doubt()
		return
	}
	for _, u := range r.Updates {
		f.update(wire.OutHeader{Epoch: r.Epoch, Seq: u.Seq, Time: u.Time}, r.Log, u.Message)
	}
	if y.doubtful() {
		return
	}
	f.takeEarly()
	switch {
	case len(r.Updates) > 0 && c.seq < r.Seq:
		y.since = true // a reply holds what fits a message
	case len(c.early) > 0:
		y.since = true
		y.retryAt = now.Add(syncRetryFirst) // the owner that answered was behind
	case r.Follower && f.joins.ahead(c):
		y.since = true // only an owner knows that a tail was lost: a follower may be behind
		y.retryAt = now.Add(syncRetryFirst)
	}
}

// fill takes updates from before the ring's start, for clients that resume from
// there. The ring is made again around them: who has them already is not concerned,
// as a connection is only sent what lies behind its place. It reports false when
// the reply does not reach to what is here, or the ring cannot hold as much.
func (f *feed) fill(from uint64, r wire.AskReply, source wire.Source) bool {
	c := &f.copy
	last := from + uint64(len(r.Updates))
	var newer []*fanout.Frame
	whole := last >= c.seq
	if !whole {
		newer, whole = f.topic.Since(last)
	}
	if r.Lost || len(r.Updates) == 0 || r.Updates[0].Seq != from+1 || !whole {
		return false
	}
	f.topic.Reset(from)
	c.tick, c.tickSeq = 0, 0
	for _, u := range r.Updates {
		h := wire.OutHeader{Epoch: r.Epoch, Seq: u.Seq, Time: u.Time}
		if u.Seq > c.seq {
			f.publish(h, u.Message)
			continue
		}
		f.topic.Update(u.Seq, fanout.NewFrame(u.Message))
		c.times[u.Seq%ringUpdates] = u.Time
	}
	for i, frame := range newer {
		f.topic.Update(last+1+uint64(i), frame)
	}
	f.takeEarly()
	if _, whole = f.topic.Since(from); whole {
		f.sync.behind, f.sync.ringless, c.filled = 0, false, source
	}
	return whole
}

// giveBytes bounds the updates in one answer to another gateway, which grow by a third on
// the way and must fit a NATS message of 1 MiB.
const giveBytes = 512 << 10

// give answers another gateway that asks for the updates behind seq.
func (f *feed) give(seq uint64) wire.AskReply {
	c := &f.copy
	reply := wire.AskReply{Log: c.log, Seq: c.seq, Epoch: c.speaker, Lost: true}
	frames, whole := f.topic.Since(seq)
	if c.log == "" || f.sync.doubtful() || !whole {
		return reply
	}
	reply.Lost = false
	for i, bytes := 0, 0; i < len(frames) && bytes < giveBytes; i++ {
		n := seq + 1 + uint64(i)
		bytes += frames[i].Size()
		reply.Updates = append(reply.Updates, wire.OutRecord{Seq: n, Time: c.times[n%ringUpdates], Message: frames[i].Payload()})
	}
	return reply
}

func (f *feed) otherLog(r wire.AskReply) bool {
	if r.Log == f.copy.log {
		return false
	}
	f.sync.doubt()
	return true
}
