package room

import (
	"log/slog"
	"time"

	"tickcast/room/game"
	"tickcast/wire"
)

const (
	// handOver is how long a better candidate must have been there before an owner
	// offers it the partition. Each move by an offer doubles that, up to handOverMost,
	// until there was none for calmAfter: servers that come and go do not make
	// partitions go to and fro.
	handOver     = 3 * time.Second
	handOverMost = 4 * handOver
	calmAfter    = time.Minute
	// offerTimeout is how long a candidate may take until its claim is in the log.
	offerTimeout = time.Second
	// offerBehind is how many records a candidate may be behind the owner: it folds
	// them in milliseconds, while the owner still speaks.
	offerBehind = 10_000
)

// handover is how an owner gives its partition away while it is alive: it offers it to
// the best candidate and goes on as if nothing were until it folds that one's claim.
// So there is always somebody who speaks.
type handover struct {
	n        uint64    // number of the newest offer
	asked    string    // who has it; "" for nobody
	until    time.Time // when that one has not taken it
	betterAt time.Time // since when a better candidate has been there
	draining bool
	declined map[string]bool // under this epoch: who did not take it
	told     string          // what people were told last of an offer in vain

	moves   int   // by offers, without a minute of calm between two
	movedAt int64 // stored timestamp of the newest, Unix ns
}

// moved notes that a claim moved the partition by an offer.
func (h *handover) moved(at int64) {
	if at-h.movedAt > int64(calmAfter) {
		h.moves = 0
	}
	h.moves++
	h.movedAt = at
}

// patience is how long a better candidate must have been there.
func (h *handover) patience(now time.Time) time.Duration {
	if now.UnixNano()-h.movedAt > int64(calmAfter) {
		return handOver
	}
	return min(handOver<<min(h.moves, 8), handOverMost)
}

// reset is for an owner that begins.
func (h *handover) reset() {
	h.asked, h.betterAt = "", time.Time{}
	h.declined, h.told = map[string]bool{}, ""
}

// yield offers the partition to the best candidate when there has been a better one
// for a while, or when this node drains.
func (r *Replica) yield(now time.Time) {
	h := &r.handover
	if h.asked != "" {
		if now.Before(h.until) {
			return
		}
		r.notTaken("timeout")
	}
	better := r.cfg.Better()
	switch {
	case h.draining:
		for _, node := range better {
			if !h.declined[node] {
				r.offer(now, node)
				return
			}
		}
	case len(better) == 0:
		h.betterAt = time.Time{}
	case h.betterAt.IsZero():
		h.betterAt = now
	case now.Sub(h.betterAt) >= h.patience(now):
		r.offer(now, better[0])
	}
}

func (r *Replica) offer(now time.Time, node string) {
	h := &r.handover
	h.n++
	h.asked, h.until = node, now.Add(offerTimeout)
	r.log.Debug("offers the partition", "to", node, "epoch", r.claim)
	if r.voice.Offer(h.n, node, game.Encode(wire.Offer{Epoch: r.claim, Seq: r.part.Last().Seq})) != nil {
		r.notTaken("unsent")
	}
}

// notTaken ends an offer in vain: this owner stays, and one that drains goes on to the
// next candidate.
func (r *Replica) notTaken(why string) {
	h := &r.handover
	r.metrics.offers.WithLabelValues(why).Inc()
	level := slog.LevelDebug
	if told := h.asked + " " + why; told != h.told { // the same again is no news
		h.told, level = told, slog.LevelInfo
	}
	r.log.Log(r.ctx, level, "the partition was not taken", "by", h.asked, "why", why, "epoch", r.claim)
	h.declined[h.asked] = true
	h.asked, h.betterAt = "", time.Time{}
}

// Declined is the answer to the n-th offer, by a candidate that does not take it.
func (r *Replica) Declined(n uint64, why string) {
	if !r.speaking || n != r.handover.n || r.handover.asked == "" {
		return
	}
	r.log.Debug("the offer was declined", "why", why)
	r.notTaken("declined")
	r.yield(r.cfg.Now())
}

// Offered takes the partition over from its owner, or returns why not. A claim that the
// log refuses has no answer: the owner goes on.
func (r *Replica) Offered(offer wire.Offer) (why string) {
	switch last := r.part.Last().Seq; {
	case r.halted != nil:
		return "halted"
	case r.handover.draining:
		return "draining"
	case r.speaking || r.claiming:
		return "claims it already"
	case last+offerBehind < offer.Seq:
		return "behind"
	case last < offer.Seq:
		r.catchUp(offer.Seq)
	}
	if r.part.Epoch() != offer.Epoch {
		return "another epoch"
	}
	r.claimFrom(offer.Epoch, true)
	return ""
}

// Drain makes an owner hand the partition over, and this replica a candidate no more.
func (r *Replica) Drain() {
	r.handover.draining = true
	if r.speaking {
		r.yield(r.cfg.Now())
	}
}

// Drained reports whether there is nothing more to hand over, or nobody to take it.
func (r *Replica) Drained() bool {
	h := &r.handover
	return h.draining && !r.claiming && (!r.speaking || h.asked == "")
}
