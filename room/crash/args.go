package crash

import (
	"encoding/json"
	"strconv"

	"tickcast/wire"
)

// betArgs are the arguments of the three commands; which fields one has is said
// by the set of names it allows.
type betArgs struct {
	slot   int
	amount int64
	auto   int64 // 0 for none
}

type argSet uint8

const (
	argSlot argSet = 1 << iota
	argAmount
	argAuto
)

// parseArgs reads the arguments of a command. It is strict, because what it lets
// through is money: names that are not wanted, written with escapes or given
// twice are refused, and a number is a plain JSON integer without fraction or
// exponent that fits 64 bits. All wanted arguments but auto are required.
func parseArgs(raw []byte, wanted argSet) (a betArgs, e *wire.Error) {
	var seen argSet
	ok := scanObject(raw, func(name, value []byte) bool {
		arg := argNamed(name) & wanted
		if arg == 0 || seen&arg != 0 {
			return false
		}
		seen |= arg
		if e == nil {
			e = a.set(arg, value)
		}
		return true
	})
	switch {
	case !ok:
		return betArgs{}, wire.Errorf(wire.CodeBadArgs, "args must be a JSON object with the arguments of the operation and no others")
	case e != nil:
		return betArgs{}, e
	case wanted&^seen&argSlot != 0:
		return betArgs{}, badSlot()
	case wanted&^seen&argAmount != 0:
		return betArgs{}, badAmount()
	}
	return a, nil
}

func argNamed(name []byte) argSet {
	switch string(name) {
	case "slot":
		return argSlot
	case "amount":
		return argAmount
	case "auto":
		return argAuto
	}
	return 0
}

func (a *betArgs) set(arg argSet, value []byte) *wire.Error {
	n, ok := plainInteger(value)
	switch arg {
	case argSlot:
		if !ok || n < 0 || n >= slots {
			return badSlot()
		}
		a.slot = int(n)
	case argAmount:
		if !ok || n <= 0 || n%stakeUnit != 0 {
			return badAmount()
		}
		a.amount = n
	case argAuto:
		if !ok || n <= minCenti {
			return wire.Errorf(wire.CodeBadTarget, "auto must be an integer from %d to the room's cap", minCenti+1)
		}
		a.auto = n
	}
	return nil
}

func badSlot() *wire.Error { return wire.Errorf(wire.CodeBadSlot, "slot must be 0 or 1") }

func badAmount() *wire.Error {
	return wire.Errorf(wire.CodeBadAmount, "amount must be a positive integer, a multiple of %d, without fraction or exponent", stakeUnit)
}

// plainInteger reads a JSON value that is an integer in plain digits.
func plainInteger(value []byte) (int64, bool) {
	n, err := strconv.ParseInt(string(value), 10, 64)
	return n, err == nil
}

// scanObject calls visit for each member of a JSON object, with the name between
// its quotes as written and the raw value. It reports whether raw is one object
// and every visit returned true.
func scanObject(raw []byte, visit func(name, value []byte) bool) bool {
	if !json.Valid(raw) {
		return false
	}
	// From here on raw is well formed: the scan only has to find where things end.
	s := skipSpace(raw)
	if s[0] != '{' {
		return false
	}
	s = skipSpace(s[1:])
	for s[0] != '}' {
		n := valueEnd(s)
		name := s[1 : n-1]
		s = skipSpace(skipSpace(s[n:])[1:]) // over the colon
		n = valueEnd(s)
		if !visit(name, s[:n]) {
			return false
		}
		if s = skipSpace(s[n:]); s[0] == ',' {
			s = skipSpace(s[1:])
		}
	}
	return true
}

func skipSpace(s []byte) []byte {
	for len(s) > 0 && (s[0] == ' ' || s[0] == '\t' || s[0] == '\n' || s[0] == '\r') {
		s = s[1:]
	}
	return s
}

// valueEnd is the length of the JSON value that well-formed s begins with.
func valueEnd(s []byte) int {
	depth, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
			if !quoted && depth == 0 {
				return i + 1
			}
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth == 0 {
				return i // the end of what a number or a word stood in
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case depth == 0 && (c == ',' || c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			return i
		}
	}
	return len(s)
}
