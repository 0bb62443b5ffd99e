package judge

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"tickcast/wire"
)

// flight is a round in the air, once its seed is known.
//
// Bets are cashed out at exact readings: at their targets, or the cap; then, where the
// payouts of a player would pass max_win, all of his; then, where those of the round
// would pass max_round_win, the largest stakes first, the earlier of equal ones, until
// the rest fits.
type flight struct {
	known   bool
	point   int64
	ends    int64  // game time
	targets []*Bet // that flew at the takeoff, by target and order
	stake   int64  // of what flies
	// Only players, and only rounds, whose payouts could pass their limit are looked at.
	bounded []string
	round   bool
}

// learn looks for the seed of the round that flies. Without one the judge waits.
func (c *crash) learn() (blocked bool, err error) {
	rd := c.current
	f, found := c.room.log.scout.find(c.room.id, rd.Number)
	if !found {
		return true, nil
	}
	s, ok := parseSeed(f.reveal.Seed)
	var d *Difference
	switch {
	case f.kind == factOpen:
		d = c.unrevealed()
	case f.reveal.Round > rd.Number:
		d = c.early(f.reveal.Round)
	case !ok || !s.follows(c.chains.current.last):
		d = c.falseSeed(rd, s)
	default:
		c.prepare(s)
		return false, nil
	}
	d.Seq = f.seq
	return false, d
}

func (c *crash) prepare(s seed) {
	rd := c.current
	f := flight{known: true, point: crashPoint(s, rd.Salt, rd.RTPBP, rd.Cap)}
	f.ends = c.start + c.room.log.curve.time(f.point+1)
	most, players := int64(0), map[string]int64{}
	for _, b := range rd.Bets {
		if b.State != Open {
			continue
		}
		f.stake += b.Stake
		f.targets = append(f.targets, b)
		win := b.Stake * b.target() / 100
		most += win
		if before := players[b.Player]; before <= rd.settings.MaxWin && before+win > rd.settings.MaxWin {
			f.bounded = append(f.bounded, b.Player)
		}
		players[b.Player] += win
	}
	f.round = most > rd.settings.MaxRoundWin
	slices.SortStableFunc(f.targets, func(a, b *Bet) int { return cmp.Compare(a.target(), b.target()) })
	c.flight = f
}

// flightDue is when the next bet is cashed out by itself, or the round ends.
func (c *crash) flightDue() int64 {
	if k := c.nextReading(); k <= c.flight.point {
		return c.start + c.room.log.curve.time(k)
	}
	return c.flight.ends
}

// fly cashes out what is due, and ends the round.
func (c *crash) fly(at at) {
	if k := c.nextReading(); k <= c.flight.point && c.start+c.room.log.curve.time(k) <= at.now {
		c.fire(k)
		return
	}
	if at.now >= c.flight.ends {
		c.crash(at)
	}
}

// nextReading is the smallest at which something happens, never if nothing does.
func (c *crash) nextReading() int64 {
	k := int64(never)
	if b := c.nextTarget(); b != nil {
		k = b.target()
	}
	for _, player := range c.flight.bounded {
		k = min(k, c.playerLimit(player))
	}
	return min(k, c.roundLimit())
}

func (c *crash) nextTarget() *Bet {
	f := &c.flight
	for len(f.targets) > 0 && f.targets[0].State != Open {
		f.targets = f.targets[1:]
	}
	if len(f.targets) == 0 {
		return nil
	}
	return f.targets[0]
}

// playerLimit is the largest reading at which a player's payouts keep to max_win.
func (c *crash) playerLimit(player string) int64 {
	rd := c.current
	left, stake := rd.settings.MaxWin, int64(0)
	for n := range slotsPerPlayer {
		switch b := rd.slots[slot{player, n}]; {
		case b == nil:
		case b.State == Open:
			stake += b.Stake
		case b.State == Won:
			left -= b.Payout
		}
	}
	return limit(left, stake, rd.Cap)
}

// roundLimit is the largest reading at which all payouts keep to max_round_win.
func (c *crash) roundLimit() int64 {
	if !c.flight.round {
		return never
	}
	return limit(c.current.settings.MaxRoundWin-c.current.Paid, c.flight.stake, c.current.Cap)
}

func limit(left, stake, most int64) int64 {
	if stake == 0 || left*100/stake >= most {
		return never
	}
	return left * 100 / stake
}

// fire cashes out what is due at a reading.
func (c *crash) fire(k int64) {
	for b := c.nextTarget(); b != nil && b.target() <= k; b = c.nextTarget() {
		c.pay(b, k)
	}
	for _, player := range c.flight.bounded {
		if c.playerLimit(player) > k {
			continue
		}
		for n := range slotsPerPlayer {
			if b := c.current.slots[slot{player, n}]; b != nil && b.State == Open {
				c.pay(b, k)
			}
		}
	}
	for c.roundLimit() <= k {
		largest := (*Bet)(nil)
		for _, b := range c.flight.targets {
			if b.State == Open && (largest == nil || b.Stake > largest.Stake || b.Stake == largest.Stake && b.order < largest.order) {
				largest = b
			}
		}
		c.pay(largest, k)
	}
}

// cashOut is a player's own. What the curve has passed was done before, so a bet that is
// open pays what the curve reads.
func (c *crash) cashOut(at at, cmd *wire.Command) {
	a, ok := parseBet(cmd.Args, "slot")
	if !ok || c.phase != flying || cmd.Round != c.current.Number {
		return
	}
	b := c.current.slots[slot{cmd.Player, a.slot}]
	if b == nil || b.State != Open {
		return
	}
	if k := c.room.log.curve.reads(at.now - c.start); k > firstCenti {
		c.pay(b, k)
	}
}

// pay ends a bet as won.
func (c *crash) pay(b *Bet, centi int64) {
	b.State, b.Centi, b.Payout = Won, centi, b.Stake*centi/100
	c.current.Paid += b.Payout
	c.flight.stake -= b.Stake
	c.bookEnd(b, &Booking{ID: "payout/" + b.ID, Kind: wire.BookPayout, Amount: b.Payout, Centi: centi})
}

func sha256Hex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
