package room

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"tickcast/wire"
)

// BenchmarkFoldTaps folds taps of many players in a race, each the player's next: the cost
// of one command in the owner's loop without the log.
func BenchmarkFoldTaps(b *testing.B) {
	r := newRig(b)
	r.create("derby", "race", map[string]any{"gathering_ms": 200, "running_ms": 600000, "max_taps_per_s": 1000})
	r.until("it runs", func() bool { return r.phase("derby") == "running" })
	const players = 1000
	records, n := make([]Record, 1<<16), 0
	seq, now := r.p.Last().Seq, r.now
	b.ReportAllocs()
	for b.Loop() {
		i := n % len(records)
		if i == 0 {
			b.StopTimer()
			for i := range records {
				c := wire.Command{
					Player: fmt.Sprintf("player-%d", (n+i)%players), Name: "somebody", Gateway: "gw-1", Key: fmt.Sprintf("key-%d", n+i),
					Op: "tap", Round: 1, Args: fmt.Appendf(nil, `{"n":%d}`, 1+(n+i)/players),
				}
				data, _ := c.AppendBinary(nil)
				records[i] = Record{Kind: wire.KindCommand, Room: "derby", Data: data}
			}
			b.StartTimer()
		}
		n++
		seq++
		now += int64(10 * time.Microsecond)
		rec := records[i]
		rec.Seq, rec.Time = seq, now
		if err := r.p.Apply(rec, &r.out); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "records/s")
	if len(r.out.Answers) != 1 || !bytes.Contains(r.out.Answers[0].Answer, []byte(`"ok":true`)) {
		b.Errorf("the last tap was answered with %+v", r.out.Answers)
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

// BenchmarkFreeze is for how long the owner's loop stands still for a snapshot or a
// digest of the state that BenchmarkSnapshot encodes.
func BenchmarkFreeze(b *testing.B) {
	p := playedPartition(b, 1000)
	b.ReportAllocs()
	for b.Loop() {
		p.freeze()
	}
}

// BenchmarkSnapshot takes the snapshot of a room in which a thousand players have
// bet and cashed out for as many rounds as keys are kept, which an owner does in
// another goroutine.
func BenchmarkSnapshot(b *testing.B) {
	p := playedPartition(b, 1000)
	b.ReportAllocs()
	var size int
	for b.Loop() {
		size = len(p.Snapshot())
	}
	b.ReportMetric(float64(size), "bytes")
}

// BenchmarkRestore is the other half of a cold takeover.
func BenchmarkRestore(b *testing.B) {
	p := playedPartition(b, 1000)
	snapshot := p.Snapshot()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := RestorePartition(p.cfg, snapshot); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkManyAutos is the record upon which 10,000 bets are cashed out at their
// common target: the fold with all that it encodes. The tick of that moment waits for it.
func BenchmarkManyAutos(b *testing.B) {
	r, rec := flownTo200(b, 10_000)
	snapshot := r.p.Snapshot()
	for b.Loop() {
		b.StopTimer()
		p, err := RestorePartition(r.cfg, snapshot)
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if err := p.Apply(rec, &r.out); err != nil {
			b.Fatal(err)
		}
		if len(r.out.Bookings) != 10_000 {
			b.Fatalf("%d payouts", len(r.out.Bookings))
		}
	}
}

func playedPartition(b *testing.B, players int) *Partition {
	r := newRig(b)
	r.create("lobby", "crash", map[string]any{"betting_ms": 300, "crashed_ms": 200, "cap": 110, "max_round_win": 100_000_000_000})
	for round := uint64(1); round <= wire.KeptRounds+1; round++ {
		r.until("bets are taken", func() bool { return r.phase("lobby") == "betting" && r.p.rooms["lobby"].game.Round() == round })
		for i := range players {
			r.command(fmt.Sprintf("player-%010d", i), "lobby", fmt.Sprintf("bet-%d-%d", round, i), "bet", round, betArgs{Amount: 100})
		}
		r.until("it flies", func() bool { return r.phase("lobby") == "flying" })
		for i := range players {
			r.command(fmt.Sprintf("player-%010d", i), "lobby", fmt.Sprintf("out-%d-%d", round, i), "cashout", round, betArgs{})
		}
	}
	return r.p
}
