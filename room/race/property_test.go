package race

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"tickcast/room/game"
	"tickcast/wire"
)

// step is one input, so that the same inputs can be given to several rooms.
type step struct {
	kind   string
	pass   game.Time
	player string
	round  uint64
	n      int64
	args   string
}

func drawStep(t *rapid.T) step {
	return step{
		kind:   rapid.SampledFrom([]string{"tap", "tap", "tap", "tap", "open", "open", "pause", "resume", "void", "set"}).Draw(t, "kind"),
		pass:   game.Time(rapid.SampledFrom([]int64{0, 0, 1, 17, 99, 200, 450}).Draw(t, "ms")) * ms,
		player: fmt.Sprint("p", rapid.IntRange(0, 30).Draw(t, "player")),
		round:  rapid.Uint64Range(0, 1).Draw(t, "back"),
		n:      rapid.Int64Range(0, 40).Draw(t, "n"),
		args:   rapid.SampledFrom([]string{`{"running_ms":700}`, `{"max_taps_per_s":30}`, `{"tick_ms":1}`}).Draw(t, "settings"),
	}
}

func (f *fold) step(s step) {
	f.advance(f.now + s.pass)
	switch s.kind {
	case "tap":
		f.command(s.player, opTap, f.room.Round()-min(s.round, f.room.Round()), fmt.Sprintf(`{"n":%d}`, s.n))
	case "open":
		for _, d := range f.room.Duties(1) {
			f.fact(d.Kind, string(d.Data))
		}
	default:
		f.action(s.kind, s.args)
	}
}

func drawFold(t *rapid.T, tt *testing.T) *fold {
	return newFold(tt, fmt.Sprintf(`{"gathering_ms":100,"running_ms":%d,"finished_ms":100,"max_taps_per_s":20}`,
		rapid.IntRange(100, 3000).Draw(t, "running_ms")))
}

// A room that is restored from a snapshot at any point goes on like the one that
// never was.
func TestRestoreContinues(tt *testing.T) {
	rapid.Check(tt, func(t *rapid.T) {
		whole := drawFold(t, tt)
		torn := *whole
		room, err := Kind{}.Restore(whole.room.Snapshot())
		if err != nil {
			t.Fatal(err)
		}
		torn.room = room
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			s := drawStep(t)
			frozen, before := whole.room.(game.Freezing).Freeze(), string(whole.room.Snapshot())
			whole.step(s)
			torn.step(s)
			if after := string(frozen()); after != before {
				t.Fatalf("frozen before %+v, then changed: %s, want %s", s, after, before)
			}
			if rapid.Bool().Draw(t, "tear") {
				if torn.room, err = (Kind{}).Restore(torn.room.Snapshot()); err != nil {
					t.Fatal(err)
				}
			}
			same(t, s, whole, &torn)
			whole.fx.Reset()
			torn.fx.Reset()
		}
	})
}

func same(t *rapid.T, s step, whole, torn *fold) {
	t.Helper()
	for _, c := range []struct {
		what       string
		want, have any
	}{
		{"events", whole.fx.Events, torn.fx.Events},
		{"answers", whole.fx.Answers, torn.fx.Answers},
		{"bookings", whole.fx.Bookings, torn.fx.Bookings},
		{"due", whole.room.Due(), torn.room.Due()},
		{"duties", whole.room.Duties(1), torn.room.Duties(1)},
		{"state", whole.room.State(), torn.room.State()},
		{"view", string(whole.room.View(whole.at(whole.now))), string(torn.room.View(torn.at(torn.now)))},
		{"you", string(whole.room.You(s.player)), string(torn.room.You(s.player))},
		{"snapshot", string(whole.room.Snapshot()), string(torn.room.Snapshot())},
	} {
		if len(fmt.Sprint(c.want)) == len(fmt.Sprint(c.have)) && reflect.DeepEqual(c.want, c.have) {
			continue
		}
		if fmt.Sprint(c.want) == "[]" && fmt.Sprint(c.have) == "[]" {
			continue // nil and empty are the same effects
		}
		t.Fatalf("after %+v: %s of the restored room: %v, want %v", s, c.what, c.have, c.want)
	}
}

// The ranking that is kept up to date agrees with one that is sorted afresh.
func TestTopAgreesWithSorting(tt *testing.T) {
	rapid.Check(tt, func(t *rapid.T) {
		b := newBoard(nil)
		type best struct {
			wire.Score
			reached int
		}
		model := map[string]best{}
		for i := range rapid.IntRange(1, 200).Draw(t, "taps") {
			player := fmt.Sprint("p", rapid.IntRange(0, 25).Draw(t, "player"))
			n := rapid.Int64Range(1, 15).Draw(t, "n")
			if n > model[player].Points {
				model[player] = best{wire.Score{Player: player, Name: player, Points: n}, i}
			}
			before, count := b.best(), len(b.racers)
			points, changed := b.tap(player, player, n)
			if points != model[player].Points {
				t.Fatalf("points of %s: %d, want %d", player, points, model[player].Points)
			}
			if news := !slices.Equal(before, b.best()) || count != len(b.racers); news != changed {
				t.Fatalf("news: %v, told %v", news, changed)
			}
			var sorted []best
			for _, s := range model {
				sorted = append(sorted, s)
			}
			slices.SortFunc(sorted, func(a, b best) int {
				return cmp.Or(cmp.Compare(b.Points, a.Points), cmp.Compare(a.reached, b.reached))
			})
			var want []wire.Score
			for _, s := range sorted[:min(len(sorted), topRacers)] {
				want = append(want, s.Score)
			}
			if !slices.Equal(want, b.best()) {
				t.Fatalf("top %v, want %v", b.best(), want)
			}
		}
	})
}

// Restore refuses what no Snapshot made and never panics.
func TestRestoreRefuses(t *testing.T) {
	f := running(t, short)
	f.tap("ann", 3)
	f.tap("bob", 4)
	good := string(f.room.Snapshot())
	for why, bad := range map[string]string{
		"empty":             ``,
		"null":              `null`,
		"nothing":           `{}`,
		"space":             good + " ",
		"unknown field":     `{"x":1,` + good[1:],
		"phase":             replaceOnce(good, `"running"`, `"walking"`),
		"twice":             replaceOnce(good, `"player":"bob"`, `"player":"ann"`),
		"points":            replaceOnce(good, `"points":4`, `"points":0`),
		"reached":           replaceOnce(good, `"reached":2`, `"reached":1`),
		"settings":          replaceOnce(good, `"running_ms":2000`, `"running_ms":2`),
		"no end of a phase": replaceOnce(good, `"end":`, `"end":-`),
	} {
		if bad == good {
			t.Errorf("%s: the case changes nothing", why)
		}
		if _, err := (Kind{}).Restore([]byte(bad)); err == nil {
			t.Errorf("%s: restored", why)
		}
	}
}
