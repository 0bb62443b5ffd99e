package room

import (
	"strings"
	"time"

	"tickcast/wire"
)

// askHeldEvery is how often the ledger is asked, once it has answered, while rooms wait for
// it behind a lost tail.
const askHeldEvery = 250 * time.Millisecond

// arrears are why rooms open no rounds with stakes behind a lost tail. Stakes that were in it
// may still wait for the ledger, and what the ledger books for a round that does not know it
// is lost with that round. So rounds wait until the ledger has booked what waited, and until
// what it has booked too much is cancelled.
//
// A loss is named by Partition.lostAt.
type arrears struct {
	over   int64  // the loss behind which there is nothing to wait for any more
	since  int64  // the loss behind which mark was taken
	mark   uint64 // the newest message of the ledger's queue then, or a later one
	asking bool   // the newest question has no answer
}

// holds reports whether rounds with stakes have to wait. They do not wait for longer than
// the ledger is asked for what it books late.
func (r *Replica) holds(now time.Time) bool {
	return r.tail.why != "" || r.part.lost > 0 && r.tail.arrears.over != r.part.lostAt && r.lately(now)
}

// lately reports whether the log lost its tail a while ago.
func (r *Replica) lately(now time.Time) bool {
	return r.part.lost > 0 && now.UnixMilli()-r.part.lostAt < lostFor.Milliseconds()
}

// release lets rounds go on if an answer of the ledger, which has been looked at, allows it.
func (r *Replica) release(reply *wire.StakesReply) {
	t, a := &r.tail, &r.tail.arrears
	if a.over == r.part.lostAt {
		return
	}
	if a.since != r.part.lostAt {
		a.since, a.mark = r.part.lostAt, reply.Queued
	}
	if reply.Booked >= a.mark && t.why == "" && len(t.suspects)+len(t.orphans) == 0 && !r.part.cancelsOrphans() {
		a.over = r.part.lostAt
		r.log.Info("the ledger has booked what waited when the log lost its tail: rounds with stakes go on")
	}
}

// cancelsOrphans reports whether the cancellation of an orphan has no result yet.
func (p *Partition) cancelsOrphans() bool {
	for id := range p.pending.byID {
		if strings.HasPrefix(id, orphanPrefix) {
			return true
		}
	}
	return false
}
