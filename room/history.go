package room

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

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

// Unsettled is what is under way at the end of a log.
type Unsettled struct {
	Bookings []wire.Booking // without a result, in the order of asking
	// Rounds are the first rounds that are not over, of rooms that take stakes, by the
	// rooms' UUIDs.
	Rounds map[string]uint64
}

// History folds the log of a partition from its first record to its last and hands
// every booking whose result is in the log to visit, in the order of the results. What was
// trimmed is read from the given stores of the archive. Of the configuration the games,
// with their secrets, are needed; Created is the stream's.
func History(ctx context.Context, nc *nats.Conn, stores []archive.Store, cfg PartitionConfig, visit func(Booked)) (Unsettled, error) {
	p, err := history(ctx, nc, stores, cfg, visit)
	if err != nil {
		return Unsettled{}, fmt.Errorf("read history of partition %d: %w", cfg.ID, err)
	}
	return p.unsettled(), nil
}

func (p *Partition) unsettled() Unsettled {
	u := Unsettled{Bookings: p.pending.list(), Rounds: map[string]uint64{}}
	for _, r := range p.rooms {
		if k, ok := r.game.(game.Staking); ok {
			s := k.Stakes()
			u.Rounds[r.uuid] = s.Round
			if s.Over {
				u.Rounds[r.uuid]++
			}
		}
	}
	return u
}

func history(ctx context.Context, nc *nats.Conn, stores []archive.Store, cfg PartitionConfig, visit func(Booked)) (*Partition, error) {
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
		if booked, ok := p.answered(rec); ok {
			visit(booked)
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
