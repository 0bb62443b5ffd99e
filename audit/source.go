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
	Headers map[string][]string // those by which its writer and the stream marked it
	Data    []byte
}

// headerStream is the header by which a stream marks what it hands out.
const headerStream = "Nats-Stream"

// judged is the record as it is judged. A record that somebody published has been marked
// once, by its own stream; an answer of JetStream that was stored has other marks, too.
func (r *Record) judged() judge.Record {
	mark := r.Headers[headerStream]
	return judge.Record{
		Seq: r.Seq, Time: r.Time, Subject: r.Subject, Data: r.Data,
		Foreign: len(mark) != 1 || mark[0] != r.Stream,
	}
}
