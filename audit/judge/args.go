package judge

import (
	"bytes"
	"encoding/json"
	"io"
	"strconv"

	"tickcast/wire"
)

const (
	slotsPerPlayer = 2
	stakeUnit      = 100 // stakes are multiples, so that payouts are exact
	maxStake       = 1_000_000_000
	maxTotal       = 100_000_000_000_000
)

// members calls visit for the members of a JSON object, with names and values as they
// were written. It reports whether raw is one object whose members visit took. A name
// that was written with escapes is none.
func members(raw []byte, visit func(name string, value []byte) bool) bool {
	if !json.Valid(raw) {
		return false
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return false
	}
	for d.More() {
		token, err := d.Token()
		name, ok := token.(string)
		if err != nil || !ok || !bytes.HasSuffix(raw[:d.InputOffset()], []byte(`"`+name+`"`)) {
			return false
		}
		var value json.RawMessage
		if d.Decode(&value) != nil || !visit(name, value) {
			return false
		}
	}
	_, err := d.Token()
	_, end := d.Token()
	return err == nil && end == io.EOF
}

// integer reads plain digits.
func integer(value []byte) (int64, bool) {
	n, err := strconv.ParseInt(string(value), 10, 64)
	return n, err == nil
}

// betArgs are the arguments of the three commands of crash.
type betArgs struct {
	slot         int
	amount, auto int64
}

// parseBet reads arguments: those named in wanted, each once; all but auto must be there.
func parseBet(raw []byte, wanted ...string) (a betArgs, ok bool) {
	seen := map[string]bool{}
	good := true
	ok = members(raw, func(name string, value []byte) bool {
		known := false
		for _, w := range wanted {
			known = known || w == name
		}
		if !known || seen[name] {
			return false
		}
		seen[name] = true
		n, plain := integer(value)
		switch name {
		case "slot":
			good = good && plain && n >= 0 && n < slotsPerPlayer
			a.slot = int(n)
		case "amount":
			good = good && plain && n > 0 && n%stakeUnit == 0
			a.amount = n
		case "auto":
			good = good && plain && n > firstCenti
			a.auto = n
		}
		return true
	})
	for _, w := range wanted {
		good = good && (seen[w] || w == "auto")
	}
	return a, ok && good
}

// settings of a crash room.
type settings struct {
	Version, RTPBP                 int64
	BettingMS, LockMS, CrashedMS   int64
	MinStake, MaxStake             int64
	MaxWin, MaxRoundWin, Cap, Tick int64
}

func defaultSettings() settings {
	return settings{
		Version: 1, RTPBP: 9900, BettingMS: 5000, LockMS: 1000, CrashedMS: 3000, MinStake: 100, MaxStake: 100_000,
		MaxWin: 10_000_000, MaxRoundWin: 100_000_000, Cap: 100_000, Tick: 100,
	}
}

func (s *settings) field(name string) *int64 {
	switch name {
	case "rtp_bp":
		return &s.RTPBP
	case "betting_ms":
		return &s.BettingMS
	case "lock_ms":
		return &s.LockMS
	case "crashed_ms":
		return &s.CrashedMS
	case "min_stake":
		return &s.MinStake
	case "max_stake":
		return &s.MaxStake
	case "max_win":
		return &s.MaxWin
	case "max_round_win":
		return &s.MaxRoundWin
	case "cap":
		return &s.Cap
	case "tick_ms":
		return &s.Tick
	}
	return nil
}

func (s *settings) valid() bool {
	within := func(n, low, high int64) bool { return low <= n && n <= high }
	return within(s.RTPBP, 8000, 10_000) && within(s.BettingMS, 100, 600_000) && within(s.LockMS, 100, 10_000) &&
		within(s.CrashedMS, 100, 60_000) && within(s.MinStake, stakeUnit, maxStake) && s.MinStake%stakeUnit == 0 &&
		within(s.MaxStake, s.MinStake, maxStake) && s.MaxStake%stakeUnit == 0 && within(s.MaxWin, 2*s.MinStake, maxTotal) &&
		within(s.MaxRoundWin, 2*s.MinStake, maxTotal) && within(s.Cap, firstCenti+1, lastCenti-1) && within(s.Tick, 50, 1000)
}

// change is what a set action asks for.
type change struct {
	settings     settings
	changed      bool
	salt, source string
}

// parseChange reads settings on top of others, and a salt where withSalt allows one.
func parseChange(base settings, raw []byte, withSalt bool) (change, bool) {
	c := change{settings: base}
	ok := members(raw, func(name string, value []byte) bool {
		var text string
		switch {
		case withSalt && name == "salt":
			if json.Unmarshal(value, &text) != nil || !validSalt(text) {
				return false
			}
			c.salt = text
			return true
		case withSalt && name == "salt_source":
			if json.Unmarshal(value, &text) != nil || !wire.ValidText(text, 64) || text == "server" {
				return false
			}
			c.source = text
			return true
		}
		field := c.settings.field(name)
		n, plain := integer(value)
		if field == nil || !plain {
			return false
		}
		*field, c.changed = n, true
		return true
	})
	return c, ok && (c.source == "" || c.salt != "") && c.settings.valid()
}

func validSalt(s string) bool {
	if len(s) < 16 || len(s) > 128 {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
