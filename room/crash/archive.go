package crash

import (
	"encoding/json"
	"slices"
	"strconv"

	"tickcast/room/game"
	"tickcast/wire"
)

// bookStake asks the ledger for a bet's stake.
func (r *Room) bookStake(at game.At, b *bet, guest bool, fx *game.Effects) {
	b.AwaitStake = true
	r.await(b.stakeID(), b)
	booking := r.booking(at, b, wire.BookStake, b.stakeID())
	booking.Guest, booking.Amount = guest, b.Stake
	booking.Bet = &wire.BetRecord{RoomUUID: r.UUID, Game: KindName, Round: b.round.Number, Slot: b.Slot, Auto: b.Auto}
	fx.Book(booking)
}

// bookEnd asks the ledger for the end of a bet that was won or refunded.
func (r *Room) bookEnd(at game.At, b *bet, reason string, fx *game.Effects) {
	b.AwaitEnd = true
	r.await(b.endID(), b)
	booking := r.booking(at, b, wire.BookCancel, b.endID())
	booking.Stake, booking.Amount, booking.Reason = b.stakeID(), b.Stake, reason
	if b.State == betWon {
		booking.Kind, booking.Amount, booking.Centi = wire.BookPayout, b.Payout, b.Centi
	}
	fx.Book(booking)
}

func (r *Room) booking(at game.At, b *bet, kind wire.BookingKind, id string) wire.Booking {
	return wire.Booking{
		ID: id, Kind: kind, Partition: r.Partition, Room: r.ID, At: at.Wall,
		Player: b.Player, Name: b.Name,
	}
}

func (r *Room) await(id string, b *bet) {
	r.awaited[id] = b
	b.round.awaited++
}

// outcome is what the archive keeps of a round.
type outcome struct {
	Centi      int64  `json:"centi"` // 0 if voided
	Seed       string `json:"seed"`
	Salt       string `json:"salt"`
	Chain      uint32 `json:"chain"`
	Index      uint64 `json:"index"`
	Commitment string `json:"commitment"`
	RTPBP      int64  `json:"rtp_bp"`
	Cap        int64  `json:"cap"`
	Count      int    `json:"count"`
	Stake      int64  `json:"stake"`
	Paid       int64  `json:"paid"`
	Rules      int    `json:"rules"`
}

// archive hands a finished round to the archive once every booking of its bets
// has its result; the archive then closes what is open as lost. The room goes on
// meanwhile: with the ledger away, several rounds may wait here.
func (r *Room) archive(at game.At, rd *round, fx *game.Effects) {
	if !rd.Done || rd.Archived || rd.awaited > 0 {
		return
	}
	rd.Archived = true
	r.Closing = slices.DeleteFunc(r.Closing, func(x *round) bool { return x == rd })
	record := &wire.RoundRecord{
		RoomUUID: r.UUID, Game: KindName, Round: rd.Number, Voided: rd.Voided,
		Started: rd.Started, Ended: rd.Ended, Outcome: rd.outcome(),
	}
	fx.Book(wire.Booking{
		ID:   "round/" + r.UUID + "/" + strconv.FormatUint(rd.Number, 10),
		Kind: wire.BookRound, Partition: r.Partition, Room: r.ID, At: at.Wall, Round: record,
	})
}

func (rd *round) outcome() json.RawMessage {
	return game.Encode(outcome{
		Centi: rd.Centi, Seed: rd.Seed, Salt: rd.Salt, Chain: rd.Chain, Index: rd.Index,
		Commitment: rd.Commitment, RTPBP: rd.Settings.RTPBP, Cap: rd.Settings.Cap,
		Count: rd.Count, Stake: rd.Stake, Paid: rd.Paid, Rules: rd.Rules,
	})
}
