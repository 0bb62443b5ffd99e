package room

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/archive"
	"tickcast/room/game"
	"tickcast/wire"
)

// Booked is a booking with the first result that the log has of it.
type Booked struct {
	Booking wire.Booking
	Result  wire.BookingResult
	Time    int64 // stored timestamp of the result, Unix ns
}

// Said is what a log tells besides, at its end.
type Said struct {
	Bookings []wire.Booking // without a result, in the order of asking
	// Rounds are the first rounds that are not over, of rooms that take stakes, by the
	// rooms' UUIDs.
	Rounds map[string]uint64
	Mends  []string // bookings that mended the ledger, by ID (wire.MendPrefix)
}

// History folds the log of a partition from its first record to its last and hands
// every booking whose result is in the log to visit, in the order of the results. What was
// trimmed is read from the given stores of the archive. Of the configuration the games,
// with their secrets, are needed; Created is the stream's.
func History(ctx context.Context, nc *nats.Conn, stores []archive.Store, cfg PartitionConfig, visit func(Booked)) (Said, error) {
	var mends []string
	p, err := history(ctx, nc, stores, cfg, func(b Booked, asked bool) {
		switch {
		case asked:
			visit(b)
		case strings.HasPrefix(b.Result.ID, wire.MendPrefix):
			mends = append(mends, b.Result.ID)
		}
	})
	if err != nil {
		return Said{}, fmt.Errorf("read history of partition %d: %w", cfg.ID, err)
	}
	return Said{p.pending.list(), p.unsettled(), mends}, nil
}

// unsettled are the first rounds that are not over.
func (p *Partition) unsettled() map[string]uint64 {
	rounds := map[string]uint64{}
	for _, r := range p.rooms {
		if k, ok := r.game.(game.Staking); ok {
			s := k.Stakes()
			rounds[r.uuid] = s.Round
			if s.Over {
				rounds[r.uuid]++
			}
		}
	}
	return rounds
}

// history hands the results to visit, and whether their bookings are outstanding.
func history(ctx context.Context, nc *nats.Conn, stores []archive.Store, cfg PartitionConfig, visit func(b Booked, asked bool)) (*Partition, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, err
	}
	f, err := openFeed(ctx, nc, js, cfg.ID)
	if err != nil {
		return nil, err
	}
	defer f.close()
	trimmed, err := archive.NewReader(nc, stores...)
	if err != nil {
		return nil, err
	}
	last, err := f.lastSeq(ctx)
	if err != nil {
		return nil, err
	}
	cfg.Created = f.created()
	p := NewPartition(cfg)
	var out Output
	fold := func(rec Record) error {
		if booked, asked, ok := p.answered(rec); ok {
			visit(booked, asked)
		}
		return p.Apply(rec, &out)
	}
	for p.last.Seq < last {
		_, err := trimmed.ReadTrimmed(ctx, cfg.ID, p.last.Seq+1, last, func(stored archive.Record) error {
			rec, err := f.record(stored.Subject, Record{Seq: stored.Seq, Time: stored.Time, Data: stored.Data}, !stored.Foreign())
			if err != nil {
				return err
			}
			return fold(rec)
		})
		if err != nil {
			return nil, err
		}
		if err := f.read(ctx, p.last.Seq+1, last, fold); err != nil && !errors.Is(err, ErrTrimmed) {
			return nil, err
		}
	}
	return p, nil
}

// answered is what a record answers; asked tells that it is an outstanding booking, of
// others the result alone is known. ok is false for what is no answer.
func (p *Partition) answered(rec Record) (b Booked, asked, ok bool) {
	b.Time = rec.Time
	if rec.Forged || rec.Kind != wire.KindResult || json.Unmarshal(rec.Data, &b.Result) != nil {
		return Booked{}, false, false
	}
	n, asked := p.pending.byID[b.Result.ID]
	if asked {
		b.Booking = p.pending.byNum[n]
	}
	return b, asked, true
}
