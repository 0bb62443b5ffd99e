package room

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"tickcast/audit/judge"
	"tickcast/room/game"
	"tickcast/wire"
)

// judged is what the auditor's own path makes of a log.
type judged struct {
	*judge.Log
	accounts *judge.Accounts
	rounds   []*judge.Round
}

func judgeLog(log []Record) (*judged, error) {
	j := &judged{accounts: judge.NewAccounts(modelGrant)}
	j.Log = judge.New(judge.Config{Partition: 3, Accounts: j.accounts, Settled: func(rd *judge.Round) error {
		j.rounds = append(j.rounds, rd)
		return nil
	}})
	for _, rec := range log {
		if err := j.Feed(judge.Record{Seq: rec.Seq, Time: rec.Time, Subject: subjectOf(rec), Data: rec.Data, Foreign: rec.Forged}); err != nil {
			return j, err
		}
	}
	return j, j.Close()
}

func subjectOf(rec Record) string {
	switch rec.Kind {
	case wire.KindCommand:
		return wire.CommandSubject(3, rec.Room)
	case wire.KindAction:
		return wire.ActionSubject(3, rec.Room)
	}
	return string(rec.Kind) + ".3"
}

// asked lists what a judge or a fold asks of the ledger, as text.
func (j *judged) asked() []string {
	var list []string
	add := func(b *judge.Booking) {
		list = append(list, fmt.Sprintf("%s %s %s %d %s %d %q %d", b.ID, b.Kind, b.Player, b.Amount, b.Stake, b.Centi, b.Reason, b.At))
	}
	for _, rd := range append(slices.Clone(j.rounds), j.Unsettled()...) {
		for _, b := range rd.Bets {
			add(b.StakeBooking)
			if b.EndBooking != nil {
				add(b.EndBooking)
			}
		}
		if rd.Archive != nil {
			list = append(list, roundText(rd))
		}
	}
	for _, b := range j.Money() {
		add(b)
	}
	slices.Sort(list)
	return list
}

func roundText(rd *judge.Round) string {
	o := map[string]any{
		"centi": rd.Centi, "seed": rd.Seed, "salt": rd.Salt, "chain": rd.Chain, "index": rd.Index, "commitment": rd.Commitment,
		"rtp_bp": rd.RTPBP, "cap": rd.Cap, "count": rd.Count, "stake": rd.Stake, "paid": rd.Paid, "rules": rd.Rules,
	}
	if rd.Game == "race" {
		top := append([]wire.Score{}, rd.Ranking...)
		o = map[string]any{"players": len(top), "winner": nil, "top": top[:min(len(top), 10)]}
		if len(top) > 0 {
			o["winner"] = top[0]
		}
	}
	return fmt.Sprintf("%s %v %d %d %d %s", rd.Archive.ID, rd.Voided, rd.Started, rd.Ended, rd.Archive.At, sortedJSON(game.Encode(o)))
}

func foldedBookings(t *testing.T, r *rig) []string {
	t.Helper()
	p, seen := NewPartition(r.cfg), map[string]bool{}
	var out Output
	var list []string
	for _, rec := range r.log {
		if err := p.Apply(rec, &out); err != nil {
			t.Fatal(err)
		}
		for _, b := range out.Bookings {
			switch {
			case seen[b.ID] || b.Kind == wire.BookAudit || b.Kind == wire.BookScores:
			case b.Kind == wire.BookRound:
				list = append(list, fmt.Sprintf("%s %v %d %d %d %s", b.ID, b.Round.Voided, b.Round.Started, b.Round.Ended, b.At, sortedJSON(b.Round.Outcome)))
			default:
				list = append(list, fmt.Sprintf("%s %s %s %d %s %d %q %d", b.ID, b.Kind, b.Player, b.Amount, b.Stake, b.Centi, b.Reason, b.At))
			}
			seen[b.ID] = true
		}
	}
	slices.Sort(list)
	return list
}

func sortedJSON(raw []byte) string {
	var v any
	d := newNumberDecoder(raw)
	if err := d.Decode(&v); err != nil {
		panic(err)
	}
	return string(game.Encode(v))
}

// limitedCrash has limits that random bets meet.
func limitedCrash(rnd *rand.Rand) map[string]any {
	s := map[string]any{"betting_ms": 200 + rnd.IntN(400), "lock_ms": 100, "crashed_ms": 100}
	if rnd.IntN(2) == 0 {
		s["max_win"] = 1000 + rnd.IntN(8000)
		s["max_round_win"] = 2000 + rnd.IntN(12000)
	}
	if rnd.IntN(3) == 0 {
		s["cap"] = 120 + rnd.IntN(400)
	}
	return s
}

// wilder adds to randomStep what concerns money: bets that are all but certain to be
// taken, changes of settings, a ledger that is away; and versions that come into force.
func wilder(r *rig, rnd *rand.Rand, i int) {
	lobby := r.p.rooms["lobby"].game.Round()
	switch rnd.IntN(10) {
	case 0, 1, 2:
		r.command(fmt.Sprintf("w%d", rnd.IntN(5)), "lobby", fmt.Sprintf("b%d", i), "bet", lobby,
			betArgs{Slot: rnd.IntN(2), Amount: int64(1+rnd.IntN(20)) * 100, Auto: int64(rnd.IntN(2)) * int64(101+rnd.IntN(200))})
	case 3, 4:
		r.command(fmt.Sprintf("w%d", rnd.IntN(5)), "lobby", fmt.Sprintf("b%d", i), "cashout", cmp.Or(lobby, 1)-1, betArgs{Slot: rnd.IntN(2)})
	case 5:
		r.act("lobby", wire.ActionSet, limitedCrash(rnd))
	case 6:
		r.book.down = !r.book.down
		r.askAgain()
	case 7:
		r.asleep = rnd.IntN(3) == 0
		if !r.asleep {
			r.claim("node-y")
		}
	case 8:
		r.putInForce(1+rnd.IntN(recordsVersion), []string{"race", "crash"}[:rnd.IntN(3)]...)
	case 9:
		args := wire.CreateArgs{UUID: roomUUID(len(r.log)), Game: "race", Settings: game.Encode(fastRace)}
		r.act(fmt.Sprint("extra-", rnd.IntN(3)), wire.ActionCreate, args)
	}
	r.run(time.Duration(rnd.IntN(120)) * time.Millisecond)
}

// askAgain repeats the bookings that have no result, as an owner does.
func (r *rig) askAgain() {
	for _, b := range r.p.pending.list() {
		if res, ok := r.book.apply(b); ok {
			r.later(2*time.Millisecond, wire.KindResult, "", game.Encode(res))
		}
	}
}

// TestTheAuditorAgreesWithTheFold: the auditor's own path asks the ledger for the very
// bookings that the fold asks for, in any history and at any end of it.
func TestTheAuditorAgreesWithTheFold(t *testing.T) {
	t.Parallel()
	bets, ends := 0, map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t)
		rnd := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 2))
		r.create("lobby", "crash", limitedCrash(rnd))
		r.create("derby", "race", fastRace)
		for i := range rapid.IntRange(1, 250).Draw(rt, "steps") {
			if i%2 == 0 {
				randomStep(r, rnd, i)
			} else {
				wilder(r, rnd, i)
			}
		}
		cut := rnd.IntN(len(r.log))
		if _, err := judgeLog(r.log[:cut]); err != nil {
			rt.Fatalf("cut at record %d: %v", cut, err)
		}
		settleDown(r)
		j, err := judgeLog(r.log)
		if err != nil {
			rt.Fatal(err)
		}
		if d := j.accounts.Gap(); d != nil || len(j.Unsettled()) > len(r.p.rooms) || j.Outstanding() > 0 {
			rt.Fatalf("gap %v, %d rounds not settled, %d bookings outstanding", d, len(j.Unsettled()), j.Outstanding())
		}
		got, want := j.asked(), foldedBookings(t, r)
		for i := range max(len(got), len(want)) {
			if i >= len(got) || i >= len(want) || got[i] != want[i] {
				rt.Fatalf("booking %d of %d and %d:\n%s\nwant\n%s", i, len(got), len(want), at(got, i), at(want, i))
			}
		}
		for _, rd := range j.rounds {
			for _, b := range rd.Bets {
				bets++
				ends[string(b.State)]++
			}
		}
	})
	for _, state := range []judge.State{judge.Won, judge.Lost, judge.Refunded} {
		if ends[string(state)] == 0 {
			t.Errorf("of %d bets none was %s: %v", bets, state, ends)
		}
	}
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return "nothing"
}

// settleDown lets everything come to its end.
func settleDown(r *rig) {
	r.asleep, r.book.down = false, false
	r.claim("node-z")
	r.askAgain()
	for _, room := range r.p.roomIDs() {
		if room == wire.CashierRoom {
			continue
		}
		r.act(room, wire.ActionPause, nil)
		r.until(room+" is paused", func() bool { return r.p.rooms[room].game.State() == statePaused })
	}
	r.run(time.Second)
	r.askAgain()
	r.run(time.Second)
}

// sixRounds plays rounds, by two owners and under two versions, of which the fourth is void.
func sixRounds(t *testing.T) *rig {
	r := newRig(t)
	r.create("lobby", "crash", fastCrash)
	r.putInForce(2)
	for i := range 6 {
		if i == 3 {
			r.claim("node-2")
			r.putInForce(1)
		}
		r.until("bets are taken", func() bool { return r.phase("lobby") == "betting" })
		round := r.p.rooms["lobby"].game.Round()
		r.command("ann", "lobby", fmt.Sprintf("a%d", i), "bet", round, betArgs{Amount: 1000, Auto: 101})
		r.command("bob", "lobby", fmt.Sprintf("b%d", i), "bet", round, betArgs{Amount: 500})
		if i == 3 {
			r.act("lobby", wire.ActionVoid, nil)
		}
		r.until("it crashed", func() bool { return r.phase("lobby") == "crashed" })
	}
	settleLobby(r)
	return r
}

// TestTheAuditorSeesAFalseRecord alters a log of real rounds in one way at a time.
func TestTheAuditorSeesAFalseRecord(t *testing.T) {
	r := sixRounds(t)
	if _, err := judgeLog(r.log); err != nil {
		t.Fatalf("the log as it is: %v", err)
	}
	all := falsehoods(r)
	maps.Copy(all, falseVersions(r))
	for name, alter := range all {
		t.Run(name, func(t *testing.T) {
			log := alter(slices.Clone(r.log))
			if _, err := judgeLog(log); err == nil {
				t.Error("nothing was found")
			} else {
				t.Log(err)
			}
		})
	}
}

// TestTheAuditorPassesAnOpeningOfNoEffect has an owner open a round whose log has not, or not
// any more, the seed of the one before: it is as if he had not.
func TestTheAuditorPassesAnOpeningOfNoEffect(t *testing.T) {
	r := sixRounds(t)
	want := foldedBookings(t, r)
	for round := 1; round < 6; round++ {
		for _, kind := range []string{"open", "reveal"} { // behind the one, before the other
			log := slices.Clone(r.log)
			i := nthFact(log, kind, round)
			rec := log[i]
			var evt wire.OwnerRecord
			r.decode(rec.Data, &evt)
			evt.Kind, evt.Data = "open", fmt.Appendf(nil, `{"round":%d,"rules":1}`, round+1)
			rec.Data = game.Encode(evt)
			if kind == "open" {
				i++
			}
			log = renumber(slices.Insert(log, i, rec))
			j, err := judgeLog(log)
			if err != nil {
				t.Errorf("round %d, at the %s: %v", round, kind, err)
			} else if got := j.asked(); !slices.Equal(got, want) {
				t.Errorf("round %d, at the %s: the auditor has\n%s\nwant\n%s", round, kind, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			if got := foldedBookings(t, &rig{t: t, cfg: r.cfg, log: log}); !slices.Equal(got, want) {
				t.Errorf("round %d, at the %s: the fold has\n%s\nwant\n%s", round, kind, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
	}
}

// TestAMendExplainsARefusal has the ledger refuse a payout, whose player's account is not
// followed from there on. It is a difference until the log tells of the mend of that bet.
func TestAMendExplainsARefusal(t *testing.T) {
	r := newRig(t)
	r.create("lobby", "crash", fastCrash)
	for i := range 3 {
		r.until("bets are taken", func() bool { return r.phase("lobby") == "betting" })
		r.command("ann", "lobby", fmt.Sprintf("a%d", i), "bet", r.p.rooms["lobby"].game.Round(), betArgs{Amount: 1000, Auto: 101})
		r.until("it crashed", func() bool { return r.phase("lobby") == "crashed" })
	}
	settleLobby(r)
	log, bet := slices.Clone(r.log), ""
	for i, rec := range log {
		var res wire.BookingResult
		if rec.Kind != wire.KindResult || json.Unmarshal(rec.Data, &res) != nil || !strings.HasPrefix(res.ID, "payout/") {
			continue
		}
		bet = strings.TrimPrefix(res.ID, "payout/")
		log[i].Data = game.Encode(wire.BookingResult{ID: res.ID, Code: wire.CodeNoBet, Player: "ann", Balance: res.Balance, Version: res.Version})
		break
	}
	last := log[len(log)-1]
	for _, c := range []struct {
		mend       string
		booked, ok bool
	}{
		{"stake/" + bet, true, true}, {"stake/" + bet, false, false}, {"payout/" + bet, true, false}, {"stake/another", true, false},
	} {
		told := wire.BookingResult{ID: wire.MendPrefix + c.mend, Booked: c.booked, Player: "ann", Kept: 1010}
		j, err := judgeLog(append(slices.Clone(log), Record{Seq: last.Seq + 1, Time: last.Time, Kind: wire.KindResult, Data: game.Encode(told)}))
		if (err == nil) != c.ok || c.ok && (j.Mends()[told.ID].Kept != 1010 || j.Notes().Mended.First != last.Seq+1) {
			t.Errorf("%s, booked %t: %v, mends %v", c.mend, c.booked, err, j.Mends())
		}
		if j.accounts.Follows("ann") {
			t.Error("the account is followed")
		}
	}
}

func settleLobby(r *rig) {
	r.act("lobby", wire.ActionPause, nil)
	r.until("it is paused", func() bool { return r.p.rooms["lobby"].game.State() == statePaused })
	r.run(time.Second)
}

// falsehoods are ways to alter a log of whole rounds.
func falsehoods(r *rig) map[string]func([]Record) []Record {
	edit := func(kind string, change func(*wire.OwnerRecord, map[string]any)) func([]Record) []Record {
		return func(log []Record) []Record {
			i := nthFact(log, kind, 2)
			var evt wire.OwnerRecord
			var fact map[string]any
			r.decode(log[i].Data, &evt)
			r.decode(evt.Data, &fact)
			change(&evt, fact)
			evt.Data = game.Encode(fact)
			log[i].Data = game.Encode(evt)
			return log
		}
	}
	result := func(prefix string, change func(*wire.BookingResult)) func([]Record) []Record {
		return func(log []Record) []Record {
			i := slices.IndexFunc(log, func(rec Record) bool {
				var res wire.BookingResult
				return rec.Kind == wire.KindResult && newNumberDecoder(rec.Data).Decode(&res) == nil && len(res.ID) > len(prefix) && res.ID[:len(prefix)] == prefix
			})
			var res wire.BookingResult
			r.decode(log[i].Data, &res)
			change(&res)
			log[i].Data = game.Encode(res)
			return log
		}
	}
	return map[string]func([]Record) []Record{
		"another seed":            edit("reveal", func(_ *wire.OwnerRecord, f map[string]any) { f["seed"] = hex32 }),
		"a seed at another place": edit("reveal", func(_ *wire.OwnerRecord, f map[string]any) { f["index"] = 40 }),
		"another commitment":      func(log []Record) []Record { return alterFirst(r, log, "commit", "commitment", hex32) },
		"another rules version":   edit("open", func(_ *wire.OwnerRecord, f map[string]any) { f["rules"] = 2 }),
		"a kind nobody knows":     edit("open", func(evt *wire.OwnerRecord, _ map[string]any) { evt.Kind = "gift" }),
		"a reveal is missing": func(log []Record) []Record {
			i := nthFact(log, "reveal", 5) // no round opens behind the next
			return renumber(slices.Delete(log, i, i+1))
		},
		"no more seeds":             func(log []Record) []Record { return withoutSeeds(log, 2) },
		"none of a void or later":   func(log []Record) []Record { return withoutSeeds(log, 4) },
		"a record is missing":       func(log []Record) []Record { return slices.Delete(log, 20, 21) },
		"a record comes twice":      func(log []Record) []Record { return slices.Insert(log, 20, log[20]) },
		"two records change places": func(log []Record) []Record { log[20], log[21] = log[21], log[20]; return log },
		"a stake moved more":        result("stake/", func(res *wire.BookingResult) { res.Balance -= 100 }),
		"a payout was refused":      result("payout/", func(res *wire.BookingResult) { res.Booked, res.Code = false, wire.CodeNoBet }),
		"a payout for somebody":     result("payout/", func(res *wire.BookingResult) { res.Player = "eve" }),
		"a stake without cover":     result("stake/", func(res *wire.BookingResult) { res.Booked, res.Code = false, wire.CodeInsufficientFunds }),
		"a balance skips a version": result("payout/", func(res *wire.BookingResult) { res.Version-- }),
		"a seed before the crash":   func(log []Record) []Record { return earlyReveal(log) },
	}
}

// falseVersions are ways to alter what comes into force there.
func falseVersions(r *rig) map[string]func([]Record) []Record {
	versions := func(n int, alter func(wire.Versions)) func([]Record) []Record {
		return func(log []Record) []Record {
			for i, rec := range log {
				if rec.Kind == wire.KindClaim {
					log[i].Data = game.Encode(wire.Claim{Node: "older"}) // who does not say what he folds
				}
			}
			var evt wire.OwnerRecord
			i, v := nthFact(log, wire.OwnerVersions, n), wire.Versions{}
			r.decode(log[i].Data, &evt)
			r.decode(evt.Data, &v)
			alter(v)
			evt.Data = game.Encode(v)
			log[i].Data = game.Encode(evt)
			return log
		}
	}
	return map[string]func([]Record) []Record{
		"versions that nobody has":     versions(1, func(v wire.Versions) { v[wire.Records] = recordsVersion + 1 }),
		"newer rules":                  versions(2, func(v wire.Versions) { v["crash"]++ }),
		"a game that nobody has":       versions(1, func(v wire.Versions) { v["beat"] = 1 }),
		"versions as a log begins":     versions(1, func(v wire.Versions) { v[wire.Records] = 1 }),
		"versions as they were before": versions(2, func(v wire.Versions) { v[wire.Records] = 2 }),
		"no version of the records":    versions(2, func(v wire.Versions) { delete(v, wire.Records) }),
		"no version of the cashier":    versions(2, func(v wire.Versions) { delete(v, "cashier") }),
		"a version below the first":    versions(2, func(v wire.Versions) { v["crash"] = -1 }),
		"an owner who cannot fold it": func(log []Record) []Record {
			log[0].Data = game.Encode(wire.Claim{Node: "node-1", Folds: firstVersions()})
			return log
		},
	}
}

const hex32 = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

// nthFact is the index of the nth fact of a kind, from 1.
func nthFact(log []Record, kind string, n int) int {
	return slices.IndexFunc(log, func(rec Record) bool {
		var evt wire.OwnerRecord
		if rec.Kind == wire.KindOwner && newNumberDecoder(rec.Data).Decode(&evt) == nil && evt.Kind == kind {
			n--
		}
		return n == 0
	})
}

func alterFirst(r *rig, log []Record, kind, field string, value any) []Record {
	i := nthFact(log, kind, 1)
	var evt wire.OwnerRecord
	var fact map[string]any
	r.decode(log[i].Data, &evt)
	r.decode(evt.Data, &fact)
	fact[field] = value
	evt.Data = game.Encode(fact)
	log[i].Data = game.Encode(evt)
	return log
}

// renumber gives records the sequences, and owners the epochs, that hide where some were taken
// out or put in.
func renumber(log []Record) []Record {
	epochs := map[uint64]uint64{}
	for i := range log {
		seq := uint64(i + 1)
		switch log[i].Kind {
		case wire.KindClaim:
			epochs[log[i].Seq] = seq
		case wire.KindOwner:
			var evt wire.OwnerRecord
			if err := json.Unmarshal(log[i].Data, &evt); err != nil {
				panic(err)
			}
			evt.Epoch = epochs[evt.Epoch]
			log[i].Data = game.Encode(evt)
		}
		log[i].Seq = seq
	}
	return log
}

// withoutSeeds drops the reveals from the nth on.
func withoutSeeds(log []Record, n int) []Record {
	for i := nthFact(log, "reveal", n); i >= 0; i = nthFact(log, "reveal", n) {
		log = slices.Delete(log, i, i+1)
	}
	return renumber(log)
}

// earlyReveal repeats a seed right behind the opening of its round.
func earlyReveal(log []Record) []Record {
	open, reveal := nthFact(log, "open", 3), nthFact(log, "reveal", 3)
	rec := log[reveal]
	rec.Time = log[open].Time
	return renumber(slices.Insert(log, open+1, rec))
}

func newNumberDecoder(raw []byte) *json.Decoder {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return d
}
