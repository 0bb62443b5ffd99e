package crash

import (
	"encoding/json"
	"strings"

	"tickcast/room/game"
	"tickcast/wire"
)

const (
	slots     = 2   // bets per player and round
	stakeUnit = 100 // stakes are multiples, so that stake·centi/100 is exact
	// maxStake keeps stake·centi within 10^15 and, with maxTotal, every product of
	// the limits within 10^16, far from the end of an int64.
	maxStake = 1_000_000_000
	maxTotal = 100_000_000_000_000
)

// Settings are what an operator can change of a room. A change makes a new
// version, which takes effect with the first round that has no bets yet. Times
// are in milliseconds, money in minor units, multipliers in hundredths.
type Settings struct {
	Version     int64 `json:"version"`
	RTPBP       int64 `json:"rtp_bp"`        // return to players, basis points
	BettingMS   int64 `json:"betting_ms"`    // phase betting
	LockMS      int64 `json:"lock_ms"`       // phase locked, at most
	CrashedMS   int64 `json:"crashed_ms"`    // phase crashed
	MinStake    int64 `json:"min_stake"`     // of one bet
	MaxStake    int64 `json:"max_stake"`     // of one bet
	MaxWin      int64 `json:"max_win"`       // payouts of one player in one round
	MaxRoundWin int64 `json:"max_round_win"` // payouts of all players in one round
	Cap         int64 `json:"cap"`           // largest multiplier
	TickMS      int64 `json:"tick_ms"`       // curve ticks
}

func defaultSettings() Settings {
	return Settings{
		Version: 1, RTPBP: 9900,
		BettingMS: 5000, LockMS: 1000, CrashedMS: 3000,
		MinStake: 100, MaxStake: 100_000, MaxWin: 10_000_000, MaxRoundWin: 100_000_000,
		Cap: 100_000, TickMS: 100,
	}
}

// setting is one field with its range, which may depend on other fields.
type setting struct {
	name     string
	value    *int64
	min, max int64
	unit     int64 // the value is a multiple of it
}

// fields lists the fields an operator can set. The limits on wins are at least
// twice the smallest stake, so that there is a bet that can be placed and doubled.
func (s *Settings) fields() []setting {
	return []setting{
		{"rtp_bp", &s.RTPBP, 8000, 10_000, 1},
		{"betting_ms", &s.BettingMS, 100, 600_000, 1},
		{"lock_ms", &s.LockMS, 100, 10_000, 1},
		{"crashed_ms", &s.CrashedMS, 100, 60_000, 1},
		{"min_stake", &s.MinStake, stakeUnit, maxStake, stakeUnit},
		{"max_stake", &s.MaxStake, s.MinStake, maxStake, stakeUnit},
		{"max_win", &s.MaxWin, 2 * s.MinStake, maxTotal, 1},
		{"max_round_win", &s.MaxRoundWin, 2 * s.MinStake, maxTotal, 1},
		{"cap", &s.Cap, minCenti + 1, maxCenti, 1},
		{"tick_ms", &s.TickMS, 50, 1000, 1},
	}
}

// check refuses settings out of range and names the field and its range.
func (s *Settings) check() *wire.Error {
	for _, f := range s.fields() {
		if *f.value < f.min || *f.value > f.max || *f.value%f.unit != 0 {
			if f.unit > 1 {
				return wire.Errorf(wire.CodeBadSettings, "%s must be a multiple of %d from %d to %d", f.name, f.unit, f.min, f.max)
			}
			return wire.Errorf(wire.CodeBadSettings, "%s must be from %d to %d", f.name, f.min, f.max)
		}
	}
	return nil
}

// change is a parsed set action.
type change struct {
	settings   Settings
	changed    bool // settings differ in at least one named field
	salt       string
	saltSource string
}

// parseChange applies the fields that raw names to base. The version is left
// alone. Salt fields are accepted only where withSalt says so.
func parseChange(base Settings, raw json.RawMessage, withSalt bool) (change, *wire.Error) {
	c := change{settings: base}
	fields := c.settings.fields()
	var e *wire.Error
	ok := scanObject(raw, func(name, value []byte) bool {
		if withSalt && (string(name) == "salt" || string(name) == "salt_source") {
			e = c.setSalt(string(name), value)
			return e == nil
		}
		for _, f := range fields {
			if f.name == string(name) {
				n, ok := plainInteger(value)
				if !ok {
					e = wire.Errorf(wire.CodeBadSettings, "%s must be an integer from %d to %d", f.name, f.min, f.max)
					return false
				}
				*f.value, c.changed = n, true
				return true
			}
		}
		e = wire.Errorf(wire.CodeBadSettings, "there is no setting%s; there are %s", echo(name), settingNames(fields))
		return false
	})
	switch {
	case e != nil:
		return c, e
	case !ok:
		return c, wire.Errorf(wire.CodeBadSettings, "settings must be a JSON object")
	case c.saltSource != "" && c.salt == "":
		return c, wire.Errorf(wire.CodeBadSettings, "salt_source needs a salt")
	}
	return c, c.settings.check()
}

func (c *change) setSalt(name string, value []byte) *wire.Error {
	var s string
	if json.Unmarshal(value, &s) != nil {
		return wire.Errorf(wire.CodeBadSettings, "%s must be a string", name)
	}
	if name == "salt_source" {
		if !wire.ValidText(s, maxSourceBytes) || s == sourceServer {
			return wire.Errorf(wire.CodeBadSettings, "salt_source must be text of 1 to %d bytes other than %s", maxSourceBytes, sourceServer)
		}
		c.saltSource = s
		return nil
	}
	if !validSalt(s) {
		return wire.Errorf(wire.CodeBadSettings, "salt must be %d to %d printable ASCII characters without space", minSaltBytes, maxSaltBytes)
	}
	c.salt = s
	return nil
}

// echo repeats a name in a refusal if it could be one. Refusals are folded, so
// what stands in them must not depend on how a library prints odd characters.
func echo(name []byte) string {
	if !wire.ValidOp(string(name)) {
		return " of that name"
	}
	return " " + string(name)
}

func settingNames(fields []setting) string {
	names := make([]string, 0, len(fields))
	for _, f := range fields {
		names = append(names, f.name)
	}
	return strings.Join(names, ", ")
}

// millis converts a setting to game time.
func millis(ms int64) game.Time { return game.Time(ms) * 1_000_000 }
