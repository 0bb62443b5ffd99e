package race

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"tickcast/room/game"
	"tickcast/wire"
)

const short = `{"gathering_ms":1000,"running_ms":2000,"finished_ms":500,"max_taps_per_s":10}`

// running is a room whose first race began at its current game time.
func running(t testing.TB, settings string) *fold {
	t.Helper()
	f := newFold(t, settings)
	f.open()
	f.advance(f.room.Due())
	f.wantPhase("after gathering", phaseRunning)
	return f
}

func TestPhasesFollowTheClock(t *testing.T) {
	f := newFold(t, short)
	if f.room.Due() != game.Never || f.room.TickInterval() != 0 {
		t.Fatalf("an idle room is due at %d and ticks every %d", f.room.Due(), f.room.TickInterval())
	}
	f.advance(50 * ms)
	f.open()
	for _, step := range []struct {
		at    game.Time
		phase string
	}{
		{50 * ms, phaseGathering},
		{1050*ms - 1, phaseGathering},
		{1050 * ms, phaseRunning},
		{3050*ms - 1, phaseRunning},
		{3050 * ms, phaseFinished},
		{9000 * ms, phaseFinished}, // until the owner opens the next round
	} {
		f.advance(step.at)
		f.wantPhase(fmt.Sprint("at ", step.at), step.phase)
		if f.room.TickInterval() != 100*ms {
			t.Errorf("in %s the room ticks every %d", step.phase, f.room.TickInterval())
		}
	}
	f.open()
	f.wantPhase("after the second fact", phaseGathering)
	if v := f.view(); v.Round != 2 || v.Start != (9000*ms).Micros() || *v.End != (10_000*ms).Micros() {
		t.Errorf("second round: %+v", v)
	}
}

func TestFactThatIsNotOwedHasNoEffect(t *testing.T) {
	f := newFold(t, short)
	f.open()
	before := string(f.room.Snapshot())
	for _, data := range []string{`{"round":1,"rules":1}`, `{"round":2,"rules":1}`, `{"round":2,"rules":9}`} {
		f.fact(factOpen, data)
	}
	if after := string(f.room.Snapshot()); after != before {
		t.Errorf("the room changed:\n%s\n%s", before, after)
	}
}

func TestFalseFactsHalt(t *testing.T) {
	for _, c := range []struct{ why, kind, data string }{
		{"unknown kind", "salt", `{}`},
		{"unknown rules", factOpen, `{"round":1,"rules":2}`},
		{"no JSON", factOpen, `{"round":`},
	} {
		f := newFold(t, short)
		if err := f.room.Fact(f.at(0), c.kind, []byte(c.data), &f.fx); err == nil {
			t.Errorf("%s: no error", c.why)
		}
	}
}

// P8.3: repeated and overtaken taps do no harm.
func TestTapKeepsTheHighest(t *testing.T) {
	f := running(t, short)
	for _, c := range []struct{ n, want int64 }{{3, 3}, {3, 3}, {7, 7}, {5, 7}, {8, 8}} {
		if got, code := f.tap("ann", c.n); got != c.want || code != "" {
			t.Errorf("tap %d: points %d %s, want %d", c.n, got, code, c.want)
		}
	}
	if got, want := string(f.room.You("ann")), `{"points":8,"round":1}`; got != want {
		t.Errorf("you: %s, want %s", got, want)
	}
	if you := f.room.You("bob"); you != nil {
		t.Errorf("you of somebody who did not tap: %s", you)
	}
}

// P8.3: at most max_taps_per_s for each second begun.
func TestTapTooFast(t *testing.T) {
	f := running(t, short)
	start := f.now
	for _, c := range []struct {
		after game.Time
		n     int64
		want  wire.Code
	}{
		{0, 10, ""},
		{0, 11, wire.CodeTooFast},
		{1000*ms - 1, 11, wire.CodeTooFast},
		{1000 * ms, 20, ""},
		{1000 * ms, 21, wire.CodeTooFast},
	} {
		f.advance(start + c.after)
		if _, code := f.tap("ann", c.n); code != c.want {
			t.Errorf("%d taps after %d: %q, want %q", c.n, c.after, code, c.want)
		}
	}
	if v := f.view(); v.Top[0].Points != 20 {
		t.Errorf("points %d, want those of the last allowed tap", v.Top[0].Points)
	}
}

func TestRefusals(t *testing.T) {
	f := running(t, short)
	for _, c := range []struct {
		op    string
		round uint64
		args  string
		want  wire.Code
	}{
		{"bet", 1, `{"n":1}`, wire.CodeUnknownOp},
		{"tap", 0, `{"n":1}`, wire.CodeWrongRound},
		{"tap", 2, `{"n":1}`, wire.CodeWrongRound},
		{"tap", 1, ``, wire.CodeBadArgs},
		{"tap", 1, `null`, wire.CodeBadArgs},
		{"tap", 1, `7`, wire.CodeBadArgs},
		{"tap", 1, `[7]`, wire.CodeBadArgs},
		{"tap", 1, `{}`, wire.CodeBadArgs},
		{"tap", 1, `{"n":null}`, wire.CodeBadArgs},
		{"tap", 1, `{"n":"7"}`, wire.CodeBadArgs},
		{"tap", 1, `{"n":0}`, wire.CodeBadArgs},
		{"tap", 1, `{"n":-1}`, wire.CodeBadArgs},
		{"tap", 1, `{"n":1.5}`, wire.CodeBadArgs},
		{"tap", 1, `{"n":1e1}`, wire.CodeBadArgs},
		{"tap", 1, `{"n":1e308}`, wire.CodeBadArgs},
		{"tap", 1, `{"n":9223372036854775808}`, wire.CodeBadArgs},
		{"tap", 1, `{"n":100001}`, wire.CodeBadArgs},
		{"tap", 1, `{"n":7} {"n":8}`, wire.CodeBadArgs},
	} {
		before := string(f.room.Snapshot())
		a := f.command("ann", c.op, c.round, c.args)
		if a.Error == nil || a.Error.Code != c.want {
			t.Errorf("%s %s for round %d: %v, want %s", c.op, c.args, c.round, a.Error, c.want)
		}
		if after := string(f.room.Snapshot()); after != before {
			t.Errorf("%s %s changed the room", c.op, c.args)
		}
	}
}

func TestTapsCountOnlyWhileRunning(t *testing.T) {
	f := newFold(t, short)
	if _, code := f.tap("ann", 1); code != wire.CodeWrongPhase {
		t.Errorf("idle: %q", code)
	}
	f.open()
	f.advance(1000*ms - 1)
	if _, code := f.tap("ann", 1); code != wire.CodeWrongPhase {
		t.Errorf("gathering: %q", code)
	}
	f.advance(3000*ms - 1)
	if _, code := f.tap("ann", 1); code != "" {
		t.Errorf("the last nanosecond of the race: %q", code)
	}
	f.advance(3000 * ms)
	if _, code := f.tap("ann", 2); code != wire.CodeWrongPhase {
		t.Errorf("finished: %q", code)
	}
}

// P8.2: scores go out at multiples of 200 ms of game time, when there is news.
func TestScoresAtFiveHertz(t *testing.T) {
	f := running(t, `{"gathering_ms":1050,"running_ms":2000}`)
	f.events()
	if f.room.Due() != 3050*ms {
		t.Fatalf("without news the room is due at %d", f.room.Due())
	}
	f.advance(1110 * ms)
	f.tap("ann", 1)
	f.tap("bob", 2)
	f.advance(1199 * ms)
	if e := f.events(); len(e) != 0 {
		t.Fatalf("events before 1200 ms: %s", e)
	}
	f.advance(1200 * ms)
	want := `{"e":"scores","players":2,"top":[{"player":"bob","name":"the bob","points":2},{"player":"ann","name":"the ann","points":1}]}`
	if e := f.events(); len(e) != 1 || e[0] != want {
		t.Fatalf("events at 1200 ms: %s, want %s", e, want)
	}
	f.tap("ann", 1) // nothing new
	f.advance(2000 * ms)
	if e := f.events(); len(e) != 0 {
		t.Fatalf("events without news: %s", e)
	}
	f.tap("ann", 3)
	if f.room.Due() != 2200*ms {
		t.Errorf("news at a multiple are due at %d, want the next multiple", f.room.Due())
	}
}

// A tap below the top ten that adds no player is no news.
func TestNoNewsBelowTheTop(t *testing.T) {
	f := running(t, short)
	for i := range topRacers {
		f.tap(fmt.Sprint("fast", i), 9)
	}
	f.tap("slow", 1)
	f.advance(1200 * ms)
	f.events()
	f.tap("slow", 2)
	if due := f.room.Due(); due != 3000*ms {
		t.Errorf("due at %d, want the end of the race", due)
	}
	f.tap("slow", 10)
	if v := f.view(); v.Top[0].Player != "slow" || len(v.Top) != topRacers || v.Players != topRacers+1 {
		t.Errorf("top: %v", v.Top)
	}
}

func TestEqualPointsRankByWhoReachedThemFirst(t *testing.T) {
	f := running(t, short)
	f.tap("ann", 2)
	f.tap("bob", 5)
	f.tap("ann", 5)
	if top := f.view().Top; top[0].Player != "bob" || top[1].Player != "ann" {
		t.Errorf("top: %v", top)
	}
}

func TestResultIsBooked(t *testing.T) {
	f := running(t, `{"gathering_ms":100,"running_ms":100,"finished_ms":100,"max_taps_per_s":1000}`)
	players := 2*wire.MaxScores + 500
	for i := range players {
		f.tap(fmt.Sprint("p", i), int64(i%1000)+1)
	}
	f.advance(f.room.Due())
	f.wantPhase("at the end", phaseFinished)
	b := f.fx.Bookings
	if len(b) != 4 {
		t.Fatalf("%d bookings, want the round and three chunks of scores", len(b))
	}
	uuid := f.view().UUID
	round := b[0]
	if round.ID != "round/"+uuid+"/1" || round.Kind != wire.BookRound || round.Partition != 3 || round.Room != "track" {
		t.Errorf("round: %+v", round)
	}
	var o outcome
	if err := json.Unmarshal(round.Round.Outcome, &o); err != nil || o.Players != players || len(o.Top) != topRacers {
		t.Errorf("outcome: %s (%v)", round.Round.Outcome, err)
	}
	if round.Round.Voided || round.Round.Ended-round.Round.Started != 200 {
		t.Errorf("record: %+v", round.Round)
	}
	var all []wire.Score
	for i, chunk := range b[1:] {
		if chunk.ID != fmt.Sprintf("scores/%s/1/%d", uuid, i) || chunk.Kind != wire.BookScores || len(chunk.Scores) > wire.MaxScores {
			t.Errorf("chunk %d: %s %s of %d scores", i, chunk.ID, chunk.Kind, len(chunk.Scores))
		}
		all = append(all, chunk.Scores...)
	}
	if len(all) != players || !slices.IsSortedFunc(all, func(a, b wire.Score) int { return int(b.Points - a.Points) }) {
		t.Errorf("%d scores, want %d, the best first", len(all), players)
	}
	if *o.Winner != all[0] || o.Winner.Points != 1000 {
		t.Errorf("winner %v, best score %v", o.Winner, all[0])
	}
}

func TestEmptyRoundIsBookedWithoutScores(t *testing.T) {
	f := running(t, short)
	f.advance(f.room.Due())
	if b := f.fx.Bookings; len(b) != 1 || string(b[0].Round.Outcome) != `{"players":0,"winner":null,"top":[]}` {
		t.Errorf("bookings: %+v", b)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	f := newFold(t, `{"gathering_ms":100,"running_ms":100,"finished_ms":100}`)
	for range keptHistory + 5 {
		f.open()
		f.advance(f.room.Due())
		f.tap("ann", 1)
		f.advance(f.room.Due())
		f.advance(f.room.Due())
	}
	h := f.view().History
	if len(h) != keptHistory || h[0].Round != keptHistory+5 || h[0].Winner.Player != "ann" || h[0].Players != 1 {
		t.Errorf("%d past rounds, the newest %+v", len(h), h[0])
	}
}

// A name that is not UTF-8 must not read differently after a snapshot.
func TestNamesAreText(t *testing.T) {
	f := running(t, short)
	f.room.Command(f.at(f.now), game.Command{Command: wire.Command{
		Player: "ann", Name: "a\xffb", Op: opTap, Round: 1, Args: []byte(`{"n":1}`),
	}}, &f.fx)
	restored, err := Kind{}.Restore(f.room.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	before, after := string(f.room.View(f.at(f.now))), string(restored.View(f.at(f.now)))
	if before != after || !strings.Contains(before, "a\uFFFDb") {
		t.Errorf("view before and after:\n%s\n%s", before, after)
	}
}

func TestKeyless(t *testing.T) {
	k, ok := newFold(t, "").room.(game.Keyless)
	if !ok || !k.Keyless("tap") || k.Keyless("other") {
		t.Error("only taps are keyless")
	}
}
