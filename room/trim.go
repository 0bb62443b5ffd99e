package room

import (
	"errors"
	"fmt"
	"time"

	"tickcast/room/game"
)

// renewPause is how long an owner waits before it claims again against its own epoch,
// when that did not go well.
const renewPause = 10 * time.Second

// TrimConfig says how an owner trims its log. Let is needed.
type TrimConfig struct {
	// Let lets go of the records before below: they are to go to the archive and then from
	// the log. It does not block, may be called again for what is gone already, and is
	// called with what no start of a replica needs.
	Let func(below uint64)
	// Keep is how many of the newest records stay in any case; Step how many more there are
	// before any are let go of.
	Keep, Step uint64
}

// trimming is what an owner has done about the length of its log.
type trimming struct {
	below   uint64    // what was let go of
	renewAt time.Time // not before a claim is renewed
}

// trim lets go of what is old. Two checkpoints stay, with the records that they end with,
// by which they are recognised; and the newest claim, without which the log would refuse
// every record of an owner. So the owner first claims again, against its own epoch.
func (r *Replica) trim(now time.Time) {
	c, last := r.cfg.Trim, r.part.Last().Seq
	if c == nil || r.claiming || r.handover.draining || r.handover.asked != "" || last <= c.Keep {
		return
	}
	below := min(r.keeper.spared(r.cfg.Partition.ID), last-c.Keep)
	if below < r.trimming.below+c.Step {
		return
	}
	if r.claim >= below {
		r.trimming.below = below
		c.Let(below)
		return
	}
	if now.After(r.trimming.renewAt) {
		r.trimming.renewAt = now.Add(renewPause)
		r.claimFrom(r.claim, false)
	}
}

// renewed goes on speaking, under the epoch of a newer claim of this owner.
func (r *Replica) renewed() {
	if err := r.voice.Listen(r.claim); err != nil {
		r.log.Warn("cannot go on owning the partition", "err", err)
		r.fallSilent("refused")
		return
	}
	r.trimming.renewAt = time.Time{}
	r.metrics.claims.WithLabelValues("renewed").Inc()
	r.log.Debug("renewed its claim", "epoch", r.claim)
	r.appender.start(r.claim)
	r.fulfil(r.part.roomIDs())
	r.report()
}

// jump goes on from a checkpoint when the log was trimmed beyond what was folded: a replica
// that was away, or starts from a snapshot that is too old.
func (r *Replica) jump(why error) (jumped bool) {
	p, missing, unread := r.keeper.restore(r.ctx, r.cfg.Partition, r.stream)
	switch {
	case p.last.Seq > r.part.last.Seq:
		r.log.Warn("goes on from a checkpoint", "seq", r.part.last.Seq, "checkpoint", p.last.Seq, "err", why)
		r.fallSilent("superseded") // an owner's claim is never trimmed
		return r.goOnFrom(p)
	case errors.Is(unread, game.ErrUnknown):
		r.halt(errors.Join(why, unread))
	case unread != nil:
		r.log.Warn("the log was trimmed, and no checkpoint can be read", "seq", r.part.last.Seq, "err", errors.Join(why, unread))
	case len(missing) > 0:
		// Perhaps a node of the log that is behind answers: the next answer may be another's.
		r.log.Warn("the log was trimmed, and ends before the checkpoints", "seq", r.part.last.Seq, "checkpoint", missing[0].Seq, "err", why)
	default:
		r.halt(fmt.Errorf("%w, and no snapshot fits", why))
	}
	return false
}

// goOnFrom folds from a snapshot on, unless that needs another secret.
func (r *Replica) goOnFrom(p *Partition) bool {
	r.part.digests.wait()
	r.part, r.recent = p, recent{}
	clear(r.owing)
	r.metrics.restarts.Inc()
	return r.knows(r.part.roomIDs())
}
