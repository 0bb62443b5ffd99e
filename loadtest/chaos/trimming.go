package chaos

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tickcast/loadtest"
	"tickcast/wire"
)

// With these settings of the room servers a log is trimmed every few seconds: it takes
// thirty records a second in a race, and a hundred in a room of crash.
const (
	keptRecords       = 300
	segmentRecords    = 100
	checkpointRecords = 250
	// mostRecords bounds a log. Without faults it has the records that stay, those since the
	// older of two checkpoints, the third of which is on its way, and what does not fill a
	// segment: some 1,200. What cannot be written while the storage has no leader is made up
	// for by what is next.
	mostRecords = 4_000
	// leastTrims is how often each log must have been trimmed.
	leastTrims = 10
	// lookPause is the time between two looks at the logs.
	lookPause = 500 * time.Millisecond
)

// trimOptions are the settings of a room server.
func trimOptions() []string {
	return []string{
		"--log-keep", strconv.Itoa(keptRecords), "--segment-records", strconv.Itoa(segmentRecords), "--checkpoint-records", strconv.Itoa(checkpointRecords),
	}
}

// logState is what a stream tells of a log at one moment.
type logState struct {
	first, last, records uint64
	claimed              bool // it has the claim of an owner
}

// trimming is what was seen of a log's length. It is used by one goroutine.
type trimming struct {
	newest  logState
	longest uint64
	trims   int // times that it began later than before
	looks   int
	bare    int // looks at which it had no claim
}

// saw takes in a look at the log.
func (t *trimming) saw(s logState) {
	if t.looks > 0 && s.first > t.newest.first {
		t.trims++
	}
	if !s.claimed {
		t.bare++
	}
	t.looks++
	t.longest = max(t.longest, s.records)
	t.newest = s
}

// logWatch looks at the logs of all partitions.
type logWatch struct {
	js   jetstream.JetStream // static
	logs [partitions]trimming
}

// run looks until ctx ends.
func (w *logWatch) run(ctx context.Context) {
	for ctx.Err() == nil {
		for p := range w.logs {
			_ = w.look(ctx, p) // a log without a leader is looked at again
		}
		wait(ctx, lookPause)
	}
}

func (w *logWatch) look(ctx context.Context, p int) error {
	ctx, cancel := context.WithTimeout(ctx, logTimeout)
	defer cancel()
	s, err := w.js.Stream(ctx, wire.PartitionStream(p))
	if err != nil {
		return fmt.Errorf("look at the log of partition %d: %w", p, err)
	}
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(wire.ClaimSubject(p)))
	if err != nil {
		return fmt.Errorf("look at the log of partition %d: %w", p, err)
	}
	w.logs[p].saw(logState{
		first: info.State.FirstSeq, last: info.State.LastSeq, records: info.State.Msgs, claimed: info.State.Subjects[wire.ClaimSubject(p)] > 0,
	})
	return nil
}

// finish looks at every log once more, when they stand still.
func (w *logWatch) finish(ctx context.Context) error {
	for p := range w.logs {
		if err := until(ctx, func() error { return w.look(ctx, p) }); err != nil {
			return err
		}
	}
	return nil
}

// count puts what was seen into a report.
func (w *logWatch) count(counts map[string]uint64) {
	for i := range w.logs {
		t := &w.logs[i]
		counts["records trimmed from logs"] += t.newest.first - 1
		counts["times that a log was trimmed"] += uint64(t.trims)
		counts["records of the longest log"] = max(counts["records of the longest log"], t.longest)
	}
}

// judgeTrimming checks that logs stayed short, and that nothing was lost by it: exported is
// how many records an export has of each stream.
func judgeTrimming(logs []trimming, exported map[string]uint64) loadtest.Check {
	r := newRuling(checkTrimmed, fmt.Sprintf("each log was trimmed at least %d times, never had more than %d records or none of its owner's claim, and is whole with the archive", leastTrims, mostRecords))
	for p := range logs {
		t, name := &logs[p], wire.PartitionStream(p)
		if t.trims < leastTrims {
			r.fail("%s was trimmed %d times in %d looks", name, t.trims, t.looks)
		}
		if t.longest > mostRecords {
			r.fail("%s had %d records", name, t.longest)
		}
		if t.bare > 0 {
			r.fail("%s had no claim at %d of %d looks", name, t.bare, t.looks)
		}
		if n := exported[name]; n != t.newest.last {
			r.fail("%s ends with record %d, and the export has %d of it", name, t.newest.last, n)
		}
	}
	return r.done()
}
