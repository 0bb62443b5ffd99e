package ledger

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/wire"
)

// Untold is the result of a booking that mended the book, for the log of a partition.
type Untold struct {
	Partition int
	Result    wire.BookingResult
}

// untold are the mends whose results the log does not have: it is the log that an auditor
// believes. Those that a wallet has not answered have none yet.
func (b *Book) untold(ctx context.Context, log *Log) (list []Untold, err error) {
	query := b.dialect.rebind(`SELECT b.id, b.player, b.balance, b.version, COALESCE(t.room, a.room), COALESCE(a.action, '{}') FROM bookings b
		LEFT JOIN transfers t ON t.id = b.id LEFT JOIN audit a ON a.booking = b.id
		WHERE b.booked = 1 AND b.id LIKE CAST(? AS TEXT) ORDER BY b.id`)
	err = eachRow(ctx, b.read, query, []any{wire.MendPrefix + "%"}, func(r *sql.Rows) error {
		u := Untold{Result: wire.BookingResult{Booked: true}}
		var room, note string
		if err := r.Scan(&u.Result.ID, &u.Result.Player, &u.Result.Balance, &u.Result.Version, &room, &note); err != nil || log.Mends[u.Result.ID] {
			return err
		}
		var kept struct{ Args noteArgs }
		err := json.Unmarshal([]byte(note), &kept)
		u.Partition, u.Result.Kept = partitionOf(room, log.Partitions), kept.Args.Paid
		list = append(list, u)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read mends: %w", err)
	}
	return list, nil
}

// partitionOf is where a room is; 0 when it is not known how many partitions there are.
func partitionOf(room string, partitions int) int {
	if partitions < 1 {
		return 0
	}
	return wire.PartitionOf(room, partitions)
}

// Tell writes what is untold into the logs, by a connection of the ledger's role. No fold
// awaits it, so it changes no room; what was told before may be told again.
func Tell(ctx context.Context, nc *nats.Conn, list []Untold) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("tell the log: %w", err)
	}
	for _, u := range list {
		body, err := json.Marshal(u.Result)
		if err != nil {
			return fmt.Errorf("tell the log: %w", err)
		}
		sum := sha256.Sum256([]byte(u.Result.ID))
		id := "res-" + base64.RawURLEncoding.EncodeToString(sum[:16])
		if _, err := js.Publish(ctx, wire.ResultSubject(u.Partition), body, jetstream.WithMsgID(id)); err != nil {
			return fmt.Errorf("tell the log of partition %d of %s: %w", u.Partition, u.Result.ID, err)
		}
	}
	return nil
}
