package judge

import (
	"encoding/json"
	"os"
	"testing"

	servers "tickcast/room/crash"
	"tickcast/room/game"
)

// TestTwoCurves compares the judge's big integers with the servers' fixed point.
func TestTwoCurves(t *testing.T) {
	var mine curve
	var theirs servers.Curve
	for k := int64(firstCenti); k <= lastCenti; k += 1 + k/300 {
		at := int64(theirs.At(k))
		if got := mine.time(k); got != at {
			t.Fatalf("T(%d) = %d, the servers have %d", k, got, at)
		}
		for _, elapsed := range []int64{at - 1, at, at + 1} {
			if got, want := mine.reads(elapsed), theirs.Centi(game.Time(elapsed)); got != want {
				t.Fatalf("at %d ns the curve reads %d, the servers read %d", elapsed, got, want)
			}
		}
	}
	if got := mine.reads(1 << 60); got != lastCenti {
		t.Errorf("in the end the curve reads %d", got)
	}
}

// TestPublishedTimes are those of the game's documentation, to the nanosecond where it
// has them.
func TestPublishedTimes(t *testing.T) {
	var c curve
	for _, v := range []struct{ k, ms int64 }{{101, 165}, {150, 6757}, {200, 11552}, {500, 26823}, {1000, 38376}, {10_000, 76752}, {100_000, 115_129}} {
		if got := c.time(v.k) / 1e6; got != v.ms {
			t.Errorf("T(%d) is %d ms, want %d", v.k, got, v.ms)
		}
	}
}

// published are results that others have published, and a chain.
type published map[string]json.RawMessage

type vectors struct {
	Salt  string `json:"salt"`
	Cases []struct {
		Game    int    `json:"game"`
		Hash    string `json:"hash"`
		Centi   int64  `json:"centi"`
		RTP9900 int64  `json:"rtp9900"`
	} `json:"cases"`
}

// TestPublishedCrashPoints checks them at a return of 99 %.
func TestPublishedCrashPoints(t *testing.T) {
	text, err := os.ReadFile("../../room/crash/testdata/crash.json")
	if err != nil {
		t.Fatal(err)
	}
	var all published
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"v2_ascii_chain", "v2_bytes_chain", "own_chain"} {
		var v vectors
		if err := json.Unmarshal(all[name], &v); err != nil || len(v.Cases) < 3 {
			t.Fatalf("%s: %d cases, %v", name, len(v.Cases), err)
		}
		for _, c := range v.Cases {
			s, ok := parseSeed(c.Hash)
			if want := max(c.Centi, c.RTP9900); !ok || crashPoint(s, v.Salt, 9900, lastCenti-1) != want {
				t.Errorf("%s, game %d: %d, want %d", name, c.Game, crashPoint(s, v.Salt, 9900, lastCenti-1), want)
			}
		}
	}
}

// FuzzRecords: no record makes the judge panic.
func FuzzRecords(f *testing.F) {
	f.Add("evt.0", []byte(`{"e":1,"k":"reveal","r":"x","d":{"round":1}}`))
	f.Add("adm.0.x", []byte(`{"id":"a","op":"create","args":{"uuid":"0190a000-0000-7000-8000-000000000001","game":"crash"}}`))
	f.Add("res.0", []byte(`{"id":"audit/a","booked":true}`))
	f.Add("cmd.0._", []byte("\x01\x00\x00\x01a\x00\x01g\x01k\x06refill\x00"))
	f.Fuzz(func(t *testing.T, subject string, data []byte) {
		l := New(Config{Accounts: NewAccounts(100_000)})
		for i, r := range []Record{
			{Subject: "own.0", Data: []byte(`{"node":"n"}`)},
			{Subject: "adm.0.x", Data: []byte(`{"id":"b","op":"create","args":{"uuid":"0190a000-0000-7000-8000-000000000002","game":"crash"}}`)},
			{Subject: subject, Data: data},
			{Subject: subject, Data: data},
		} {
			r.Seq, r.Time = uint64(i+1), int64(i+1)*1e8
			if l.Feed(r) != nil {
				return
			}
		}
		_ = l.Close() // differences are welcome
	})
}
