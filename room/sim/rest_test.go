package sim

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"tickcast/archive"
	"tickcast/audit/judge"
	"tickcast/internal/linear"
	"tickcast/wire"
)

// restWithin is how long a healed world takes at most until nothing is owed any more: a
// booking is repeated at least every 5 minutes.
const restWithin = 15 * time.Minute

// rest heals the world, lets every round and command come to its end, and checks what
// must be true then.
func (w *world) rest() {
	if w.broken != nil {
		return
	}
	w.cfg.idle = true
	w.nemesis.end()
	w.run(3 * time.Second) // an operator's resume may be under way
	for i := range w.cfg.rooms {
		w.operator.act(roomName(i), wire.ActionPause, nil)
	}
	w.until("nothing is owed any more", restWithin, func() bool { return w.events[0].at > w.now && w.resting() == "" })
	if w.broken != nil {
		w.broken = fmt.Errorf("%w (%s)", w.broken, w.resting())
		return
	}
	for _, s := range w.servers {
		s.compareLast()
	}
	w.checkStakes()
	w.checkRaces()
	w.checkHistory()
	w.judge()
}

// resting is what is still owed; "" when nothing is.
func (w *world) resting() string {
	if w.truth.halted != nil {
		return "the fold of the truth halted: " + w.truth.halted.Error()
	}
	for _, p := range w.players {
		for _, c := range p.sent {
			if c.answers == nil {
				return fmt.Sprintf("%s has no answer to %s %s in %s, acknowledged %v", p.name, c.wire.Op, c.wire.Key, c.room, c.acked)
			}
		}
	}
	for i := range w.cfg.rooms {
		r := w.truth.rooms[roomName(i)]
		if r == nil || r.phase != "idle" && !(r.phase == "" && r.paused) {
			return roomName(i) + " is not paused"
		}
		if r.seed != nil && r.shown < r.round {
			return fmt.Sprintf("the seed of round %d of %s is not in the log", r.round, r.id)
		}
		for _, g := range w.gateways {
			if have, want := g.copyOf(roomName(i)).seq, len(w.truth.updates[roomName(i)]); have != uint64(want) {
				return fmt.Sprintf("%s has update %d of %d of %s", g.name, have, want, roomName(i))
			}
		}
	}
	for id, b := range w.history.bookings {
		if b.settled == 0 && !b.lost {
			return id + " has no result"
		}
	}
	if w.truth.lostTails > 0 { // what a lost tail asked for may be booked late
		for id, b := range w.ledger.bets {
			if b.end == "" {
				return id + " has no end"
			}
		}
	}
	return w.serversRest()
}

func (w *world) serversRest() string {
	owners := 0
	for _, s := range w.servers {
		if s.replica == nil {
			return s.name + " is dead"
		}
		if s.replica.Owns() {
			owners++
		}
		if s.rules != foreignRules && s.replica.Partition().Last() != w.truth.part.Last() {
			return s.name + " is behind"
		}
	}
	if owners != 1 {
		return fmt.Sprint(owners, " servers own the partition")
	}
	return ""
}

// compareLast holds the state to that of the truth at the same record.
func (s *server) compareLast() {
	if s.rules != foreignRules && string(s.replica.Partition().Snapshot()) != string(s.w.truth.part.Snapshot()) {
		s.w.fail("%s has another state than the truth in the end", s.name)
	}
}

// checkStakes: each stake in the book is one that its player asked for, and has one end.
func (w *world) checkStakes() {
	asked := map[string]bool{}
	for _, p := range w.players {
		for _, c := range p.sent {
			if r := w.truth.rooms[c.room]; c.wire.Op == "bet" && r != nil {
				asked["stake/"+c.betID(r.uuid)] = true
			}
		}
	}
	for id, b := range w.ledger.bets {
		if !asked[id] {
			w.fail("%s of %s is booked, and nobody asked for it", id, b.player)
		}
		switch k := w.history.bookings[id]; {
		case b.end == "":
			w.fail("%s of %s has no end", id, b.player)
		case b.end == "lost" && !b.astray && !w.truth.unguarded[b.round] && (k.lost || !k.result.Booked):
			w.fail("%s of %s is lost with its round, and the log does not have it: %+v", id, b.player, k.result)
		}
	}
}

// checkHistory looks for an order that explains what happened to the accounts.
func (w *world) checkHistory() {
	report, err := linear.Check(w.history.operations(w.ledger), linear.Opening{Balance: grant, Version: 1}, 10*time.Second)
	switch {
	case err != nil:
		w.fail("the history: %v", err)
	case !report.OK():
		w.fail("the history: %s", report)
	}
}

// judge has the auditor's own path judge the log.
func (w *world) judge() {
	accounts := judge.NewAccounts(grant)
	log := judge.New(judge.Config{Partition: partition, Accounts: accounts, Settled: func(*judge.Round) error { return nil }})
	read := archive.NewReaderOf(trimmedLog{w, &link{w: w}}, w.archive)
	err := read.Read(context.Background(), partition, 1, w.log.last(), func(rec archive.Record) error {
		if want := archived(w.log.records[rec.Seq-1]); rec.Time != want.Time || rec.Subject != want.Subject || string(rec.Data) != string(want.Data) {
			return fmt.Errorf("record %d of archive and log is not what was stored", rec.Seq)
		}
		return log.Feed(judge.Record{Seq: rec.Seq, Time: rec.Time, Subject: rec.Subject, Data: rec.Data})
	})
	if err == nil {
		err = log.Close()
	}
	strayed := w.strayedPlayers()
	if d := (*judge.Difference)(nil); errors.As(err, &d) && (strayed[d.Player] || w.strayedRound(d)) {
		return // as it must: the log does not have what moved this account, or archived this round
	}
	if err != nil {
		w.fail("the auditor: %v", err)
		return
	}
	for player := range strayed {
		accounts.Lose(player)
	}
	if from := log.Abandoned(); len(from) > 0 {
		w.fail("the auditor finds no seed of the last rounds of rooms, by their UUIDs: %v", from)
	}
	if gap := accounts.Gap(); gap != nil {
		w.fail("the auditor: %v", gap)
	}
	for player, a := range w.ledger.accounts {
		if !accounts.Follows(player) {
			continue
		}
		if balance, ok := accounts.At(player, a.version); !ok || balance != a.balance || accounts.Newest(player) != a.version {
			w.fail("the auditor has %d of %s at version %d, the book %d", balance, player, a.version, a.balance)
		}
	}
}

// TestTheWorldRestsBehindItsLastSeed: a seed may come long behind all else that its round
// owes, and without it the auditor does not follow what the round has paid.
func TestTheWorldRestsBehindItsLastSeed(t *testing.T) {
	for seed := range uint64(10) {
		w := playScene(seed+1, "the last seed is late", func(sc *scene) {
			sc.await(sc.flight())
			sc.log.seedDelay = 2 * time.Second
		})
		if w.broken != nil {
			t.Errorf("seed %d: %v", seed+1, w.broken)
		}
	}
}
