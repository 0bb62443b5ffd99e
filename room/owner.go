package room

import (
	"time"

	"tickcast/wire"
)

// tryClaim claims the partition from the epoch that was seen dead. Claiming
// against that epoch, not against the newest claim, keeps candidates from deposing
// one another.
func (r *Replica) tryClaim(seen uint64) {
	if r.speaking || r.claiming || r.halted != nil {
		return
	}
	r.claiming = true
	r.stream.Claim(wire.Claim{Node: r.cfg.Node, Binary: r.cfg.Version, Replaces: seen}, r.part.lastOnClaimSubject(seen))
}

// Claimed is what became of a claim: its sequence, or an error.
func (r *Replica) Claimed(seq uint64, err error) {
	r.claiming = false
	switch {
	case err != nil:
		r.metrics.claims.WithLabelValues("refused").Inc()
		r.log.Debug("claim refused", "err", err)
		return
	case r.halted != nil:
		return
	}
	r.claim = seq
	if r.part.Last().Seq < seq {
		r.catchUp(seq)
	} else {
		r.claimFolded()
	}
}

// claimFolded is called behind each folded claim, and behind the acknowledgement of
// one of ours that was folded already.
func (r *Replica) claimFolded() {
	switch {
	case r.claim == 0:
	case r.part.Epoch() == r.claim:
		r.speak()
	case r.part.Epoch() > r.claim:
		r.log.Info("superseded", "epoch", r.claim, "by", r.part.owner)
		r.fallSilent("superseded")
	}
}

// speak begins to own the partition.
func (r *Replica) speak() {
	if err := r.voice.Listen(r.claim); err != nil {
		r.log.Warn("cannot own the partition", "err", err)
		r.fallSilent("refused")
		return
	}
	r.speaking = true
	r.betterAt = time.Time{}
	r.metrics.claims.WithLabelValues("won").Inc()
	r.metrics.owned.Inc()
	r.log.Info("owns the partition", "epoch", r.claim, "rooms", r.part.Rooms())
	r.appender.start(r.claim)
	r.speaker.introduce(r.part)
	r.fulfil(r.part.roomIDs())
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
}

// yield hands the partition over when a better candidate has been there for a
// while: it falls silent, and the candidate notices.
func (r *Replica) yield(now time.Time) {
	switch {
	case r.cfg.Rank("") == 0:
		r.betterAt = time.Time{}
	case r.betterAt.IsZero():
		r.betterAt = now
	case now.Sub(r.betterAt) >= handOver:
		r.log.Info("hands the partition over to a better candidate", "epoch", r.claim)
		r.snapshot(now, true)
		r.fallSilent("released")
	}
}

// Leave is the last event: an owner saves its state and falls silent, so that the
// next one starts from here.
func (r *Replica) Leave() {
	if r.speaking {
		now := r.cfg.Now()
		r.snapshot(now, true)
		r.speaker.flush(r.part, now)
		r.voice.Flush()
	}
	r.fallSilent("released")
	r.part.digests.wait()
	r.report()
}
