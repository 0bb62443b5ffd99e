package room

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/wire"
)

// Booked is a booking with the first result that the log has of it.
type Booked struct {
	Booking wire.Booking
	Result  wire.BookingResult
	Time    int64 // stored timestamp of the result, Unix ns
}

// History folds the log of a partition from its first record to its last and hands
// every booking whose result is in the log to visit, in the order of the results. Of the
// configuration the games, with their secrets, are needed; Created is the stream's. A log
// whose beginning was trimmed is an error.
func History(ctx context.Context, nc *nats.Conn, cfg PartitionConfig, visit func(Booked)) error {
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("read history of partition %d: %w", cfg.ID, err)
	}
	f, err := openFeed(ctx, nc, js, cfg.ID)
	if err != nil {
		return fmt.Errorf("read history of partition %d: %w", cfg.ID, err)
	}
	defer f.close()
	info, err := f.stream.Info(ctx)
	if err != nil {
		return fmt.Errorf("read history of partition %d: %w", cfg.ID, err)
	}
	if info.State.Msgs > 0 && info.State.FirstSeq != 1 {
		return fmt.Errorf("read history of partition %d: the log begins at record %d, and what was booked before is not in it", cfg.ID, info.State.FirstSeq)
	}
	cfg.Created = f.created()
	p := NewPartition(cfg)
	var out Output
	return f.read(ctx, 1, info.State.LastSeq, func(rec Record) error {
		if booked, ok := p.answered(rec); ok {
			visit(booked)
		}
		return p.Apply(rec, &out)
	})
}

// answered is the outstanding booking that a record answers.
func (p *Partition) answered(rec Record) (Booked, bool) {
	var res wire.BookingResult
	if rec.Forged || rec.Kind != wire.KindResult || json.Unmarshal(rec.Data, &res) != nil {
		return Booked{}, false
	}
	n, ok := p.pending.byID[res.ID]
	if !ok {
		return Booked{}, false
	}
	return Booked{Booking: p.pending.byNum[n], Result: res, Time: rec.Time}, true
}
