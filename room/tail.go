package room

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"tickcast/room/game"
	"tickcast/wire"
)

const (
	// ledgerWait is how long an owner that has nothing but the log to go by, or knows that
	// it lost its tail, stands still until the ledger answers what it knows.
	ledgerWait = 2 * time.Second
	// coldFor is how long behind its start a replica counts as one that has not seen what
	// was in the log before.
	coldFor = 30 * time.Second
	// askLedgerEvery is how often a ledger is asked that does not answer, askWaitingEvery while
	// an owner stands still for it, since a message may be lost, and askLostEvery behind a lost
	// tail, for as long as lostFor: what stood in its queue may be booked late.
	askLedgerEvery  = 10 * time.Second
	askWaitingEvery = 500 * time.Millisecond
	askLostEvery    = 2 * time.Second
	lostFor         = 10 * time.Minute
	// restoreWithin bounds the reading of snapshots.
	restoreWithin = 10 * time.Second
	// maxWitnesses bounds what is remembered of a log that has lost its tail.
	maxWitnesses = 16
)

// tail is how an owner finds out that the log lost its tail, as one does by a power cut:
// sequences are used again. Witnesses are what was folded, what snapshots name, and the
// ledger, which may have booked what is not in the log any more.
type tail struct {
	openedAt time.Time
	reopen   bool      // the fold is not of this log: it begins again
	known    []witness // what was folded or saved, and is perhaps not in the log; maxWitnesses at most

	why     string           // it is proven and not in the log yet
	proof   []witness        // what proves it, as far as that was known here; known again if another one claims before
	orphans []wire.OpenStake // to be cancelled, and not in the log yet

	n        uint64 // number of the newest question to the ledger
	answered bool   // under this claim
	askedAt  time.Time
	until    time.Time       // until then, or the answer, nothing is appended; zero for not
	suspects map[string]bool // stakes that nobody knows, by the answer before
	arrears  arrears
}

// witness is the last record of a state, and when that last knew of a lost tail: a fold that
// begins again meets records of before that tell of another one.
type witness struct {
	Place
	lostAt int64 // stored timestamp, Unix ms
	// claimedAt is the stored timestamp of the newest claim, Unix ns; 0 when it is not known. A
	// fold that begins again meets its own claims of before, which are none on their way.
	claimedAt int64
}

func (p *Partition) witness() witness { return witness{Place: p.last, lostAt: p.lostAt} }

// remember adds to what is known. A second alarm may be a false one, of a node that is behind, and
// must not take the place of the first. One of many will do: more would be of a log that is lost
// again and again before it takes a claim.
func (t *tail) remember(list ...witness) {
	for _, w := range list {
		same := func(k witness) bool { return k.Place == w.Place }
		if i := slices.IndexFunc(t.known, same); i >= 0 {
			t.known[i].claimedAt = max(t.known[i].claimedAt, w.claimedAt)
		} else if len(t.known) < maxWitnesses {
			t.known = append(t.known, w)
		}
	}
}

// explain forgets what was folded or saved before the log told, at lostAt, that it had lost its tail.
func (t *tail) explain(lostAt int64) {
	t.known = slices.DeleteFunc(t.known, func(k witness) bool { return lostAt > k.lostAt })
}

// waits reports whether nothing may be appended: the ledger is being waited for, or the log has
// not told whether it lost what is known.
func (t *tail) waits(now time.Time) bool { return len(t.known) > 0 || now.Before(t.until) }

// foreign is called when the log has another record than was folded.
func (r *Replica) foreign(rec Record) { r.beginAgain("it has another record than was folded", rec.Seq) }

// follows reports whether what is behind the newest record that was folded may be folded: the
// log still has that record, or has trimmed it. Of a log that has another one the fold begins
// again, and one that cannot be asked is asked again soon: it has the record to.
func (r *Replica) follows(to uint64) bool {
	last := r.part.Last()
	if last.Seq == 0 {
		return true
	}
	rec, err := r.recordAt(last.Seq)
	switch {
	case err != nil:
		r.expected = max(r.expected, to)
		return false
	case rec != nil && rec.place() != last:
		r.foreign(*rec)
		return false
	}
	return true
}

// errBlind is for questions to a log that could not be asked a moment ago.
var errBlind = errors.New("room: the log could not be asked a moment ago")

// recordAt is the record of the log where one was folded; nil when that was trimmed. An error
// leaves open which it is: the log is left alone for a moment then.
func (r *Replica) recordAt(seq uint64) (rec *Record, err error) {
	if r.cfg.Now().Sub(r.blind) < feedSilence {
		return nil, errBlind
	}
	rec, err = r.stream.At(seq)
	if err == nil && rec == nil { // whatever node answered may be behind
		err = r.stream.Read(seq, seq, func(read Record) error {
			rec = &read
			return nil
		})
	}
	if errors.Is(err, ErrTrimmed) {
		return nil, nil
	}
	if err != nil {
		r.blind = r.cfg.Now()
		r.log.Warn("the log does not tell whether it still has a record that was folded: nothing is folded behind it", "seq", seq, "err", err)
	}
	return rec, err
}

// beginAgain is for a fold that is not of this log. What was folded behind the last common
// record never happened, and this replica claims: it knows what nobody else may know.
// Whether the tail is really lost is known when that claim is in the log.
func (r *Replica) beginAgain(why string, seq uint64) {
	known := r.part.witness()
	known.claimedAt = r.claimedAt
	r.log.Error("the log lost its tail, and the fold begins again: "+why, "seq", seq, "folded", known.Seq)
	r.fallSilent("lost")
	r.tail.remember(known)
	r.tail.reopen = true
	r.restart()
}

// restart begins the fold again. It is tried again by the next sweep when the log cannot
// be asked.
func (r *Replica) restart() {
	last, err := r.stream.Last()
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(r.ctx, restoreWithin)
	defer cancel()
	r.restore(ctx)
	r.read(last)
	r.reclaim()
}

// unheard is for the end of an ownership: what it has proven, and is not in the log, its owner
// still knows, and the next one may not.
func (t *tail) unheard() {
	t.remember(t.proof...)
	t.proof = nil
}

// reclaim claims for the one who knows of a lost tail, until that is in the log.
func (r *Replica) reclaim() {
	if len(r.tail.known) > 0 && !r.handover.draining {
		r.tryClaim(r.part.Epoch())
	}
}

// lookBack begins an ownership: is what was known before in the log? A log that cannot be asked
// leaves it known, and is asked again by the next sweep. Who was offered it does not wait for the
// ledger: whoever offers has looked.
func (r *Replica) lookBack(now time.Time, offered bool) {
	t := &r.tail
	t.why, t.orphans, t.suspects, t.answered, t.until = "", nil, nil, false, time.Time{}
	var proof []witness
	for _, k := range t.known {
		missing, err := r.missing(k.Place)
		if err != nil {
			return
		}
		if missing {
			proof = append(proof, k)
		}
	}
	if t.known = nil; len(proof) > 0 {
		r.declare(fmt.Sprintf("record %d, which had been folded, is not in the log", proof[0].Seq))
	}
	if t.why != "" {
		t.proof = proof
	}
	if r.askLedger(now) && (t.why != "" || !offered && now.Sub(t.openedAt) < coldFor) {
		t.until = now.Add(ledgerWait)
	}
}

// missing reports whether a record that was in the log is not any more. The log has
// taken a claim of ours since: what it has up to there is final.
func (r *Replica) missing(known Place) (bool, error) {
	if known.Seq >= r.claim {
		return true, nil
	}
	rec, err := r.recordAt(known.Seq)
	return rec != nil && rec.place() != known, err
}

// declare has it written into the log that it lost its tail.
func (r *Replica) declare(why string) {
	if r.tail.why == "" && r.part.lost < r.claim {
		r.log.Error("the log lost its tail: rounds under way are voided", "why", why, "epoch", r.claim)
		r.tail.why = why
	}
}

// askLedger asks the ledger anew what it knows of the rooms' stakes.
func (r *Replica) askLedger(now time.Time) (asked bool) {
	r.tail.n++
	return r.sendQuery(now)
}

// sendQuery sends the newest question, perhaps again. The first answer counts, and another one
// does no harm.
func (r *Replica) sendQuery(now time.Time) (sent bool) {
	q := wire.StakesQuery{Rounds: map[string]uint64{}}
	for _, room := range r.part.rooms {
		k, ok := room.game.(game.Staking)
		if !ok {
			continue
		}
		s := k.Stakes()
		q.Rounds[room.uuid] = s.Round
		for id, open := range s.Open {
			if open && len(q.Open) < wire.MaxOrphans {
				q.Open = append(q.Open, id)
			}
		}
	}
	t := &r.tail
	t.askedAt = now
	t.arrears.asking = len(q.Rounds) > 0 && r.voice.AskLedger(t.n, game.Encode(wire.LedgerQuery{Op: wire.QueryStakes, Stakes: &q})) == nil
	return t.arrears.asking
}

// askAgain asks the ledger when it has not answered, or the log has lost its tail lately.
func (r *Replica) askAgain(now time.Time) {
	t := &r.tail
	since := now.Sub(t.askedAt)
	if now.Before(t.until) && since >= askWaitingEvery {
		r.sendQuery(now)
	} else if !t.answered && since >= askLedgerEvery || r.lately(now) && since >= askLostEvery ||
		r.holds(now) && !t.arrears.asking && since >= askHeldEvery {
		r.askLedger(now)
	}
}

// Witnessed is the answer to the n-th question to the ledger; nil when it has none.
func (r *Replica) Witnessed(n uint64, reply *wire.StakesReply) {
	t := &r.tail
	if !r.speaking || n != t.n {
		return
	}
	t.arrears.asking = false
	if reply != nil {
		t.answered = true
		if why := r.contradiction(reply); why != "" {
			r.declare(why)
		}
		if r.suspect(reply.Open) {
			r.askLedger(r.cfg.Now())
			return
		}
		r.release(reply)
	}
	r.goOn()
}

// contradiction is what the ledger knows of records that the fold has not folded.
func (r *Replica) contradiction(reply *wire.StakesReply) string {
	ended := map[string]bool{}
	for _, id := range reply.Ended {
		ended[id] = true
	}
	for _, room := range r.part.rooms {
		k, ok := room.game.(game.Staking)
		if !ok {
			continue
		}
		s := k.Stakes()
		if n := reply.Archived[room.uuid]; n > s.Round || n == s.Round && n > 0 && !s.Over {
			return fmt.Sprintf("the ledger has archived round %d of room %s", n, room.id)
		}
		for id, open := range s.Open {
			if open && ended[id] {
				return fmt.Sprintf("the ledger has booked the end of %s in room %s", id, room.id)
			}
		}
	}
	return ""
}

// suspect looks for stakes that the fold does not know. One whose end has been folded
// since the ledger looked is known no more, so what counts is what is still open when
// the ledger is asked again: again tells that it must be. So it is with an orphan, of which
// an answer may come when its cancellation has been folded.
func (r *Replica) suspect(open []wire.OpenStake) (again bool) {
	t := &r.tail
	known := r.part.stakes()
	suspects := map[string]bool{}
	var orphans []wire.OpenStake
	for _, s := range open {
		if known[s.ID] {
			continue
		}
		if t.suspects[s.ID] {
			orphans = append(orphans, s)
		} else {
			suspects[s.ID], again = true, true
		}
	}
	t.suspects = suspects
	if len(orphans) > 0 {
		r.declare(fmt.Sprintf("the ledger has booked %s in room %s and %d other stakes that are not in the log", orphans[0].ID, orphans[0].Room, len(orphans)-1))
		t.orphans = orphans
	}
	return again
}

// stakes are the stakes that rooms or outstanding bookings know.
func (p *Partition) stakes() map[string]bool {
	known := map[string]bool{}
	for _, r := range p.rooms {
		if k, ok := r.game.(game.Staking); ok {
			for id := range k.Stakes().Open {
				known[id] = true
			}
		}
	}
	for _, b := range p.pending.byNum {
		known[b.Stake] = true
	}
	return known
}

// goOn ends the wait for the ledger.
func (r *Replica) goOn() {
	r.tail.until = time.Time{}
	r.fulfil(r.part.roomIDs())
}

// testify writes what was found out about the tail. A bet of the tail may have been sent
// again, and be known, since its stake was found to be an orphan; behind the record lost,
// which comes first, none is taken until rounds go on.
func (r *Replica) testify(last uint64) {
	t := &r.tail
	if len(t.orphans) > 0 {
		known := r.part.stakes()
		t.orphans = slices.DeleteFunc(t.orphans, func(s wire.OpenStake) bool { return known[s.ID] })
	}
	switch {
	case t.why != "":
		r.appender.appendDuty("", game.Duty{Kind: wire.OwnerLost, Data: game.Encode(wire.Lost{Why: t.why})}, last)
	case len(t.orphans) > 0:
		r.appender.appendDuty("", game.Duty{Kind: wire.OwnerOrphans, Data: game.Encode(wire.Orphans{Stakes: t.orphans})}, last)
	}
}

// testified takes note that it is in the log.
func (r *Replica) testified(o *Output) {
	if o.Lost {
		r.metrics.lost.Inc()
		r.tail.why, r.tail.proof = "", nil
		if r.speaking {
			r.log.Warn("rounds with stakes wait until the ledger has booked what waited when the log lost its tail")
		}
		r.tail.explain(r.part.lostAt)
	}
	if o.Orphans {
		r.tail.orphans = nil
	}
}
