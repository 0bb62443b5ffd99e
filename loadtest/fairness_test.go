package loadtest

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
)

// TestCrashPointVectors checks the formula with published rounds.
func TestCrashPointVectors(t *testing.T) {
	b, err := os.ReadFile("testdata/crash.json")
	if err != nil {
		t.Fatal(err)
	}
	type chain struct {
		Salt  string `json:"salt"`
		Cases []struct {
			Hash    string `json:"hash"`
			Centi   int64  `json:"centi"`
			RTP9900 int64  `json:"rtp9900"`
			RTP9700 int64  `json:"rtp9700"`
		} `json:"cases"`
	}
	var v struct {
		ASCII chain `json:"v2_ascii_chain"`
		Bytes chain `json:"v2_bytes_chain"`
		Own   chain `json:"own_chain"`
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	n := 0
	want := func(salt, seed string, rtp, centi int64) {
		t.Helper()
		raw, err := hex.DecodeString(seed)
		if err != nil {
			t.Fatal(err)
		}
		if got := crashPoint(salt, raw, &settings{RTP: rtp, Cap: 1_000_000_000}); centi != 0 && got != centi {
			t.Errorf("seed %s at %d: %d, not %d", seed, rtp, got, centi)
		}
		n++
	}
	for _, c := range v.Bytes.Cases {
		want(v.Bytes.Salt, c.Hash, 9900, c.Centi)
	}
	for _, c := range v.Own.Cases {
		want(v.Own.Salt, c.Hash, 9900, c.RTP9900)
		want(v.Own.Salt, c.Hash, 9700, c.RTP9700)
	}
	if n < 10 {
		t.Errorf("only %d vectors were found", n)
	}
	// The chain links raw bytes: each seed hashes to the one before.
	var c chains
	c.salt(0, v.Own.Salt)
	for i, k := range v.Own.Cases {
		if err := c.reveal(past{Round: uint64(i + 1), Index: uint64(i + 1), Seed: k.Hash, Centi: k.RTP9900}, &settings{RTP: 9900, Cap: 1_000_000_000}); err != nil {
			t.Error(err)
		}
	}
	if int(c.verified) != len(v.Own.Cases) || int(c.linked) != len(v.Own.Cases)-1 {
		t.Errorf("%d verified, %d linked of %d", c.verified, c.linked, len(v.Own.Cases))
	}
}

func TestFalseSeedsAreNotBelieved(t *testing.T) {
	salt := "0000000000000000004d6ec16dafe9d8370958664c1dc422f452892264c59526"
	first := past{Index: 1, Seed: "a2bae05a8e2fe14c738b2ca663c6c6986eb9e222370c29149a027c82075881e7", Centi: 2196}
	var c chains
	c.salt(0, salt)
	if err := c.reveal(first, &settings{RTP: 9900, Cap: 1_000_000_000}); err != nil {
		t.Fatal(err)
	}
	for _, p := range []past{
		{Index: 1, Seed: first.Seed, Centi: first.Centi + 1},  // another crash point
		{Index: 2, Seed: first.Seed, Centi: first.Centi},      // another place in the chain
		{Index: 0, Seed: first.Seed, Centi: first.Centi},      // no place at all
		{Index: 1, Seed: "not hex", Centi: first.Centi},       // no seed
		{Index: 1, Seed: first.Seed[:10], Centi: first.Centi}, // half a seed
		{Index: 1, Seed: first.Seed[:62] + "e8", Centi: 2196}, // another seed
	} {
		if c.reveal(p, &settings{RTP: 9900, Cap: 1_000_000_000}) == nil {
			t.Errorf("%+v was believed", p)
		}
	}
}

func TestChainsStaySmall(t *testing.T) {
	var c chains
	for i := range uint64(100_000) {
		c.keep(seedPlace{0, i}, "00")
	}
	if len(c.seeds) > 2*maxSeeds {
		t.Errorf("%d seeds are kept", len(c.seeds))
	}
	if _, ok := c.seeds[seedPlace{0, 99_999}]; !ok {
		t.Error("the newest seed is gone")
	}
}
