package crash

import (
	"encoding/json"
	"testing"
)

func TestValueEnd(t *testing.T) {
	tests := []struct{ name, value string }{
		{"number", `-12.5e3`},
		{"word", `true`},
		{"text", `"a\"b,}]\\"`},
		{"empty text", `""`},
		{"list", `[1,[2,"]"],{"a":"}"}]`},
		{"object", `{"a":{"b":[1]},"c":"{"}`},
		{"empty object", `{}`},
	}
	for _, tt := range tests {
		for _, behind := range []string{"", " ", "}", ",", "\n,"} {
			if got := valueEnd([]byte(tt.value + behind)); got != len(tt.value) {
				t.Errorf("%s before %q: ends at %d, want %d", tt.name, behind, got, len(tt.value))
			}
		}
	}
}

// FuzzArgs checks the parser against encoding/json: what it accepts says the same
// there, and is within its bounds.
func FuzzArgs(f *testing.F) {
	for _, s := range []string{
		`{"slot":0,"amount":1000,"auto":250}`, `{"slot":1}`, ` { "amount" : 100 , "slot" : 0 } `, `{"slot":0,"slot":1}`,
		`{"slot":0,"amount":1e3}`, `{"slot":{"a":[1,"}"]},"amount":"\\\""}`, `{}`, `[]`, `{"sl\u006ft":1}`, `{"auto":9223372036854775808}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, e := parseArgs(raw, argSlot|argAmount|argAuto)
		if e != nil {
			if a != (betArgs{}) && e.Code == "" {
				t.Fatal("refused without a code")
			}
			return
		}
		var want struct {
			Slot   *int   `json:"slot"`
			Amount *int64 `json:"amount"`
			Auto   int64  `json:"auto"`
		}
		if err := json.Unmarshal(raw, &want); err != nil || want.Slot == nil || want.Amount == nil {
			t.Fatalf("%q was accepted: %v", raw, err)
		}
		if a != (betArgs{*want.Slot, *want.Amount, want.Auto}) {
			t.Fatalf("%q was read as %+v", raw, a)
		}
		if a.slot < 0 || a.slot > 1 || a.amount <= 0 || a.amount%100 != 0 || a.auto != 0 && a.auto <= 100 {
			t.Fatalf("%q was read as %+v", raw, a)
		}
	})
}

// FuzzSettings: what is accepted is within its ranges and leaves the rest alone.
func FuzzSettings(f *testing.F) {
	for _, s := range []string{`{"rtp_bp":9700}`, `{"cap":1000000,"salt":"0123456789abcdef"}`, `{"min_stake":500,"max_stake":500}`, `{"salt_source":"\ud800"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, e := parseChange(defaultSettings(), raw, true)
		if e != nil {
			return
		}
		want := defaultSettings()
		if err := json.Unmarshal(raw, &want); err != nil {
			t.Fatalf("%q was accepted: %v", raw, err)
		}
		if c.settings.Version != 1 || c.settings.check() != nil || c.salt != "" && !validSalt(c.salt) {
			t.Fatalf("%q was read as %+v", raw, c)
		}
	})
}
