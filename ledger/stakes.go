package ledger

import (
	"context"
	"database/sql"
	"fmt"

	"tickcast/wire"
)

// Stakes tells what the book knows beside what rooms know of their stakes: those without
// an end from their current rounds on, or for which it waits for a wallet, those of theirs
// that have an end, and their newest archived rounds.
func (b *Book) Stakes(ctx context.Context, q wire.StakesQuery) (reply wire.StakesReply, err error) {
	begun, err := b.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return reply, fmt.Errorf("read stakes: begin: %w", err)
	}
	defer func() { _ = begun.Rollback() }()
	t := tx{Tx: begun, dialect: b.dialect}
	reply.Archived = map[string]uint64{}
	for _, uuid := range sortedKeys(q.Rounds) {
		if err := t.stakesOf(ctx, uuid, q.Rounds[uuid], &reply); err != nil {
			return reply, fmt.Errorf("read stakes of room %s: %w", uuid, err)
		}
	}
	if b.custody {
		if err := t.stakesAtWallet(ctx, q.Rounds, &reply); err != nil {
			return reply, fmt.Errorf("read stakes that a wallet is asked for: %w", err)
		}
	}
	err = t.eachIn(ctx, `SELECT bet FROM ends WHERE bet IN (?)`, q.Open, func(r *sql.Rows) error {
		var id string
		err := r.Scan(&id)
		reply.Ended = append(reply.Ended, id)
		return err
	})
	if err != nil {
		return reply, fmt.Errorf("read ends of stakes: %w", err)
	}
	return reply, nil
}

// stakesOf adds what the book knows of one room.
func (t tx) stakesOf(ctx context.Context, uuid string, round uint64, reply *wire.StakesReply) error {
	err := t.each(ctx, `SELECT COALESCE(MAX(round), 0) FROM rounds WHERE room_uuid = ?`, []any{uuid}, func(r *sql.Rows) error {
		var newest uint64
		err := r.Scan(&newest)
		reply.Archived[uuid] = newest
		return err
	})
	if err != nil {
		return err
	}
	query := `SELECT b.id, b.player, b.room, b.round, b.stake FROM bets b LEFT JOIN ends e ON e.bet = b.id
		WHERE b.room_uuid = ? AND b.round >= ? AND e.bet IS NULL ORDER BY b.id LIMIT ?`
	return t.each(ctx, query, []any{uuid, int64(round), wire.MaxOrphans - len(reply.Open)}, func(r *sql.Rows) error {
		var s wire.OpenStake
		err := r.Scan(&s.ID, &s.Player, &s.Room, &s.Round, &s.Amount)
		reply.Open = append(reply.Open, s)
		return err
	})
}

// stakesAtWallet adds those that are booked when a wallet has answered.
func (t tx) stakesAtWallet(ctx context.Context, rounds map[string]uint64, reply *wire.StakesReply) error {
	query := `SELECT ` + callColumns + ` FROM calls WHERE state = ? AND op = ? ORDER BY id`
	return t.each(ctx, query, []any{string(callOpen), string(opWithdraw)}, func(r *sql.Rows) error {
		var c call
		if err := c.scan(r); err != nil {
			return err
		}
		b, err := c.decoded()
		if err != nil || b.Bet == nil || len(reply.Open) >= wire.MaxOrphans {
			return err
		}
		if round, asked := rounds[b.Bet.RoomUUID]; asked && b.Bet.Round >= round {
			reply.Open = append(reply.Open, wire.OpenStake{ID: b.ID, Player: b.Player, Room: b.Room, Round: b.Bet.Round, Amount: b.Amount})
		}
		return nil
	})
}
