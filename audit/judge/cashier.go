package judge

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"

	"tickcast/wire"
)

// Limits of credits, in minor units.
const (
	minCredit      = 100
	maxCredit      = 1_000_000_000_000
	maxReasonBytes = 280
)

// cashier is the room that every partition has: refills and credits.
type cashier struct {
	log     *Log
	keys    *keyTable
	refills map[string]bool // players whose refill is on its way
}

func newCashier(l *Log) cashier {
	return cashier{log: l, keys: newKeyTable(), refills: map[string]bool{}}
}

// command books a refill, unless the player waits for one.
func (c *cashier) command(cmd *wire.Command) {
	id := keyID{cmd.Player, cmd.Key}
	if c.keys.knows(id) || !c.keys.file(id, 0) || cmd.Op != "refill" || c.refills[cmd.Player] {
		return
	}
	c.refills[cmd.Player] = true
	sum := sha256.Sum256([]byte(cmd.Player + "\x00" + cmd.Key))
	c.log.ask(&Booking{
		ID: "refill/" + base64.RawURLEncoding.EncodeToString(sum[:18]), Kind: wire.BookRefill,
		Room: wire.CashierRoom, Player: cmd.Player, Amount: wire.GrantAmount,
	})
}

func (c *cashier) answered(b *Booking) { delete(c.refills, b.Player) }

// act books a credit. Mutes and kicks move no money.
func (c *cashier) act(a *wire.Action) {
	var args wire.PlayerArgs
	if a.Op != wire.ActionCredit || json.Unmarshal(a.Args, &args) != nil || !wire.ValidPlayer(args.Player) ||
		args.Reason != "" && !wire.ValidText(args.Reason, maxReasonBytes) || args.Amount < minCredit || args.Amount > maxCredit {
		return
	}
	c.log.ask(&Booking{
		ID: "credit/" + a.ID, Kind: wire.BookCredit, Room: wire.CashierRoom,
		Player: args.Player, Amount: args.Amount, Operator: a.Operator, Reason: args.Reason,
	})
}
