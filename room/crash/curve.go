package crash

import (
	"fmt"
	"math/bits"
	"sort"
	"sync"

	"tickcast/room/game"
)

const (
	minCenti = 100       // where every flight begins: 1.00x
	maxCenti = 1_000_000 // the largest cap: 10,000.00x
	// tableCenti is the last multiplier in the table: 100,000 entries of 8 bytes
	// stay under 1 MB and cover the default cap.
	tableCenti = 100_001
	// anchorStep is the distance of the exact times kept above the table. With it
	// an artanh argument stays below 1/195, so that seven terms suffice.
	anchorStep = 1024
	// stepError bounds the error of one step in units of 2^-64 ns: at most 8 terms,
	// each truncated twice, and the tail that underflows.
	stepError = 32
)

// Curve is m(t) = e^(0.06·t), read in hundredths, in exact integers. The zero
// value is ready; the table is built at the first use (about 20 ms). It is safe
// for concurrent use.
//
// The time at which the curve reaches k/100 is (5·10^10/3)·ln(k/100) ns. It is
// summed up in fixed point with 64 fractional bits from
//
//	ln(b/a) = 2·artanh((b−a)/(b+a)) = 2·Σ ((b−a)/(b+a))^(2n+1) / (2n+1)
//
// by integer operations only, all rounded down, so every machine has the same
// bits. ln of a rational other than 1 is irrational: a time is never a whole
// nanosecond, and rounding up is decided as soon as the error cannot carry, which
// ceil checks for every value.
type Curve struct {
	once    sync.Once
	table   []int64 // T(100), T(101), … T(tableCenti)
	anchors []fixed // exact times of tableCenti, tableCenti+anchorStep, …
}

// fixed is a time in units of 2^-64 ns.
type fixed struct{ hi, lo uint64 }

// At is T(k): the first nanosecond after the start at which the curve reads k
// hundredths, for k from 100 to 1,000,001.
func (c *Curve) At(k int64) game.Time {
	c.once.Do(c.build)
	if k < minCenti || k > maxCenti+1 {
		panic(fmt.Sprintf("crash: no time for %d centi", k))
	}
	if k <= tableCenti {
		return game.Time(c.table[k-minCenti])
	}
	i := (k - tableCenti) / anchorStep
	from := tableCenti + i*anchorStep
	t := c.anchors[i]
	if k > from {
		t = t.add(logStep(uint64(from), uint64(k)))
	}
	return game.Time(t.ceil(uint64(tableCenti - minCenti + i + 1)))
}

// Centi is what the curve reads when elapsed has passed since the start: from 100
// to 1,000,001, where it stops.
func (c *Curve) Centi(elapsed game.Time) int64 {
	c.once.Do(c.build)
	if t := int64(elapsed); t < c.table[len(c.table)-1] {
		later := sort.Search(len(c.table), func(i int) bool { return c.table[i] > t })
		return int64(max(later-1, 0)) + minCenti
	}
	const span = maxCenti + 1 - tableCenti
	later := sort.Search(span, func(i int) bool { return c.At(tableCenti+1+int64(i)) > elapsed })
	return tableCenti + int64(later)
}

func (c *Curve) build() {
	c.table = make([]int64, 1, tableCenti-minCenti+1) // T(100) is 0 exactly
	var t fixed
	for k := uint64(minCenti); k < tableCenti; k++ {
		t = t.add(logStep(k, k+1))
		c.table = append(c.table, t.ceil(k+1-minCenti))
	}
	c.anchors = make([]fixed, 1, (maxCenti+1-tableCenti)/anchorStep+1)
	c.anchors[0] = t
	for k := uint64(tableCenti); k+anchorStep <= maxCenti+1; k += anchorStep {
		t = t.add(logStep(k, k+anchorStep))
		c.anchors = append(c.anchors, t)
	}
}

// logStep is (5·10^10/3)·ln(b/a), rounded down by less than stepError units. It
// needs b−a ≤ anchorStep and (b−a)/(b+a) < 1/190.
func logStep(a, b uint64) fixed {
	d, s := b-a, b+a
	p := fixed{hi: 100_000_000_000 * d}.div(3 * s) // (10^11/3)·(d/s)
	sum := p
	for n := uint64(3); ; n += 2 {
		p = p.mul(d * d).div(s * s)
		if p == (fixed{}) {
			return sum
		}
		sum = sum.add(p.div(n))
	}
}

// ceil rounds up a time that is up to steps·stepError units too small.
func (t fixed) ceil(steps uint64) int64 {
	if _, carry := bits.Add64(t.lo, steps*stepError, 0); carry != 0 {
		panic("crash: a time of the curve is too close to a whole nanosecond to be rounded")
	}
	return int64(t.hi) + 1
}

func (t fixed) add(u fixed) fixed {
	lo, carry := bits.Add64(t.lo, u.lo, 0)
	return fixed{t.hi + u.hi + carry, lo}
}

// mul is exact: the high words stay below 2^28 and m below 2^21.
func (t fixed) mul(m uint64) fixed {
	carry, lo := bits.Mul64(t.lo, m)
	return fixed{t.hi*m + carry, lo}
}

func (t fixed) div(d uint64) fixed {
	hi, rem := t.hi/d, t.hi%d
	lo, _ := bits.Div64(rem, t.lo, d)
	return fixed{hi, lo}
}
