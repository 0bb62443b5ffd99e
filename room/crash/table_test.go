package crash

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"tickcast/room/game"
	"tickcast/wire"
)

const testUUID = "0192aaaa-bbbb-7ccc-8ddd-eeeeffff0000"

// saltedChains are real chains with a chosen salt and length.
type saltedChains struct {
	*SecretChains
	salt  string
	blind bool // does not know the secret
}

func (c *saltedChains) Salt() string { return c.salt }

func (c *saltedChains) Commitment(room string, chain uint32) ([32]byte, bool) {
	h, _ := c.SecretChains.Commitment(room, chain)
	return h, !c.blind
}

func (c *saltedChains) Seed(room string, chain uint32, index uint64) ([32]byte, bool) {
	s, ok := c.SecretChains.Seed(room, chain, index)
	return s, ok && !c.blind
}

func newTestChains(rounds uint64) *saltedChains {
	chains := NewChains([]byte("a test secret"), strings.NewReader(""))
	chains.Rounds = rounds
	return &saltedChains{SecretChains: chains, salt: "0123456789abcdef"}
}

// crashingAt are chains with a salt under which the first round has a crash point
// from low to high at the given cap.
func crashingAt(low, high, limit int64) *saltedChains {
	c := newTestChains(20)
	seed, _ := c.SecretChains.Seed(testUUID, 0, 1)
	for i := 0; ; i++ {
		c.salt = fmt.Sprintf("%032d", i)
		if p := Point(seed, c.salt, 9900, limit); p >= low && p <= high {
			return c
		}
	}
}

// tester is what *testing.T, *testing.B and *rapid.T have in common.
type tester interface {
	Helper()
	Fatalf(format string, args ...any)
}

// table is a partition with one room, in memory: it keeps the clock, lets time
// pass as the fold does, fulfils duties as an owner does, and remembers effects.
// Beside the room it plays a twin that is restored from its own snapshot before
// every input; the two must not differ in anything.
type table struct {
	t    tester
	kind *Kind
	room *Room
	twin *Room // nil: no twin
	// frozen before the newest input, and what it must show.
	frozen   func() []byte
	snapshot []byte

	now    game.Time
	after  func(name string) // called after each input, if set
	keys   int
	manual bool // duties are left to the test

	fx      game.Effects // of the last input
	answers []game.Answered
	notices []game.Notified
	events  []string
	queue   []wire.Booking // bookings that have no result yet
	booked  []wire.Booking // all bookings ever
}

func newTable(t tester, chains Chains, settings string) *table {
	t.Helper()
	tb := &table{t: t, kind: New(chains)}
	c := game.Config{ID: "lobby", UUID: testUUID, Name: "Lobby", Partition: 3, Settings: json.RawMessage(settings)}
	room, e := tb.kind.New(tb.at(), c, &tb.fx)
	if e != nil {
		t.Fatalf("new room: %v", e)
	}
	tb.room = room.(*Room)
	tb.twin = tb.restored(tb.room)
	return tb
}

func (tb *table) at() game.At {
	return game.At{Now: tb.now, Wall: 1_700_000_000_000 + int64(tb.now)/1_000_000}
}

func (tb *table) restored(r *Room) *Room {
	tb.t.Helper()
	again, err := tb.kind.Restore(r.Snapshot())
	if err != nil {
		tb.t.Fatalf("%v\n%.3000s", err, r.Snapshot())
	}
	return again.(*Room)
}

// apply gives both rooms one input and keeps its effects.
func (tb *table) apply(name string, f func(r *Room, fx *game.Effects)) {
	tb.t.Helper()
	tb.fx = game.Effects{}
	f(tb.room, &tb.fx)
	if tb.twin != nil {
		var fx game.Effects
		tb.twin = tb.restored(tb.twin)
		f(tb.twin, &fx)
		tb.compare(name, &fx)
	}
	for _, e := range tb.fx.Events {
		tb.events = append(tb.events, string(e.Body))
	}
	tb.answers = append(tb.answers, tb.fx.Answers...)
	tb.notices = append(tb.notices, tb.fx.Notices...)
	tb.queue = append(tb.queue, tb.fx.Bookings...)
	tb.booked = append(tb.booked, tb.fx.Bookings...)
	if tb.after != nil {
		tb.after(name)
	}
}

func (tb *table) compare(name string, fx *game.Effects) {
	tb.t.Helper()
	if a, b := game.Encode(tb.fx), game.Encode(fx); !bytes.Equal(a, b) {
		tb.t.Fatalf("%s: the restored room has other effects:\n%s\n%s", name, a, b)
	}
	if a, b := tb.room.Snapshot(), tb.twin.Snapshot(); !bytes.Equal(a, b) {
		tb.t.Fatalf("%s: the restored room is in another state:\n%s\n%s", name, a, b)
	}
	if tb.frozen != nil && !bytes.Equal(tb.frozen(), tb.snapshot) {
		tb.t.Fatalf("%s: what was frozen before changed", name)
	}
	tb.frozen, tb.snapshot = tb.room.Freeze(), tb.room.Snapshot()
	if a, b := tb.room.Due(), tb.twin.Due(); a != b {
		tb.t.Fatalf("%s: the restored room is due at %d, not at %d", name, b, a)
	}
	if a, b := tb.room.View(tb.at()), tb.twin.View(tb.at()); !bytes.Equal(a, b) {
		tb.t.Fatalf("%s: the restored room shows another view:\n%s\n%s", name, a, b)
	}
	if a, b := game.Encode(tb.room.Duties(1)), game.Encode(tb.twin.Duties(1)); !bytes.Equal(a, b) {
		tb.t.Fatalf("%s: the restored room has other duties:\n%s\n%s", name, a, b)
	}
}

// fulfil states every fact that is owed, until none is.
func (tb *table) fulfil() {
	tb.t.Helper()
	for range 10 {
		duties := tb.room.Duties(1)
		if tb.manual || len(duties) == 0 {
			return
		}
		for _, d := range duties {
			tb.fact(d)
		}
	}
	tb.t.Fatalf("duties do not end: %s", game.Encode(tb.room.Duties(1)))
}

func (tb *table) fact(d game.Duty) {
	tb.t.Helper()
	if err := tb.tryFact(d); err != nil {
		tb.t.Fatalf("fact %s %s: %v", d.Kind, d.Data, err)
	}
}

func (tb *table) tryFact(d game.Duty) (err error) {
	tb.t.Helper()
	tb.apply("fact "+d.Kind+" "+string(d.Data), func(r *Room, fx *game.Effects) {
		err = r.Fact(tb.at(), d.Kind, d.Data, fx)
	})
	return err
}

// until lets game time pass up to t.
func (tb *table) until(t game.Time) {
	tb.t.Helper()
	tb.fulfil()
	for due := tb.room.Due(); due <= t; due = tb.room.Due() {
		if due < tb.now {
			tb.t.Fatalf("due at %d, which is past at %d", due, tb.now)
		}
		tb.now = due
		tb.apply("advance", func(r *Room, fx *game.Effects) { r.Advance(tb.at(), fx) })
		tb.fulfil()
	}
	tb.now = max(tb.now, t)
}

func (tb *table) pass(d game.Time) { tb.t.Helper(); tb.until(tb.now + d) }

// untilPhase lets time pass until the room is in a phase.
func (tb *table) untilPhase(p phase) {
	tb.t.Helper()
	tb.fulfil()
	for range 1000 {
		if tb.room.Phase == p {
			return
		}
		tb.until(tb.room.Due())
	}
	tb.t.Fatalf("the room never came to %s", p)
}

// reading lets a flight go on until the curve reads centi.
func (tb *table) reading(centi int64) {
	tb.t.Helper()
	tb.until(tb.room.Start + tb.kind.curve.At(centi))
}

// command gives a command with a fresh key.
func (tb *table) command(player, op string, round uint64, args string) game.Ref {
	tb.t.Helper()
	tb.keys++
	ref := game.Ref{Player: player, Key: fmt.Sprintf("k%d", tb.keys)}
	c := game.Command{Ref: ref, Command: wire.Command{
		Player: player, Name: strings.ToUpper(player), Gateway: "g1", Key: ref.Key,
		Op: op, Round: round, Args: []byte(args),
	}}
	tb.apply(fmt.Sprintf("%s %s %s round=%d %s", player, ref.Key, op, round, args), func(r *Room, fx *game.Effects) {
		r.Command(tb.at(), c, fx)
	})
	return ref
}

// bet places a bet for the newest round and books its stake.
func (tb *table) bet(player string, slot int, amount, auto int64) *bet {
	tb.t.Helper()
	ref := tb.betOnly(player, slot, amount, auto)
	tb.settle()
	tb.wantOK("a bet", ref)
	rd := tb.room.Current
	if rd.Number != tb.room.Round() {
		rd = tb.room.Next
	}
	return rd.find(player, slot)
}

// betOnly places a bet for the newest round and leaves its stake pending.
func (tb *table) betOnly(player string, slot int, amount, auto int64) game.Ref {
	tb.t.Helper()
	args := fmt.Sprintf(`{"slot":%d,"amount":%d}`, slot, amount)
	if auto != 0 {
		args = fmt.Sprintf(`{"slot":%d,"amount":%d,"auto":%d}`, slot, amount, auto)
	}
	return tb.command(player, "bet", tb.room.Round(), args)
}

// settle books everything that is queued.
func (tb *table) settle() {
	tb.t.Helper()
	for len(tb.queue) > 0 {
		b := tb.queue[0]
		tb.queue = tb.queue[1:]
		tb.result(wire.BookingResult{ID: b.ID, Booked: true, Player: b.Player, Balance: 5000, Version: 2})
	}
}

func (tb *table) result(res wire.BookingResult) {
	tb.t.Helper()
	tb.apply(fmt.Sprintf("result %s booked=%t %s", res.ID, res.Booked, res.Code), func(r *Room, fx *game.Effects) {
		r.Result(tb.at(), res, fx)
	})
}

func (tb *table) action(op, args string) (e *wire.Error) {
	tb.t.Helper()
	tb.apply("action "+op+" "+args, func(r *Room, fx *game.Effects) {
		e = r.Action(tb.at(), wire.Action{Op: op, Args: json.RawMessage(args)}, fx)
	})
	return e
}

func (tb *table) answersTo(ref game.Ref) (found []game.Answered) {
	for _, a := range tb.answers {
		if a.Ref == ref {
			found = append(found, a)
		}
	}
	return found
}

// code is the code of the one answer to a command; empty for a result.
func (tb *table) code(why string, ref game.Ref) wire.Code {
	tb.t.Helper()
	found := tb.answersTo(ref)
	if len(found) != 1 {
		tb.t.Fatalf("%s: %d answers", why, len(found))
	}
	if found[0].Error != nil {
		return found[0].Error.Code
	}
	return ""
}

func (tb *table) wantOK(why string, ref game.Ref) json.RawMessage {
	tb.t.Helper()
	if code := tb.code(why, ref); code != "" {
		tb.t.Fatalf("%s: refused with %s", why, code)
	}
	return tb.answersTo(ref)[0].Result
}

func (tb *table) wantCode(why string, ref game.Ref, code wire.Code) {
	tb.t.Helper()
	if got := tb.code(why, ref); got != code {
		tb.t.Fatalf("%s: answer %q, want %q", why, got, code)
	}
}

func (tb *table) wantPending(why string, ref game.Ref) {
	tb.t.Helper()
	if n := len(tb.answersTo(ref)); n != 0 {
		tb.t.Fatalf("%s: %d answers already", why, n)
	}
}

func (tb *table) wantPhase(why string, p phase) {
	tb.t.Helper()
	if tb.room.Phase != p {
		tb.t.Fatalf("%s: phase %s, want %s", why, tb.room.Phase, p)
	}
}

// wantWon checks a bet that was cashed out.
func (tb *table) wantWon(why string, b *bet, centi int64) {
	tb.t.Helper()
	b = tb.again(b)
	if b.State != betWon || b.Centi != centi || b.Payout*100 != b.Stake*centi {
		tb.t.Fatalf("%s: %s at %d for %d, want won at %d", why, b.State, b.Centi, b.Payout, centi)
	}
}

func (tb *table) wantState(why string, b *bet, s betState) {
	tb.t.Helper()
	if b = tb.again(b); b.State != s {
		tb.t.Fatalf("%s: the bet is %s, want %s", why, b.State, s)
	}
}

// again finds a bet as it is now.
func (tb *table) again(b *bet) *bet {
	for _, rd := range []*round{tb.room.Current, tb.room.Next} {
		for _, x := range rd.Bets {
			if x.ID == b.ID {
				return x
			}
		}
	}
	return b
}

// bookings lists the kinds of all bookings of a bet.
func (tb *table) bookings(b *bet) (kinds []wire.BookingKind) {
	for _, x := range tb.booked {
		if strings.HasSuffix(x.ID, b.ID) {
			kinds = append(kinds, x.Kind)
		}
	}
	return kinds
}

func (tb *table) wantBookings(why string, b *bet, want ...wire.BookingKind) {
	tb.t.Helper()
	if got := tb.bookings(b); !slices.Equal(got, want) {
		tb.t.Fatalf("%s: bookings %v, want %v", why, got, want)
	}
}

// hasEvent reports whether an event with all the given parts was told.
func (tb *table) hasEvent(parts ...string) bool {
	return slices.ContainsFunc(tb.events, func(e string) bool {
		for _, p := range parts {
			if !strings.Contains(e, p) {
				return false
			}
		}
		return true
	})
}
