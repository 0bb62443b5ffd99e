package audit

import (
	"context"

	"tickcast/archive"
	"tickcast/audit/judge"
)

// Source gives the records of the logs of a deployment. It is used by one goroutine.
type Source interface {
	// Partitions is the number of partitions.
	Partitions(ctx context.Context) (int, error)
	// Last is the sequence of the newest record of a partition, 0 for none.
	Last(ctx context.Context, partition int) (uint64, error)
	// Read hands the records from and to, inclusive, to take, in order and without a gap.
	// It returns the error of take, or why it could not read.
	Read(ctx context.Context, partition int, from, to uint64, take func(archive.Record) error) error
}

func judged(r *archive.Record) judge.Record {
	return judge.Record{Seq: r.Seq, Time: r.Time, Subject: r.Subject, Data: r.Data, Foreign: r.Foreign()}
}
