package chaos

import (
	"strings"
	"testing"
)

// trimmedLog is a log as it is seen when it is trimmed every 1,000 records, at each 250th.
func trimmedLog(looks int) *trimming {
	t := &trimming{}
	for i := range looks {
		last := uint64(250 * (i + 1))
		first := max(last/1000*1000, 1000) - 999
		t.saw(logState{first: first, last: last, records: last - first + 1, claimed: true})
	}
	return t
}

func TestTrimmed(t *testing.T) {
	const looks, last = 60, 15_000
	for _, c := range []struct {
		why     string
		falsify func(t *trimming, exported map[string]uint64)
		want    string // in the only example, "" for none
	}{
		{"all is well", func(*trimming, map[string]uint64) {}, ""},
		{"never trimmed", func(t *trimming, _ map[string]uint64) {
			*t = trimming{}
			for i := range looks {
				t.saw(logState{first: 1, last: last, records: uint64(i), claimed: true})
			}
		}, "P0 was trimmed 0 times in 60 looks"},
		{"trimmed too seldom", func(t *trimming, _ map[string]uint64) { *t = *trimmedLog(4 * leastTrims); t.newest.last = last }, "P0 was trimmed 9 times"},
		{"never seen", func(t *trimming, exported map[string]uint64) { *t = trimming{}; exported["P0"] = 0 }, "P0 was trimmed 0 times in 0 looks"},
		{"too long once", func(t *trimming, _ map[string]uint64) {
			was := t.newest
			t.saw(logState{first: was.first, last: last, records: mostRecords + 1, claimed: true})
			t.saw(was)
		}, "P0 had 4001 records"},
		{"without a claim once", func(t *trimming, _ map[string]uint64) {
			was := t.newest
			t.saw(logState{first: was.first, last: was.last, records: was.records})
			t.saw(was)
		}, "P0 had no claim at 1 of 62 looks"},
		{"trimmed records are nowhere", func(t *trimming, exported map[string]uint64) { exported["P0"] -= t.newest.first - 1 }, "P0 ends with record 15000, and the export has 1000 of it"},
	} {
		log, exported := trimmedLog(looks), map[string]uint64{"P0": last, "P1": last}
		c.falsify(log, exported)
		got := judgeTrimming([]trimming{*log, *trimmedLog(looks)}, exported)
		switch {
		case got.Passed != (c.want == ""):
			t.Errorf("%s: passed=%t: %+v", c.why, got.Passed, got.Examples)
		case c.want != "" && (len(got.Examples) != 1 || !strings.Contains(got.Examples[0].Detail, c.want)):
			t.Errorf("%s: %+v, want one that says %q", c.why, got.Examples, c.want)
		}
	}
}
