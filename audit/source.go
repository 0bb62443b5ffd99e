package audit

import (
	"context"

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
	Read(ctx context.Context, partition int, from, to uint64, take func(Record) error) error
}

// Record is a record as it stands in a stream.
type Record struct {
	Stream  string
	Seq     uint64
	Time    int64 // stored timestamp, Unix ns
	Subject string
	Headers map[string][]string // as stored
	Data    []byte
}

// headerStream is the header by which a stream marks what it hands out. A stored record
// that has it is an answer of JetStream, which somebody had sent to a subject of the log.
const headerStream = "Nats-Stream"

func (r *Record) judged() judge.Record {
	return judge.Record{Seq: r.Seq, Time: r.Time, Subject: r.Subject, Data: r.Data, Foreign: len(r.Headers[headerStream]) > 0}
}
