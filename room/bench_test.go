package room

import (
	"fmt"
	"testing"
	"time"

	"tickcast/wire"
)

// BenchmarkFoldTaps folds taps of many players in a race: the cost of one command
// in the owner's loop without the log.
func BenchmarkFoldTaps(b *testing.B) {
	r := newRig(b)
	r.create("derby", "race", map[string]any{"gathering_ms": 200, "running_ms": 600000, "max_taps_per_s": 1000})
	r.until("it runs", func() bool { return r.phase("derby") == "running" })
	const players = 1000
	records := make([]Record, b.N)
	for i := range records {
		c := wire.Command{
			Player: fmt.Sprintf("player-%d", i%players), Name: "somebody", Gateway: "gw-1", Key: fmt.Sprintf("key-%d", i),
			Op: "tap", Round: 1, Args: fmt.Appendf(nil, `{"n":%d}`, 1+i/players%300),
		}
		data, _ := c.AppendBinary(nil)
		records[i] = Record{Kind: wire.KindCommand, Room: "derby", Data: data}
	}
	seq, now := r.p.Last().Seq, r.now
	b.ReportAllocs()
	for b.Loop() {
		i := (int(seq) - len(r.log)) % len(records)
		seq++
		now += int64(10 * time.Microsecond)
		rec := records[i]
		rec.Seq, rec.Time = seq, now
		if err := r.p.Apply(rec, &r.out); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFoldTicks folds the owner's ticks of a flight that nobody plays.
func BenchmarkFoldTicks(b *testing.B) {
	r := newRig(b)
	r.create("derby", "race", map[string]any{"gathering_ms": 600000})
	r.until("it gathers", func() bool { return r.phase("derby") == "gathering" })
	seq, now := r.p.Last().Seq, r.now
	tick := []byte(fmt.Sprintf(`{"e":%d,"k":"tick"}`, r.p.Epoch()))
	b.ReportAllocs()
	for b.Loop() {
		seq++
		now += int64(100 * time.Millisecond)
		if err := r.p.Apply(Record{Seq: seq, Time: now, Kind: wire.KindOwner, Data: tick}, &r.out); err != nil {
			b.Fatal(err)
		}
	}
}
