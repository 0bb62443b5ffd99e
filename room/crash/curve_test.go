package crash

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
	"unsafe"

	"tickcast/room/game"
)

// dumbReads reports whether the curve reads at least k after t ns, straight from
// the definition: 100·e^(0.06·t) ≥ k with the series of e^x in big floats.
func dumbReads(t, k int64) bool {
	const precision = 256
	newFloat := func(n int64) *big.Float { return new(big.Float).SetPrec(precision).SetInt64(n) }
	x := new(big.Float).Quo(newFloat(t*6), newFloat(100_000_000_000))
	// e^x = (e^(x/1024))^1024 keeps the series short.
	x.SetMantExp(x, -10)
	sum, term := newFloat(1), newFloat(1)
	for n := int64(1); n < 40; n++ {
		term.Mul(term, x)
		term.Quo(term, newFloat(n))
		sum.Add(sum, term)
	}
	for range 10 {
		sum.Mul(sum, sum)
	}
	return sum.Mul(sum, newFloat(100)).Cmp(newFloat(k)) >= 0
}

func checkTime(t *testing.T, c *Curve, k int64) {
	t.Helper()
	at := int64(c.At(k))
	if !dumbReads(at, k) {
		t.Fatalf("T(%d) = %d ns: the curve does not read it yet", k, at)
	}
	if at > 0 && dumbReads(at-1, k) {
		t.Fatalf("T(%d) = %d ns: the curve read it a nanosecond before", k, at)
	}
}

func TestCurveAgreesWithItsDefinition(t *testing.T) {
	var c Curve
	for k := int64(minCenti); k <= 1500; k++ {
		checkTime(t, &c, k)
	}
	for _, k := range []int64{99_999, 100_000, 100_001, 100_002, 100_001 + 1024, 100_002 + 1024, 500_000, 999_999, 1_000_000, 1_000_001} {
		checkTime(t, &c, k)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		checkTime(t, &c, minCenti+rng.Int64N(maxCenti+2-minCenti))
	}
}

// TestCurveIsDecided computes every time once: ceil panics if one could not be
// rounded, and a time that is not later than the one before would be wrong.
func TestCurveIsDecided(t *testing.T) {
	var c Curve
	last := c.At(minCenti)
	for k := int64(minCenti + 1); k <= maxCenti+1; k++ {
		at := c.At(k)
		if at <= last {
			t.Fatalf("T(%d) = %d is not after T(%d) = %d", k, at, k-1, last)
		}
		last = at
	}
}

func TestCurveTableIsSmall(t *testing.T) {
	var c Curve
	c.At(minCenti)
	bytes := cap(c.table)*8 + cap(c.anchors)*int(unsafe.Sizeof(fixed{}))
	if bytes >= 1<<20 {
		t.Fatalf("the curve takes %d bytes", bytes)
	}
}

func TestCurvePublishedTimes(t *testing.T) {
	var c Curve
	tests := []struct {
		centi int64
		ms    float64
		digit float64 // the last printed digit
	}{
		{101, 165.8, .1},
		{150, 6757.75, .01},
		{200, 11552.45, .01},
		{300, 18310.2, .1},
		{500, 26824, 1},
		{1000, 38376, 1},
		{10_000, 76753, 1},
		{100_000, 115129, 1},
	}
	for _, tt := range tests {
		if ms := float64(c.At(tt.centi)) / 1e6; math.Abs(ms-tt.ms) > tt.digit {
			t.Errorf("T(%d) = %v ms, want %v", tt.centi, ms, tt.ms)
		}
	}
}

func TestCentiIsTheInverse(t *testing.T) {
	var c Curve
	rng := rand.New(rand.NewPCG(3, 4))
	for i := range 20_000 {
		k := minCenti + rng.Int64N(maxCenti+2-minCenti)
		if i < 2000 {
			k = minCenti + int64(i)
		}
		at := c.At(k)
		if got := c.Centi(at); got != k {
			t.Fatalf("Centi(T(%d)) = %d", k, got)
		}
		if got := c.Centi(at - 1); got != max(k-1, minCenti) {
			t.Fatalf("Centi(T(%d)−1) = %d", k, got)
		}
	}
	if got := c.Centi(game.Never); got != maxCenti+1 {
		t.Fatalf("Centi at the end of time = %d", got)
	}
	if got := c.Centi(-5); got != minCenti {
		t.Fatalf("Centi before the start = %d", got)
	}
}

func BenchmarkCurveBuild(b *testing.B) {
	for b.Loop() {
		var c Curve
		c.At(minCenti)
	}
}

func BenchmarkCurveCenti(b *testing.B) {
	var c Curve
	t := c.At(231)
	for b.Loop() {
		c.Centi(t)
	}
}

func BenchmarkCurveOnDemand(b *testing.B) {
	var c Curve
	for b.Loop() {
		c.At(777_777)
	}
}
