package cashier

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"tickcast/room/game"
	"tickcast/wire"
)

const now = 1_700_000_000_000 // Unix ms

// desk drives a cashier.
type desk struct {
	t    testing.TB
	room game.Room
	fx   game.Effects
}

func newDesk(t testing.TB) *desk {
	t.Helper()
	d := &desk{t: t}
	room, refusal := Kind{}.New(game.At{}, game.Config{ID: wire.CashierRoom, Partition: 5}, &d.fx)
	if refusal != nil {
		t.Fatal(refusal)
	}
	d.room = room
	return d
}

func (d *desk) command(player, key, op string) {
	d.room.Command(game.At{Wall: now}, game.Command{
		Command: wire.Command{Player: player, Name: "the " + player, Guest: true, Gateway: "g", Key: key, Op: op},
		Ref:     game.Ref{Player: player, Key: key},
	}, &d.fx)
}

func (d *desk) action(id, op, args string, at int64) wire.Code {
	a := wire.Action{ID: id, Operator: "ops", Op: op, At: at, Args: json.RawMessage(args)}
	if refusal := d.room.Action(game.At{Wall: now}, a, &d.fx); refusal != nil {
		return refusal.Code
	}
	return ""
}

func (d *desk) result(r wire.BookingResult) {
	d.room.Result(game.At{Wall: now}, r, &d.fx)
}

func (d *desk) wantAnswers(why string, want ...string) {
	d.t.Helper()
	var got []string
	for _, a := range d.fx.Answers {
		text := string(a.Result)
		if a.Error != nil {
			text = string(a.Error.Code)
		}
		got = append(got, a.Ref.Player+" "+a.Ref.Key+" "+text)
	}
	d.fx.Answers = nil
	if !reflect.DeepEqual(got, want) {
		d.t.Fatalf("%s: answers %q, want %q", why, got, want)
	}
}

// P4.10: the answer comes with the booking's result.
func TestRefill(t *testing.T) {
	d := newDesk(t)
	d.command("ann", "k1", "refill")
	d.wantAnswers("before the result")
	if len(d.fx.Bookings) != 1 {
		t.Fatalf("bookings: %+v", d.fx.Bookings)
	}
	b := d.fx.Bookings[0]
	want := wire.Booking{
		ID: b.ID, Kind: wire.BookRefill, Partition: 5, Room: "_", At: now,
		Player: "ann", Name: "the ann", Guest: true, Amount: 100_000,
	}
	if !reflect.DeepEqual(b, want) || !strings.HasPrefix(b.ID, "refill/") {
		t.Errorf("booking %+v, want %+v", b, want)
	}
	d.result(wire.BookingResult{ID: "refill/other", Booked: true})
	d.wantAnswers("another's result")
	d.result(wire.BookingResult{ID: b.ID, Booked: true, Player: "ann", Balance: 100_050, Version: 9})
	d.wantAnswers("booked", `ann k1 {"amount":100000,"balance":100050,"version":9}`)
	d.result(wire.BookingResult{ID: b.ID, Booked: true, Player: "ann", Balance: 100_050, Version: 9})
	d.wantAnswers("the same result again")
}

func TestRefillRefused(t *testing.T) {
	d := newDesk(t)
	d.command("ann", "k1", "refill")
	d.result(wire.BookingResult{ID: d.fx.Bookings[0].ID, Code: wire.CodeBalanceNotZero})
	d.wantAnswers("refused", "ann k1 balance_not_zero")
}

// Who asks again before the ledger answered waits for the same refill.
func TestRefillsOfOnePlayerAreOne(t *testing.T) {
	d := newDesk(t)
	var want []string
	for i := range maxWaiting {
		key := fmt.Sprint("k", i)
		d.command("ann", key, "refill")
		want = append(want, "ann "+key+` {"amount":100000,"balance":100000,"version":2}`)
	}
	d.command("ann", "more", "refill")
	d.wantAnswers("one too many", "ann more too_many_commands")
	if len(d.fx.Bookings) != 1 {
		t.Fatalf("%d bookings", len(d.fx.Bookings))
	}
	d.result(wire.BookingResult{ID: d.fx.Bookings[0].ID, Booked: true, Balance: 100_000, Version: 2})
	d.wantAnswers("booked", want...)
	d.command("ann", "k0", "refill")
	if b := d.fx.Bookings; len(b) != 2 || b[1].ID != b[0].ID {
		t.Errorf("the same command later is another booking: %+v", b)
	}
	d.command("bob", "k0", "refill")
	if b := d.fx.Bookings; len(b) != 3 || b[2].ID == b[0].ID {
		t.Errorf("the same key of another player is the same booking: %+v", b)
	}
}

func TestUnknownOperation(t *testing.T) {
	d := newDesk(t)
	d.command("ann", "k", "bet")
	d.wantAnswers("bet", "ann k unknown_op")
	if code := d.action("a", wire.ActionPause, "", now); code != wire.CodeUnknownOp {
		t.Errorf("pause: %q", code)
	}
}

func TestCredit(t *testing.T) {
	d := newDesk(t)
	if code := d.action("a1", wire.ActionCredit, `{"player":"ann","amount":101,"reason":"sorry"}`, now); code != "" {
		t.Fatal(code)
	}
	want := wire.Booking{
		ID: "credit/a1", Kind: wire.BookCredit, Partition: 5, Room: "_", At: now,
		Player: "ann", Amount: 101, Operator: "ops", Reason: "sorry",
	}
	if b := d.fx.Bookings; len(b) != 1 || !reflect.DeepEqual(b[0], want) {
		t.Errorf("bookings %+v, want %+v", b, want)
	}
	before := string(d.room.Snapshot())
	d.result(wire.BookingResult{ID: "credit/a1", Booked: true, Player: "ann"})
	if after := string(d.room.Snapshot()); after != before {
		t.Errorf("its result changed the room: %s", after)
	}
}

func TestBadActions(t *testing.T) {
	for _, c := range []struct {
		op, args string
		want     wire.Code
	}{
		{wire.ActionCredit, ``, wire.CodeBadArgs},
		{wire.ActionCredit, `null`, wire.CodeBadArgs},
		{wire.ActionCredit, `{"amount":100}`, wire.CodeBadArgs},
		{wire.ActionCredit, `{"player":"a b","amount":100}`, wire.CodeBadArgs},
		{wire.ActionCredit, `{"player":"ann"}`, wire.CodeBadAmount},
		{wire.ActionCredit, `{"player":"ann","amount":99}`, wire.CodeBadAmount},
		{wire.ActionCredit, `{"player":"ann","amount":-100}`, wire.CodeBadAmount},
		{wire.ActionCredit, `{"player":"ann","amount":1000000000001}`, wire.CodeBadAmount},
		{wire.ActionCredit, `{"player":"ann","amount":100.5}`, wire.CodeBadArgs},
		{wire.ActionCredit, `{"player":"ann","amount":1e3}`, wire.CodeBadArgs},
		{wire.ActionCredit, `{"player":"ann","amount":"100"}`, wire.CodeBadArgs},
		{wire.ActionCredit, `{"player":"ann","amount":100,"reason":"a\u0000b"}`, wire.CodeBadArgs},
		{wire.ActionMute, `{"player":"","until":1}`, wire.CodeBadArgs},
		{wire.ActionMute, `{"player":"ann","until":-1}`, wire.CodeBadArgs},
		{wire.ActionKick, `{"player":"ann","until":253402300800000}`, wire.CodeBadArgs},
	} {
		d := newDesk(t)
		before := string(d.room.Snapshot())
		if code := d.action("a", c.op, c.args, now); code != c.want {
			t.Errorf("%s %s: %q, want %q", c.op, c.args, code, c.want)
		}
		if string(d.room.Snapshot()) != before || len(d.fx.Bookings)+len(d.fx.Sanctions) > 0 {
			t.Errorf("%s %s: refused with an effect", c.op, c.args)
		}
	}
}

func TestSanctionsAreToldWhole(t *testing.T) {
	d := newDesk(t)
	for _, c := range []struct {
		why, op, args string
		at            int64
		want          wire.Sanction
	}{
		{"mute", wire.ActionMute, `{"player":"ann","until":2000}`, 1000, wire.Sanction{Player: "ann", MutedUntil: 2000}},
		{"kick as well", wire.ActionKick, `{"player":"ann","until":9000}`, 1000, wire.Sanction{Player: "ann", MutedUntil: 2000, KickedUntil: 9000}},
		{"another", wire.ActionMute, `{"player":"bob","until":5000}`, 1500, wire.Sanction{Player: "bob", MutedUntil: 5000}},
		{"longer, after the mute", wire.ActionKick, `{"player":"ann","until":9500}`, 2000, wire.Sanction{Player: "ann", KickedUntil: 9500}},
		{"lifted by 0", wire.ActionKick, `{"player":"ann"}`, 2000, wire.Sanction{Player: "ann"}},
		{"lifted by the past", wire.ActionMute, `{"player":"bob","until":1}`, 2000, wire.Sanction{Player: "bob"}},
	} {
		d.fx.Reset()
		if code := d.action("a", c.op, c.args, c.at); code != "" {
			t.Fatalf("%s: %s", c.why, code)
		}
		if s := d.fx.Sanctions; len(s) != 1 || s[0] != c.want {
			t.Errorf("%s: %+v, want %+v", c.why, s, c.want)
		}
	}
	if got := string(d.room.Snapshot()); !strings.Contains(got, `"sanctions":[]`) {
		t.Errorf("ended sanctions are kept: %s", got)
	}
}

func TestNeedsNoClock(t *testing.T) {
	d := newDesk(t)
	d.command("ann", "k", "refill")
	if d.room.Due() != game.Never || d.room.TickInterval() != 0 || d.room.Round() != 0 || d.room.Duties(1) != nil {
		t.Error("a cashier has a timer, a tick, a round or a duty")
	}
	if err := d.room.Fact(game.At{}, "open", nil, &d.fx); err == nil {
		t.Error("a fact is accepted")
	}
	if v := string(d.room.View(game.At{})); v != `{"game":"cashier"}` || d.room.You("ann") != nil {
		t.Errorf("view %s", v)
	}
}

// A cashier that is restored from a snapshot at any point goes on like the one
// that never was.
func TestRestoreContinues(tt *testing.T) {
	rapid.Check(tt, func(t *rapid.T) {
		whole, torn := newDesk(tt), newDesk(tt)
		var booked []string
		for i := range rapid.IntRange(1, 40).Draw(t, "steps") {
			player := fmt.Sprint("p", rapid.IntRange(0, 4).Draw(t, "player"))
			kind := rapid.SampledFrom([]string{"refill", "result", "mute", "kick", "credit"}).Draw(t, "kind")
			n := rapid.IntRange(0, 100).Draw(t, "n")
			for _, d := range []*desk{whole, torn} {
				d.fx = game.Effects{}
				switch kind {
				case "refill":
					d.command(player, fmt.Sprint("k", n%7), "refill")
				case "result":
					if len(booked) > 0 {
						d.result(wire.BookingResult{ID: booked[n%len(booked)], Booked: n%2 == 0, Code: wire.CodeBalanceNotZero})
					}
				default:
					d.action(fmt.Sprint("a", i), kind, fmt.Sprintf(`{"player":%q,"until":%d,"amount":%d}`, player, n, n*2), int64(i))
				}
			}
			for _, b := range whole.fx.Bookings {
				booked = append(booked, b.ID)
			}
			if !reflect.DeepEqual(whole.fx, torn.fx) {
				t.Fatalf("effects %+v, want %+v", torn.fx, whole.fx)
			}
			if string(whole.room.Snapshot()) != string(torn.room.Snapshot()) {
				t.Fatalf("snapshots differ:\n%s\n%s", whole.room.Snapshot(), torn.room.Snapshot())
			}
			if rapid.Bool().Draw(t, "tear") {
				room, err := Kind{}.Restore(torn.room.Snapshot())
				if err != nil {
					t.Fatal(err)
				}
				torn.room = room
			}
		}
	})
}

func FuzzRestore(f *testing.F) {
	d := newDesk(f)
	f.Add(d.room.Snapshot())
	d.command("ann", "k", "refill")
	d.action("a", wire.ActionMute, `{"player":"bob","until":2000}`, 1000)
	f.Add(d.room.Snapshot())
	f.Add([]byte(`{"refills":[null]}`))
	f.Fuzz(func(t *testing.T, snapshot []byte) {
		room, err := Kind{}.Restore(snapshot)
		if err == nil && string(room.Snapshot()) != string(snapshot) {
			t.Errorf("restored %q, snapshot %q", snapshot, room.Snapshot())
		}
	})
}

func FuzzPlayerArgs(f *testing.F) {
	f.Add([]byte(`{"player":"ann","amount":100,"until":5,"reason":"x"}`))
	f.Add([]byte(`{"player":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		args, refusal := parsePlayerArgs(b)
		if refusal == nil && !wire.ValidPlayer(args.Player) {
			t.Errorf("%q: accepted %+v", b, args)
		}
	})
}
