package judge

import (
	"fmt"
	"math"
	"math/big"
)

const (
	firstCenti = 100       // where every flight begins
	lastCenti  = 1_000_001 // the first reading beyond the largest cap
	// curveBits are the fractional bits in which times are computed, and curveSlack
	// bounds the error in units of the last: some 150 terms, each rounded twice.
	curveBits  = 192
	curveSlack = 4096
)

// curve answers when e^(0.06·t) reads a number of hundredths, and what it reads at a
// time. T(k) is the first nanosecond of at least (5·10^10/3)·ln(k/100). Times are
// computed when they are first asked for, by
//
//	ln x = 2·Σ z^(2n+1)/(2n+1), z = (x−1)/(x+1)
//
// after x was halved until it is below 2. The zero value is ready.
type curve struct {
	ln2   *big.Int        // in units of 2^-curveBits
	times map[int64]int64 // T(k) by k
}

// time is T(k) for k from firstCenti to lastCenti.
func (c *curve) time(k int64) int64 {
	if k < firstCenti || k > lastCenti {
		panic(fmt.Sprintf("judge: no time for %d hundredths", k))
	}
	if k == firstCenti {
		return 0
	}
	if t, ok := c.times[k]; ok {
		return t
	}
	if c.times == nil {
		c.times = map[int64]int64{}
		c.ln2 = lnRatio(2, 1)
	}
	t := c.compute(k)
	c.times[k] = t
	return t
}

func (c *curve) compute(k int64) int64 {
	low, halved := int64(firstCenti), int64(0)
	for k >= 2*low {
		low, halved = 2*low, halved+1
	}
	ln := lnRatio(k, low)
	ln.Add(ln, new(big.Int).Mul(c.ln2, big.NewInt(halved)))
	ln.Mul(ln, big.NewInt(50_000_000_000))
	ln.Quo(ln, big.NewInt(3))
	// The true value lies up to slack above. No logarithm of a rational but 1 is rational,
	// so it is never a whole nanosecond, and both ends round up to the same one.
	slack := new(big.Int).Mul(big.NewInt(curveSlack), big.NewInt(50_000_000_000))
	ns := new(big.Int).Rsh(ln, curveBits)
	if upper := slack.Add(slack, ln).Rsh(slack, curveBits); upper.Cmp(ns) != 0 {
		panic(fmt.Sprintf("judge: the time of %d hundredths is too close to a whole nanosecond", k))
	}
	return ns.Int64() + 1
}

// lnRatio is ln(a/b) for b < a ≤ 2b in units of 2^-curveBits, rounded down.
func lnRatio(a, b int64) *big.Int {
	num, den := big.NewInt(a-b), big.NewInt(a+b)
	num2, den2 := new(big.Int).Mul(num, num), new(big.Int).Mul(den, den)
	power := new(big.Int).Lsh(num, curveBits+1)
	power.Quo(power, den)
	sum, term := new(big.Int), new(big.Int)
	for n := int64(1); power.Sign() > 0; n += 2 {
		sum.Add(sum, term.Quo(power, big.NewInt(n)))
		power.Mul(power, num2)
		power.Quo(power, den2)
	}
	return sum
}

// reads is what the curve reads when elapsed nanoseconds have passed since the start.
// Floating point finds the neighbourhood, exact times decide.
func (c *curve) reads(elapsed int64) int64 {
	if elapsed <= 0 {
		return firstCenti
	}
	guess := 100 * math.Exp(0.06*float64(elapsed)/1e9)
	if guess >= lastCenti+1 {
		return lastCenti
	}
	k := min(max(int64(guess), firstCenti), lastCenti)
	for k > firstCenti && c.time(k) > elapsed {
		k--
	}
	for k < lastCenti && c.time(k+1) <= elapsed {
		k++
	}
	return k
}
