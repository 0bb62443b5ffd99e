package race

import (
	"encoding/json"
	"testing"
)

// FuzzPlainTap compares the short way with the JSON library.
func FuzzPlainTap(f *testing.F) {
	for _, args := range []string{
		`{"n":1}`, `{"n":100000}`, `{"n":100001}`, `{"n":0}`, `{"n":01}`, `{"n":-1}`, `{"n":}`, `{"n":1e3}`, `{"n":1.0}`, `{"n": 1}`,
		`{"n":1,"n":2}`, `{"N":1}`, `{"n":1}}`, `{"n":999999}`, `{"n":9999999}`, `{"n":1`, ``,
	} {
		f.Add([]byte(args))
	}
	f.Fuzz(func(t *testing.T, args []byte) {
		n, ok := plainTap(args)
		if !ok {
			return
		}
		var a struct{ N int64 }
		if err := json.Unmarshal(args, &a); err != nil || a.N != n {
			t.Fatalf("%q is read as %d, JSON says %d (%v)", args, n, a.N, err)
		}
	})
}
