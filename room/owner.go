package room

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/bus"
	"tickcast/room/game"
	"tickcast/wire"
)

// claimTimeout bounds the write of a claim.
const claimTimeout = time.Second

// tryClaim claims the partition from the epoch that was seen dead. Claiming
// against that epoch, not against the newest claim, keeps candidates from deposing
// one another.
func (r *replica) tryClaim(ctx context.Context, seen uint64) {
	if r.speaking || r.halted != nil {
		return
	}
	claimCtx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	ack, err := r.js.Publish(claimCtx, wire.ClaimSubject(r.id),
		game.Encode(wire.Claim{Node: r.host.cfg.Node, Binary: r.host.cfg.Version, Replaces: seen}),
		jetstream.WithExpectLastSequenceForSubject(r.part.lastOnClaimSubject(seen), wire.ClaimSubject(r.id)), jetstream.WithRetryAttempts(0))
	if err != nil {
		r.metrics.claims.WithLabelValues("refused").Inc()
		r.log.Debug("claim refused", "seen", seen, "err", err)
		return
	}
	r.claim = ack.Sequence
	r.detector.off.Store(true)
	r.catchUp(ctx, ack.Sequence)
}

// claimed is called behind each folded claim.
func (r *replica) claimed(ctx context.Context) {
	switch {
	case r.part.Epoch() == r.claim:
		r.speak(ctx)
	case r.speaking:
		r.log.Info("superseded", "epoch", r.claim, "by", r.part.owner)
		r.fallSilent("superseded")
	}
}

// speak begins to own the partition.
func (r *replica) speak(ctx context.Context) {
	if err := r.listen(); err != nil {
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
	r.fulfil(ctx, r.part.roomIDs())
	r.report()
}

// listen answers who owns the partition and what its state is.
func (r *replica) listen() error {
	pong := game.Encode(wire.OwnerPong{Node: r.host.cfg.Node, Epoch: r.claim})
	ping, err := r.host.cfg.Conn.Subscribe(wire.PingSubject(r.id), func(m *nats.Msg) {
		if time.Now().UnixNano()-r.turn.Load() < int64(hungAfter) {
			_ = bus.Respond(m, pong)
		}
	})
	if err != nil {
		return err
	}
	r.subs = append(r.subs, ping)
	ask, err := r.host.cfg.Conn.ChanSubscribe(wire.AskSubject(r.id), r.asks)
	if err != nil {
		return err
	}
	r.subs = append(r.subs, ask)
	return nil
}

// fallSilent ends the ownership on this side. In the log it ends with the next
// claim.
func (r *replica) fallSilent(why string) {
	for _, s := range r.subs {
		_ = s.Unsubscribe()
	}
	r.subs = nil
	r.host.directory.withdraw(r.id)
	r.speaker.drop()
	if r.speaking {
		r.metrics.claims.WithLabelValues(why).Inc()
		r.metrics.owned.Dec()
	}
	r.speaking, r.claim = false, 0
	r.detector.off.Store(r.halted != nil)
}

// yield hands the partition over when a better candidate has been there for a
// while: it falls silent, and the candidate notices.
func (r *replica) yield(now time.Time) {
	switch {
	case r.host.rank(r.id, "") == 0:
		r.betterAt = time.Time{}
	case r.betterAt.IsZero():
		r.betterAt = now
	case now.Sub(r.betterAt) >= handOver:
		r.log.Info("hands the partition over to a better candidate", "epoch", r.claim)
		r.snapshot(now, true)
		r.fallSilent("released")
	}
}

// leave ends the replica: an owner saves its state and falls silent, so that the
// next one starts from here.
func (r *replica) leave() {
	if r.speaking {
		r.snapshot(time.Now(), true)
		r.speaker.flush(r.part, time.Now())
		_ = r.host.cfg.Conn.FlushTimeout(time.Second)
	}
	r.fallSilent("released")
	r.appender.drain()
	r.part.digests.wait()
	r.report()
}
