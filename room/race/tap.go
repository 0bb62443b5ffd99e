package race

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"

	"tickcast/room/game"
	"tickcast/wire"
)

// opTap is the one operation of a race (P8.3).
const opTap = "tap"

// maxTaps bounds the taps of a player in one round.
const maxTaps = 100_000

// tapResult answers a tap.
type tapResult struct {
	Points int64 `json:"points"`
}

// Command implements game.Room.
func (r *room) Command(at game.At, c game.Command, fx *game.Effects) {
	if c.Op != opTap {
		fx.Refuse(c.Ref, wire.Errorf(wire.CodeUnknownOp, "a race has no operation %q, only %q", c.Op, opTap))
		return
	}
	n, ok := parseTap(c.Args)
	if !ok {
		fx.Refuse(c.Ref, wire.Errorf(wire.CodeBadArgs, `args are {"n":…}, your taps so far as an integer from 1 to %d`, maxTaps))
		return
	}
	if refusal := r.judge(at.Now, c.Round, n); refusal != nil {
		fx.Refuse(c.Ref, refusal)
		return
	}
	// What is not UTF-8 would come back from a snapshot as something else.
	points, changed := r.board.tap(c.Player, strings.ToValidUTF8(c.Name, "\uFFFD"), n)
	if changed {
		r.news(at.Now)
	}
	fx.Answer(c.Ref, tapResult{Points: points})
}

func (r *room) judge(now game.Time, round uint64, n int64) *wire.Error {
	if round != r.state.Round {
		return wire.Errorf(wire.CodeWrongRound, "the round is %d", r.state.Round)
	}
	if r.Phase != phaseRunning {
		return wire.Errorf(wire.CodeWrongPhase, "taps count while the race is running, the phase is %s", r.Phase)
	}
	begun := int64((now-r.Start)/game.Time(time.Second)) + 1
	if limit := begun * r.Settings.MaxTapsPerSec; n > limit {
		return wire.Errorf(wire.CodeTooFast, "at most %d taps so far", limit)
	}
	return nil
}

// parseTap reads the arguments of a tap: an object whose n is an integer without
// fraction or exponent, from 1 to maxTaps.
func parseTap(args []byte) (n int64, ok bool) {
	if n, ok := plainTap(args); ok {
		return n, 1 <= n && n <= maxTaps
	}
	var a struct {
		N int64 `json:"n"`
	}
	if err := json.Unmarshal(args, &a); err != nil {
		return 0, false
	}
	return a.N, 1 <= a.N && a.N <= maxTaps
}

// plainTap reads the arguments as every client of ours writes them: {"n":17}. It is
// what most of a race's records are.
func plainTap(args []byte) (n int64, ok bool) {
	digits, ok := bytes.CutPrefix(args, []byte(`{"n":`))
	digits, closed := bytes.CutSuffix(digits, []byte("}"))
	if !ok || !closed || len(digits) == 0 || len(digits) > len("100000") || digits[0] == '0' {
		return 0, false
	}
	for _, d := range digits {
		if d < '0' || d > '9' {
			return 0, false
		}
		n = 10*n + int64(d-'0')
	}
	return n, true
}
