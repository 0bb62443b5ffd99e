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
		"crash point, varint":  {9, 0xb5, 0xe8, 0x04, 9},
		"crash point, zigzag":  {9, 0xea, 0xd0, 0x09, 9},
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

// TestUsualCrashPoint wants a crash point that other numbers may equal found where it
// stands for itself.
func TestUsualCrashPoint(t *testing.T) {
	s := Secret{Centi: 1097}
	wrapped, _ := json.Marshal([]byte(`{"phase":"flying","centi":1097,"start":12}`))
	for why, b := range map[string]string{
		"JSON":         `{"centi":1097}`,
		"list":         `[1,1097,2]`,
		"string":       `"1097"`,
		"log":          "level=DEBUG msg=flight point=1097 room=lobby",
		"gauge":        "tickcast_point 1097\n",
		"text":         "at 10.97",
		"multiplier":   "at 10.97x\n",
		"base64":       string(wrapped),
		"base64 twice": base64.URLEncoding.EncodeToString(wrapped),
		"behind one":   "$1097\r\n{\"centi\":1097}",
	} {
		if len(s.Find([]byte(b))) == 0 {
			t.Errorf("%s: not found in %q", why, b)
		}
	}
	for why, b := range map[string]string{
		"length in Redis":  "$1097\r\nabc",
		"length in NATS":   "MSG a.b 7 1097\r\nabc",
		"fraction":         "10:00:00.1097 took=2.1097s",
		"ack":              "$JS.ACK.P.c.1.1097.1097.9",
		"word":             `"a1097","1097c","x-1097"`,
		"longer":           "11097 10971 110.97 10.971",
		"an integer of PG": "\x00\x00\x00\x00\x00\x00\x04\x49",
	} {
		if f := s.Find([]byte(b)); len(f) > 0 {
			t.Errorf("%s: found %v in %q", why, f, b)
		}
	}
}
