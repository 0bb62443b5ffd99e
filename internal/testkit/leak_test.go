package testkit

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"strconv"
	"testing"
)

func TestSecretIsFoundInEveryForm(t *testing.T) {
	s := Secret{Seed: [32]byte{1, 2, 3, 250, 31: 9}, Centi: 78901, End: 123456789012345}
	back := reversed(s.Seed[:])
	asJSON, _ := json.Marshal(map[string]any{"seed": s.Seed[:], "x": 1})
	for why, b := range map[string][]byte{
		"raw":                  append([]byte("noise"), s.Seed[:]...),
		"reversed":             append([]byte("noise"), back...),
		"hex":                  []byte(`{"seed":"` + hex.EncodeToString(s.Seed[:]) + `"}`),
		"base64 in JSON":       asJSON,
		"base64 after a byte":  []byte(base64.StdEncoding.EncodeToString(append([]byte{7}, s.Seed[:]...))),
		"base64 after two":     []byte(base64.URLEncoding.EncodeToString(append([]byte{7, 8}, s.Seed[:]...))),
		"decimal seed":         []byte(new(big.Int).SetBytes(s.Seed[:]).String()),
		"crash point":          []byte(`{"crash":78901}`),
		"crash point as text":  []byte("789.01x"),
		"crash point, 32 bits": {0, 0, 1, 0x34, 0x35},
		"end":                  []byte(strconv.FormatInt(s.End, 10)),
		"end in µs":            []byte(strconv.FormatInt(s.End/1000, 10)),
	} {
		if len(s.Find(b)) == 0 {
			t.Errorf("%s: not found in %q", why, b)
		}
	}
	for _, harmless := range []string{`{"id":178901}`, `{"t":789012}`, "7890", "", hex.EncodeToString(make([]byte, 32))} {
		if f := s.Find([]byte(harmless)); len(f) > 0 {
			t.Errorf("found %v in %q", f, harmless)
		}
	}
}
