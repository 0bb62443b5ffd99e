package server

import (
	"bytes"
	"encoding/json"
	"time"

	"tickcast/fanout"
	"tickcast/wire"
)

// roomCopy is what the gateway knows of a room: a snapshot and, in the topic's
// ring, the updates behind it. Owned by the feed's loop.
type roomCopy struct {
	log      string // empty: nothing is known yet
	seq      uint64 // newest update in the topic
	time     int64  // newest game time that was sent, ns
	epoch    uint64 // newest that was heard of
	spoke    int64  // newest game time that its owner, or one before it, spoke of, ns
	sum      []byte // wire.UpdateSum of the update where the copy began; nil if it is not known
	speaker  uint64 // epoch of the owner that said the newest update, or that it has it
	snap     snapshot
	next     *snapshot // newer than seq: waits for the updates up to it
	tick     int64     // game time of the newest tick in the topic, ns
	tickSeq  uint64    // newest update before it
	ticker   uint64    // epoch of the owner that said it
	times    [ringUpdates]int64
	oldest   uint64      // updates up to this are known to be gone at the owner, too
	filled   wire.Source // where the oldest updates in the topic come from
	early    []earlyUpdate
	prefix   []byte // of joined messages with this snapshot, made on demand
	chatJSON []byte // of joined messages, made on demand
}

type snapshot struct {
	seq, epoch uint64
	time       int64 // game time, ns
	view       json.RawMessage
}

// earlyUpdate is an update that came before those before it, or before it was
// known which log it is of.
type earlyUpdate struct {
	h    wire.OutHeader
	log  string // its name if it has lost its tail, else empty
	body []byte
}

func snapshotOf(r wire.AskReply) snapshot {
	return snapshot{seq: r.Seq, epoch: r.Epoch, time: r.Time, view: r.View}
}

// isOther reports whether a message is of another log, which it names, than the copy.
func (c *roomCopy) isOther(log string) bool { return log != "" && c.log != "" && log != c.log }

// unclaimedAfter is by how much game time the owner of an older claim must be ahead to show that the newest is lost.
// The clock gets no further than 300 ms past the last record of an owner, so this is more than what a claim can be
// behind what was heard of the owner that it replaces, some lost ticks included.
const unclaimedAfter = int64(time.Second)

// heard takes note of who spoke, and of the game time then. It reports whether the log cannot have the newest claim any
// more: an owner is silent when it has folded the claim that replaces it, so one before does not speak of what is later
// than that. Where the tail was lost with the claim, and whoever knew has died, that is all there is to notice it by.
func (c *roomCopy) heard(epoch uint64, t int64) (unclaimed bool) {
	if epoch < c.epoch {
		return c.log != "" && t > c.spoke+unclaimedAfter
	}
	c.epoch, c.spoke = epoch, max(c.spoke, t)
	return false
}

// update takes an update that was heard, with the name of its log if that has lost its tail.
func (f *feed) update(h wire.OutHeader, log string, body []byte) {
	c := &f.copy
	if c.heard(h.Epoch, h.Time) {
		f.sync.doubt()
	}
	switch {
	case f.sync.doubtful() || c.log == "":
		c.keepEarly(h, log, body)
	case h.Seq <= c.seq:
		// A new owner says the last ones again. If they are others, the log lost its tail, and their
		// numbers were used again.
		if f.differs(h.Seq, body) {
			f.sync.snapshot, f.sync.replace = true, true
			c.keepEarly(h, log, body)
		} else if h.Seq == c.seq {
			c.speaker = h.Epoch
		}
	case h.Seq == c.seq+1 && h.Epoch == c.speaker:
		f.publish(h, body)
		f.takeEarly()
	default: // something is missing, be it only that this owner has the newest update
		if h.Seq > c.seq+1 {
			f.g.metrics.gaps.Inc()
		}
		c.keepEarly(h, log, body)
		f.sync.since = true
	}
}

// differs reports whether an update is another one than the copy has under its number.
func (f *feed) differs(seq uint64, body []byte) bool {
	if was := f.topic.At(seq); was != nil {
		return !bytes.Equal(was.Payload(), body)
	}
	c := &f.copy
	return seq == c.seq && c.sum != nil && !bytes.Equal(c.sum, wire.UpdateSum(body))
}

// newestSum is the wire.UpdateSum of the newest update, nil if it is not known.
func (f *feed) newestSum() []byte {
	if newest := f.topic.At(f.copy.seq); newest != nil {
		return wire.UpdateSum(newest.Payload())
	}
	return f.copy.sum
}

// publish gives the next update to everybody.
func (f *feed) publish(h wire.OutHeader, body []byte) {
	c := &f.copy
	f.topic.Update(h.Seq, fanout.NewFrame(body))
	c.seq, c.speaker = h.Seq, h.Epoch
	c.time = max(c.time, h.Time)
	c.times[h.Seq%ringUpdates] = h.Time
	if c.next != nil && c.next.seq <= c.seq {
		c.adopt(*c.next)
	}
}

func (c *roomCopy) keepEarly(h wire.OutHeader, log string, body []byte) {
	if len(c.early) == earlyUpdates {
		c.early = c.early[1:] // a gap again, filled like any other
	}
	c.early = append(c.early, earlyUpdate{h, log, body})
}

// takeEarly publishes what has waited and follows, and keeps what still waits. What follows by the word of an owner
// that may not have the newest update is asked for.
func (f *feed) takeEarly() {
	c := &f.copy
	for len(c.early) > 0 && c.early[0].h.Seq <= c.seq+1 {
		e := c.early[0]
		c.early = c.early[1:]
		switch {
		case e.h.Seq <= c.seq || c.isOther(e.log):
		case e.h.Epoch == c.speaker:
			f.publish(e.h, e.body)
		default:
			f.sync.since = true
		}
	}
	if len(c.early) == 0 {
		c.early = nil
	}
}

// tick takes a tick that was heard: forward if time does not go back.
func (f *feed) tick(h wire.OutHeader, body []byte) {
	c := &f.copy
	if c.heard(h.Epoch, h.Time) {
		f.sync.doubt()
	}
	switch {
	case f.sync.doubtful() || c.log == "" || h.Epoch < c.epoch:
	case h.Seq > c.seq:
		f.sync.since = true
	case h.Seq < c.seq && h.Epoch > c.speaker:
		// The owner does not know an update of the owner before: the log lost its tail.
		f.sync.snapshot = true
	case h.Seq < c.seq || h.Time < c.time:
	default:
		f.sync.since = f.sync.since || h.Epoch != c.speaker // has it the newest update?
		c.time, c.tick, c.tickSeq, c.ticker = h.Time, h.Time, h.Seq, h.Epoch
		f.topic.Tick(fanout.NewFrame(body))
	}
}

// adopt makes s the snapshot that joins are served from.
func (c *roomCopy) adopt(s snapshot) {
	c.snap, c.next, c.prefix = s, nil, nil
}

// start makes the reply's snapshot the copy. Members that had another copy get a
// fresh joined message.
func (f *feed) start(r wire.AskReply) {
	c := &f.copy
	var members []*member
	if c.log != "" {
		f.g.metrics.resets.Inc()
		members = f.g.feeds.present(f)
	}
	for _, m := range members {
		f.topic.Leave(m.s.conn) // before the reset, or the hub would take them for slow
	}
	if c.heard(r.Epoch, r.Time) || c.log != r.Log {
		c.epoch, c.spoke = r.Epoch, r.Time // a room made again may have another partition's owner
	}
	c.log, c.seq, c.sum, c.speaker, c.oldest = r.Log, r.Seq, r.Sum, r.Epoch, 0
	c.time, c.tick, c.tickSeq = r.Time, 0, 0
	c.adopt(snapshotOf(r))
	f.topic.Reset(r.Seq)
	for _, m := range members {
		f.joins.again(m)
	}
	for _, j := range f.joins.waiting {
		j.skipped = 0 // a number of the copy before
	}
	f.takeEarly()
}
