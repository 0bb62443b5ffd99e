package cashier

import (
	"encoding/json"
	"maps"
	"slices"

	"tickcast/room/game"
	"tickcast/wire"
)

// Limits of what operators may do.
const (
	minCredit = 100
	maxCredit = 1_000_000_000_000 // stays far from overflow and exact in JavaScript
	// maxUntil is the end of the year 9999 in Unix ms: later is a mistake in units.
	maxUntil       = 253_402_300_799_999
	maxReasonBytes = 280
)

// sanctions are the sanctions in force, by player.
type sanctions map[string]wire.Sanction

func newSanctions(list []wire.Sanction) sanctions {
	all := sanctions{}
	for _, s := range list {
		all[s.Player] = s
	}
	return all
}

// credit gives play credits to a player.
func (r *room) credit(at game.At, a wire.Action, fx *game.Effects) *wire.Error {
	args, refusal := parsePlayerArgs(a.Args)
	if refusal != nil {
		return refusal
	}
	if args.Amount < minCredit || args.Amount > maxCredit {
		return wire.Errorf(wire.CodeBadAmount, "amount is in minor units, from %d to %d", minCredit, int64(maxCredit))
	}
	b := r.booking(at, wire.BookCredit, "credit/"+a.ID)
	b.Player, b.Amount, b.Operator, b.Reason = args.Player, args.Amount, a.Operator, args.Reason
	fx.Book(b)
	return nil
}

// sanction mutes or kicks a player until a time; one that is past lifts it. The
// other sanction of the player stays as it is.
func (r *room) sanction(a wire.Action, fx *game.Effects) *wire.Error {
	args, refusal := parsePlayerArgs(a.Args)
	if refusal != nil {
		return refusal
	}
	if args.Until < 0 || args.Until > maxUntil {
		return wire.Errorf(wire.CodeBadArgs, "until is a time in Unix ms, at most %d; 0 lifts the sanction", int64(maxUntil))
	}
	s := r.sanctions[args.Player]
	s.Player = args.Player
	if a.Op == wire.ActionMute {
		s.MutedUntil = args.Until
	} else {
		s.KickedUntil = args.Until
	}
	r.sanctions[s.Player] = s
	r.sanctions.expire(a.At)
	fx.Sanction(current(s, a.At))
	return nil
}

// expire forgets what has ended by now, which is the time of an action: without
// one nothing here changes.
func (all sanctions) expire(now int64) {
	for player, s := range all {
		s = current(s, now)
		if s.MutedUntil == 0 && s.KickedUntil == 0 {
			delete(all, player)
			continue
		}
		all[player] = s
	}
}

// current is s without what has ended by now.
func current(s wire.Sanction, now int64) wire.Sanction {
	if s.MutedUntil <= now {
		s.MutedUntil = 0
	}
	if s.KickedUntil <= now {
		s.KickedUntil = 0
	}
	return s
}

// list is the sanctions in a fixed order.
func (all sanctions) list() []wire.Sanction {
	out := make([]wire.Sanction, 0, len(all))
	for _, p := range slices.Sorted(maps.Keys(all)) {
		out = append(out, all[p])
	}
	return out
}

// parsePlayerArgs reads the arguments of an operator's action on a player.
func parsePlayerArgs(b []byte) (wire.PlayerArgs, *wire.Error) {
	var args wire.PlayerArgs
	if err := json.Unmarshal(b, &args); err != nil {
		// The library's text is left out: refusals are folded state.
		return wire.PlayerArgs{}, wire.Errorf(wire.CodeBadArgs, "args are an object with player, and amount or until as integers")
	}
	if !wire.ValidPlayer(args.Player) {
		return wire.PlayerArgs{}, wire.Errorf(wire.CodeBadArgs, "player is not a player ID")
	}
	if args.Reason != "" && !wire.ValidText(args.Reason, maxReasonBytes) {
		return wire.PlayerArgs{}, wire.Errorf(wire.CodeBadArgs, "reason is text of at most %d bytes", maxReasonBytes)
	}
	return args, nil
}
