package crash

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"tickcast/room/game"
)

// TestNothingOfTheCrashShowsBeforeIt collects everything that a room gives away
// during a flight with an unusual crash point and looks for the crash point, the
// time of the crash and the seed in it. The same search finds them afterwards.
func TestNothingOfTheCrashShowsBeforeIt(t *testing.T) {
	tb := newTable(t, crashingAt(40_000, 90_000, 100_000), `{"max_win":100000000}`)
	var given bytes.Buffer
	tb.after = func(string) {
		given.Write(game.Encode(tb.fx))
		given.Write(tb.room.Snapshot())
		given.Write(tb.room.View(tb.at()))
		given.Write(tb.room.You("alice"))
		given.Write(game.Encode(tb.room.Duties(1)))
		fmt.Fprint(&given, tb.room.State(), tb.room.Round(), tb.room.TickInterval(), tb.kind.chains)
	}
	tb.untilPhase(phaseBetting)
	tb.bet("alice", 0, 1000, 0)
	tb.bet("bob", 0, 1000, 150)
	tb.untilPhase(phaseFlying)
	point, seed, end := tb.room.flight.point, tb.room.flight.seed, tb.room.flight.ends
	searches := map[string]func([]byte) bool{
		"crash point": regexp.MustCompile(fmt.Sprintf(`\b(%d|%.2f)\b`, point, float64(point)/100)).Match,
		"crash time":  regexp.MustCompile(fmt.Sprintf(`\b(%d|%d|%d)\b`, end, end/1000, end/1_000_000)).Match,
		"seed":        func(b []byte) bool { return showsSeed(b, seed) },
	}
	for _, centi := range []int64{120, 200, 1000, 10_000, point - 1, point} {
		tb.reading(centi)
		tb.command("carol", "cashout", 1, `{"slot":0}`)
	}
	tb.until(end - 1)
	for what, found := range searches {
		if found(given.Bytes()) {
			t.Errorf("the %s was given away before the crash", what)
		}
	}
	tb.until(end)
	for what, found := range searches {
		if !found(given.Bytes()) {
			t.Errorf("the search does not find the %s after the crash", what)
		}
	}
}

// showsSeed looks for a seed in raw bytes, hex and base64.
func showsSeed(b []byte, seed Seed) bool {
	return bytes.Contains(b, seed[:]) ||
		bytes.Contains(bytes.ToLower(b), []byte(hex.EncodeToString(seed[:]))) ||
		bytes.Contains(b, []byte(base64.RawStdEncoding.EncodeToString(seed[:]))) ||
		bytes.Contains(b, []byte(base64.RawURLEncoding.EncodeToString(seed[:])))
}

// TestFramesDoNotDependOnTheCrash: two flights that differ in nothing but their
// crash points give the same bytes at the same times until the earlier crash.
func TestFramesDoNotDependOnTheCrash(t *testing.T) {
	flights := make([]string, 2)
	for i, point := range []int64{700, 50_000} {
		chains := crashingAt(point, point+300, 100_000)
		tb := newTable(t, chains, "")
		var out strings.Builder
		tb.after = func(name string) {
			fmt.Fprintf(&out, "%d %s %s\n", tb.now, name, game.Encode(tb.fx))
			fmt.Fprintf(&out, "%s\n", tb.room.Snapshot())
		}
		tb.untilPhase(phaseBetting)
		tb.bet("alice", 0, 1000, 0)
		tb.bet("bob", 0, 1000, 150)
		tb.reading(690)
		flights[i] = strings.ReplaceAll(out.String(), chains.salt, "SALT")
	}
	if flights[0] != flights[1] {
		t.Fatal(firstDifference(flights[0], flights[1]))
	}
}
