package crash

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
)

// vectors is testdata/crash.json; its note says what links what.
type vectors struct {
	ASCII vectorChain `json:"v2_ascii_chain"`
	Bytes vectorChain `json:"v2_bytes_chain"`
	Own   vectorChain `json:"own_chain"`
	Exact struct {
		Cap   int64        `json:"cap"`
		Cases []vectorCase `json:"cases"`
	} `json:"exact"`
}

type vectorChain struct {
	Salt     string       `json:"salt"`
	Cases    []vectorCase `json:"cases"`
	Terminal string       `json:"terminal"`
}

type vectorCase struct {
	Game  int64  `json:"game"`
	Hash  string `json:"hash"`
	R     string `json:"r"`
	Centi int64  `json:"centi"`
	At99  int64  `json:"rtp9900"`
	At97  int64  `json:"rtp9700"`
}

func readVectors(t *testing.T) (v vectors) {
	t.Helper()
	b, err := os.ReadFile("testdata/crash.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func seedOf(t *testing.T, s string) Seed {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(Seed{}) {
		t.Fatalf("seed %q: %v", s, err)
	}
	return Seed(b)
}

func TestPointVectors(t *testing.T) {
	v := readVectors(t)
	for name, chain := range map[string]vectorChain{"ascii": v.ASCII, "bytes": v.Bytes, "own": v.Own} {
		if len(chain.Cases) < 5 {
			t.Fatalf("%s: only %d cases", name, len(chain.Cases))
		}
		for _, c := range chain.Cases {
			seed := seedOf(t, c.Hash)
			if r := strconv.FormatUint(fraction(seed, chain.Salt), 10); r != c.R {
				t.Errorf("%s game %d: r = %s, want %s", name, c.Game, r, c.R)
			}
			want := c.At99
			if name != "own" {
				want = c.Centi
			} else if got := Point(seed, chain.Salt, 9700, maxCenti); got != c.At97 {
				t.Errorf("%s game %d at 9700: %d, want %d", name, c.Game, got, c.At97)
			}
			if got := Point(seed, chain.Salt, 9900, maxCenti); got != want {
				t.Errorf("%s game %d: %d, want %d", name, c.Game, got, want)
			}
		}
	}
}

func TestPointExactVectors(t *testing.T) {
	v := readVectors(t)
	if len(v.Exact.Cases) < 10 {
		t.Fatalf("only %d cases", len(v.Exact.Cases))
	}
	for _, c := range v.Exact.Cases {
		r, err := strconv.ParseUint(c.R, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		if got := pointOf(r, 9900, v.Exact.Cap); got != c.At99 {
			t.Errorf("r = %d at 9900: %d, want %d", r, got, c.At99)
		}
		if got := pointOf(r, 9700, v.Exact.Cap); got != c.At97 {
			t.Errorf("r = %d at 9700: %d, want %d", r, got, c.At97)
		}
	}
}

func TestChainLinks(t *testing.T) {
	v := readVectors(t)
	links := 0
	for _, a := range v.Bytes.Cases {
		for _, b := range v.Bytes.Cases {
			if a.Game == b.Game+1 {
				links++
				if seedOf(t, a.Hash).Before() != seedOf(t, b.Hash) {
					t.Errorf("game %d does not follow %d", a.Game, b.Game)
				}
			}
		}
	}
	if links != 5 {
		t.Errorf("%d links in the published chain, want 5", links)
	}
	before := seedOf(t, v.Own.Terminal)
	for _, c := range v.Own.Cases {
		seed := seedOf(t, c.Hash)
		if seed.Before() != before {
			t.Errorf("own game %d does not follow the one before", c.Game)
		}
		before = seed
	}
}

// TestPointAgainstBigIntegers checks the 128-bit division with the formula as it
// is written, over random and boundary fractions.
func TestPointAgainstBigIntegers(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for i := range 100_000 {
		r := rng.Uint64() >> 12
		if i%3 == 0 {
			r = 1<<52 - 1 - rng.Uint64N(1000)
		}
		rtp := 8000 + rng.Int64N(2001)
		limit := 200 + rng.Int64N(maxCenti)
		n := new(big.Int).Lsh(big.NewInt(rtp), 52)
		d := new(big.Int).SetUint64(1<<52 - r)
		q := n.Quo(n, d.Mul(d, big.NewInt(100)))
		want := min(limit, max(100, q.Int64()))
		if got := pointOf(r, rtp, limit); got != want {
			t.Fatalf("pointOf(%d, %d, %d) = %d, want %d", r, rtp, limit, got, want)
		}
	}
}

// TestPointProbability is exact where sampling is not: at least k is reached by
// exactly floor(rtp·2^52/(100·k)) of the 2^52 fractions, for every target.
func TestPointProbability(t *testing.T) {
	for _, rtp := range []uint64{8000, 9700, 9900, 10_000} {
		for k := uint64(101); k <= 100_000; k += 1 + k/50 {
			n := new(big.Int).Lsh(new(big.Int).SetUint64(rtp), 52)
			reached := n.Quo(n, new(big.Int).SetUint64(100*k)).Uint64()
			first := uint64(1)<<52 - reached // the smallest fraction that reaches k
			if got := pointOf(first, int64(rtp), maxCenti); got < int64(k) {
				t.Fatalf("rtp %d: fraction %d gives %d, want at least %d", rtp, first, got, k)
			}
			if got := pointOf(first-1, int64(rtp), maxCenti); got >= int64(k) {
				t.Fatalf("rtp %d: fraction %d gives %d, want less than %d", rtp, first-1, got, k)
			}
		}
	}
}

var returnTargets = [...]int64{101, 150, 200, 1000, 10_000}

// checkReturn takes the rounds won at each target and fails unless the
// return is within 4 standard deviations of rtp.
func checkReturn(t *testing.T, rounds int, wins [len(returnTargets)]int) {
	t.Helper()
	const rtp = 0.99
	for i, target := range returnTargets {
		x := float64(target) / 100
		p := rtp / x
		sigma := x * math.Sqrt(p*(1-p)/float64(rounds))
		got := x * float64(wins[i]) / float64(rounds)
		if math.Abs(got-rtp) > 4*sigma {
			t.Errorf("target %.2fx: return %.5f over %d rounds, want %.2f ± %.5f", x, got, rounds, rtp, 4*sigma)
		}
	}
}

// TestReturn plays 10 million rounds from fractions of a seeded generator: it
// tests the crash point's distribution at full size in about a second. That HMAC
// gives uniform fractions is tested by TestReturnWithSeeds, with fewer rounds
// because each costs two hashes.
func TestReturn(t *testing.T) {
	const rounds, workers = 10_000_000, 2
	var wins [workers][len(returnTargets)]int
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			var mine [len(returnTargets)]int
			rng := rand.New(rand.NewPCG(uint64(w), 7))
			for range rounds / workers {
				point := pointOf(rng.Uint64()>>12, 9900, 100_000)
				for i, target := range returnTargets {
					if point >= target {
						mine[i]++
					}
				}
			}
			wins[w] = mine
		})
	}
	wg.Wait()
	for i := range returnTargets {
		wins[0][i] += wins[1][i]
	}
	checkReturn(t, rounds, wins[0])
}

// TestReturnWithSeeds plays a million rounds down a real chain with a real salt;
// TestReturnWithManySeeds plays ten.
func TestReturnWithSeeds(t *testing.T) { playChain(t, 1_000_000) }

func playChain(t *testing.T, rounds int) {
	var wins [len(returnTargets)]int
	seed := Seed(sha256.Sum256(binary.BigEndian.AppendUint64(nil, 20)))
	for range rounds {
		seed = seed.Before()
		point := Point(seed, "0000000000000000004d6ec16dafe9d8370958664c1dc422f452892264c59526", 9900, 100_000)
		for i, target := range returnTargets {
			if point >= target {
				wins[i]++
			}
		}
	}
	checkReturn(t, rounds, wins)
}

func BenchmarkPoint(b *testing.B) {
	var seed Seed
	for b.Loop() {
		Point(seed, "0000000000000000004d6ec16dafe9d8370958664c1dc422f452892264c59526", 9900, maxCenti)
	}
}
