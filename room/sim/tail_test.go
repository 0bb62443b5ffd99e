package sim

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"tickcast/audit/judge"
	"tickcast/room"
	"tickcast/wire"
)

// stale is a node of the log that was its leader and does not know that it is not: what
// is read of it ends where it was cut off.
type stale struct {
	until int64
	last  uint64
}

// shown is the newest record of those that are read.
func (s *stream) shown() uint64 {
	if s.w.now < s.stale.until {
		return min(s.stale.last, s.last())
	}
	return s.last()
}

// behind has the log read as it was a moment ago, for a while.
func (s *stream) behind(records uint64, d time.Duration) {
	if s.last() >= s.first+records {
		s.stale = stale{s.w.now + int64(d), s.last() - records}
	}
}

// The moment that a power cut takes from the log, by sync_interval: its default here, and
// what somebody may have set. The machine takes some seconds to come back.
var lostMoments = []time.Duration{100 * time.Millisecond, 100 * time.Millisecond, time.Second}

const darkFrom, darkTo = 2 * time.Second, 6 * time.Second

// cutPower takes the last moment from all that the log's server keeps: the partition's
// records, the ledger's queue, a checkpoint. Until it is back nobody reaches anybody.
func (w *world) cutPower(moment time.Duration, dark time.Duration) (lost int) {
	since := w.now - int64(moment)
	to := w.log.last()
	for floor := w.log.floor(); to > floor && w.log.at[to-1] > since; {
		to--
	}
	if lost = int(w.log.last() - to); lost == 0 {
		return 0
	}
	w.log.cut(to)
	w.truth.lose()
	if w.chance(0.5) { // the ledger's queue is a stream of its own, and may have been written before
		w.ledger.loseTail(since)
	} else {
		w.ledger.loseTail(w.now)
	}
	for _, s := range w.buckets {
		s.sound = s.sound && s.seq <= to
	}
	w.buckets[w.rnd.IntN(2)].loseTail(since, to)
	w.dark = w.now + int64(dark)
	w.log.silent, w.log.stale = w.dark, stale{}
	for _, l := range w.links() {
		l.log, l.core = w.log.silent, w.log.silent
	}
	w.note("power cut", encode(to))
	return lost
}

// links are those of all processes.
func (w *world) links() (list []*link) {
	for _, s := range w.servers {
		list = append(list, &s.link)
	}
	for _, g := range w.gateways {
		list = append(list, &g.link)
	}
	return append(list, &w.ledger.link, &w.operator.link)
}

// floor is what is never lost here: the rooms, and of a log that was trimmed its newest
// claim and a checkpoint, which are old by the time that a log is trimmed.
func (s *stream) floor() uint64 {
	if s.made == 0 {
		return s.last()
	}
	floor := s.made
	if s.first == 1 {
		return floor
	}
	spare := s.last()
	for _, b := range s.w.buckets {
		if b.sound && b.seq >= s.first {
			spare = min(spare, b.seq)
		}
	}
	return max(floor, spare, s.lastClaim)
}

// cut ends the log with the record to.
func (s *stream) cut(to uint64) {
	s.records, s.at = s.records[:to:to], s.at[:to:to]
	maps.DeleteFunc(s.seen, func(_ string, k stored) bool { return k.seq > to })
	for s.lastClaim = to; s.lastClaim > 0 && s.records[s.lastClaim-1].Kind != wire.KindClaim; {
		s.lastClaim--
	}
}

// loseTail forgets the jobs that came since, and that others were done.
func (l *ledger) loseTail(since int64) {
	l.queue = slices.DeleteFunc(l.queue, func(j *job) bool {
		if j.came <= since {
			return false
		}
		delete(l.ids, j.id)
		return true
	})
	for _, j := range l.queue {
		j.done = j.done && j.doneAt <= since
	}
	for _, k := range l.bets {
		k.astray = k.astray || k.end != "" && l.w.history.strayed(k.endedBy)
	}
	l.w.at(l.w.now+int64(ackWait), l.pull)
}

// loseTail brings back the checkpoint before, if what came since was overwriting it and
// the other one, of a record up to to, can do without.
func (s *store) loseTail(since int64, to uint64) {
	if s.putAt > since && s.w.spareBeside(s) {
		s.kept, s.seq, s.sound = s.older, s.olderSeq, s.olderSound && s.olderSeq <= to
	}
}

// strayed reports whether a server has folded a record that the log has lost.
func (s *server) strayed() bool {
	last := s.replica.Partition().Last()
	return last.Seq > s.w.log.last() || last.Seq > 0 && s.w.log.records[last.Seq-1].Time != last.Time
}

// lineage is what a truth that lost its tail had folded.
type lineage struct {
	updates map[string][]update
	answers map[answerID][]json.RawMessage
}

// lose folds again what the log still has. What was seen of the rest was seen.
func (t *truth) lose() {
	t.strays = append(t.strays, lineage{t.updates, t.answers})
	for _, r := range t.list {
		if r.phase == "betting" { // or flies, as no update tells yet
			r.ends = r.until + curve.At(r.point+1)
		}
		if t.part.Now() >= r.ends { // it has crashed
			t.giveAway(r)
		}
	}
	t.updates, t.answers, t.digests = map[string][]update{}, map[answerID][]json.RawMessage{}, map[uint64][32]byte{}
	t.part, t.halted, t.rounds, t.voids = nil, nil, 0, 0
	maps.DeleteFunc(t.epochs, func(epoch uint64, _ string) bool { return epoch > t.w.log.last() })
	for _, r := range t.list {
		if r.strays == nil {
			r.strays = map[uint64]int64{}
		}
		maps.Copy(r.strays, r.crash)
		*r = roomTruth{id: r.id, uuid: r.uuid, crash: map[uint64]int64{}, strays: r.strays}
	}
	t.again = &foldedAgain{asked: map[string]bool{}, settled: map[string]bool{}}
	for _, rec := range t.w.log.records {
		t.fold(rec)
	}
	t.w.history.lose(t.again)
	t.again = nil
	t.lostTails++
	t.untold = true
	for _, r := range t.list {
		t.unguarded[roundKey(r.uuid, r.round)] = r.phase == "betting" || r.phase == "locked" || r.phase == "flying"
	}
}

// foldedAgain are the bookings of the log behind the loss of its tail.
type foldedAgain struct{ asked, settled map[string]bool }

// lose takes note of what the log does not ask for any more, or does not know the result of.
func (h *history) lose(again *foldedAgain) {
	for id, b := range h.bookings {
		if b.lost = !again.asked[id]; b.lost {
			b.strayed = true
		}
		if !again.settled[id] {
			b.settled = 0
		}
	}
}

// lost reports whether a booking was asked for by records that the log has lost.
func (h *history) lost(id string) bool {
	b := h.bookings[id]
	return b != nil && b.lost
}

// strayed reports whether that was ever so.
func (h *history) strayed(id string) bool {
	b := h.bookings[id]
	return b != nil && b.strayed
}

// testimony checks what an owner says of a lost tail.
func (t *truth) testimony(rec room.Record) {
	if t.out.Lost {
		for _, r := range t.list {
			t.giveAway(r) // its round is void
		}
		t.untold = false
		if t.told++; t.lostTails == 0 {
			t.w.fail("an owner says that the log lost its tail, which it did not: %s", rec.Data)
		}
	}
	var evt struct {
		Kind string
		Data wire.Orphans
	}
	if !t.out.Orphans || json.Unmarshal(rec.Data, &evt) != nil {
		return
	}
	for _, s := range evt.Data.Stakes {
		if b := t.w.history.bookings[s.ID]; b == nil || !b.lost && (b.settled == 0 || b.result.Booked) {
			t.w.fail("%s is cancelled as an orphan, and the log asks for it: %+v", s.ID, b)
		}
	}
}

// find looks for an update that continues what has a chain of updates, 0 for any: one of
// the log, or of what it has lost.
func (t *truth) find(room string, seq, chain uint64, body []byte) (u update, ok bool) {
	h := sum(body)
	fits := func(list []update) bool {
		if seq == 0 || seq > uint64(len(list)) {
			return false
		}
		u = list[seq-1]
		return u.sum == h && (chain == 0 || u.before == chain)
	}
	if fits(t.updates[room]) {
		return u, true
	}
	for _, l := range t.strays {
		if fits(l.updates[room]) {
			return u, true
		}
	}
	return update{}, false
}

// gave reports whether the fold gave an answer before a tail was lost.
func (t *truth) gave(id answerID, answer json.RawMessage) bool {
	for _, l := range t.strays {
		for _, k := range l.answers[id] {
			if bytes.Equal(k, answer) {
				return true
			}
		}
	}
	return false
}

// strayedPlayers are those of whom the ledger decided something for a record of a lost tail.
func (w *world) strayedPlayers() map[string]bool {
	players := map[string]bool{}
	for id, b := range w.history.bookings {
		if _, decided := w.ledger.outcomes[id]; decided && b.strayed {
			players[b.Player] = true
		}
	}
	for _, k := range w.ledger.bets {
		if k.astray || k.late || w.truth.unguarded[k.round] && k.end == "lost" {
			players[k.player] = true
		}
	}
	return players
}

// strayedRound reports whether a difference is about a round that was archived for a lost
// tail, which the ledger does not do again.
func (w *world) strayedRound(d *judge.Difference) bool {
	if r := w.truth.rooms[d.Room]; r != nil && r.strays[d.Round] > 0 && d.What == "when a seed is revealed" {
		return true // the reveal was on its way when the end of its round was lost
	}
	for _, b := range w.history.bookings {
		if b.strayed && b.Kind == wire.BookRound && b.Room == d.Room && b.Booking.Round.Round == d.Round {
			return true
		}
	}
	return false
}
