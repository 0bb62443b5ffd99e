package room

import (
	"errors"
	"slices"

	"tickcast/wire"
)

// tryClaim claims the partition from the epoch that was seen dead. Claiming
// against that epoch, not against the newest claim, keeps candidates from deposing
// one another.
func (r *Replica) tryClaim(seen uint64) {
	if r.speaking || r.claiming || r.halted != nil {
		return
	}
	r.claimFrom(seen, false)
}

func (r *Replica) claimFrom(epoch uint64, offered bool) {
	r.claiming, r.replaces = true, epoch
	c := wire.Claim{Node: r.cfg.Node, Binary: r.cfg.Version, Replaces: epoch, Offered: offered, Folds: r.cfg.Partition.versions()}
	r.stream.Claim(c, r.part.lastOnClaimSubject(epoch))
}

// Claimed is what became of a claim: its sequence, or an error.
func (r *Replica) Claimed(seq uint64, err error) {
	r.claiming = false
	switch {
	case err != nil:
		r.metrics.claims.WithLabelValues("refused").Inc()
		r.log.Debug("claim refused", "err", err)
		if errors.Is(err, ErrFenced) && !r.speaking {
			// The log may have lost the claim that this one would replace: then none against
			// it is ever taken, and nobody appends what would show it.
			r.lookUp()
		}
		return
	case r.halted != nil || seq <= r.part.Last().Seq: // folded, and taken for ours then
		return
	}
	if !r.speaking {
		r.claim = seq
	}
	r.catchUp(seq)
}

// claimFolded is called behind each folded claim. This node's own may be folded before
// the log has acknowledged it: what stands behind it is for this node to answer. One that
// replaces the epoch under which it speaks renews its ownership.
func (r *Replica) claimFolded(c wire.Claim, at int64) {
	if c.Offered {
		r.handover.moved(at)
	}
	r.claimedAt = at
	before := slices.ContainsFunc(r.tail.known, func(k witness) bool { return at <= k.claimedAt })
	switch own := c.Node == r.cfg.Node; {
	case own && r.speaking && c.Replaces == r.claim:
		r.claim = r.part.Epoch()
		r.renewed()
	case r.part.Epoch() == r.claim || own && r.claiming && c.Replaces == r.replaces && !before:
		r.claim = r.part.Epoch()
		r.speak(c)
	case r.claim != 0:
		if c.Offered && r.handover.asked == c.Node {
			r.metrics.offers.WithLabelValues("taken").Inc()
		}
		r.log.Info("superseded", "epoch", r.claim, "by", r.part.owner)
		r.fallSilent("superseded")
	}
}

// speak begins to own the partition.
func (r *Replica) speak(c wire.Claim) {
	if err := r.voice.Listen(r.claim); err != nil {
		r.log.Warn("cannot own the partition", "err", err)
		r.fallSilent("refused")
		return
	}
	r.speaking = true
	r.handover.reset()
	r.metrics.claims.WithLabelValues("won").Inc()
	r.metrics.owned.Inc()
	r.log.Info("owns the partition", "epoch", r.claim, "rooms", r.part.Rooms())
	r.appender.start(r.claim)
	r.speaker.introduce(r.part)
	r.lookBack(r.cfg.Now(), c.Offered)
	r.fulfil(r.part.roomIDs())
	if r.handover.draining {
		r.yield(r.cfg.Now())
	}
	r.report()
}

// fallSilent ends the ownership on this side. In the log it ends with the next
// claim.
func (r *Replica) fallSilent(why string) {
	r.voice.Mute()
	r.speaker.drop()
	if r.speaking {
		r.metrics.claims.WithLabelValues(why).Inc()
		r.metrics.owned.Dec()
	}
	r.speaking, r.claim = false, 0
	r.handover.asked = ""
	r.tail.unheard()
}

// Leave is the last event: an owner saves its state and falls silent, so that the
// next one starts from here.
func (r *Replica) Leave() {
	if r.speaking {
		now := r.cfg.Now()
		r.snapshot(now, true)
		r.speaker.flush(r.part, now)
	}
	r.voice.Flush()
	r.fallSilent("released")
	r.part.digests.wait()
	r.report()
}
