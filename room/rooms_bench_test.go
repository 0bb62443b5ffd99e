package room

import (
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/bus"
	"tickcast/room/game"
	"tickcast/wire"
)

// BenchmarkManyRooms has one process own 10,000 races, and a tenth of crash rooms, with a tick a second, in
// as many partitions as a deployment has by default, on a NATS in the same process,
// for ten seconds. It reports what a room costs: memory, CPU, goroutines, messages and
// records. Rooms that were just made play their rounds nearly in step, which is the
// worst case.
func BenchmarkManyRooms(b *testing.B) {
	for _, c := range []struct {
		name, kind string
		rooms      int
		paused     bool
	}{{"idle races", "race", 10_000, true}, {"races", "race", 10_000, false}, {"crash", "crash", 1000, false}} {
		b.Run(c.name, func(b *testing.B) { manyRooms(b, c.rooms, c.kind, c.paused) })
	}
}

func manyRooms(b *testing.B, rooms int, kind string, paused bool) {
	s := newStageWithoutLedger(b, wire.DefaultPartitions)
	s.serveLedger()
	h := s.host("one", true)
	s.awaitReady(h)
	goroutines, heap := runtime.NumGoroutine(), heapBytes()
	begun := time.Now()
	s.createMany(rooms, kind, paused)
	s.eventually("all rooms are there", func() bool { return h.rooms() == rooms })
	created := time.Since(begun)
	var ticks, updates atomic.Int64
	s.subscribe(s.connect(bus.RoleGateway), "out.>", func(m *nats.Msg) {
		switch {
		case strings.HasSuffix(m.Subject, ".t"):
			ticks.Add(1)
		case strings.HasSuffix(m.Subject, ".u"):
			updates.Add(1)
		}
	})
	for b.Loop() {
		t0, u0, seq, cpu := ticks.Load(), updates.Load(), h.seqs(), cpuTime()
		const watched = 10 * time.Second
		<-time.After(watched)
		perSecond := func(n float64) float64 { return n / watched.Seconds() }
		b.ReportMetric(perSecond(float64(ticks.Load()-t0)), "ticks/s")
		b.ReportMetric(perSecond(float64(updates.Load()-u0)), "updates/s")
		b.ReportMetric(perSecond(float64(h.seqs()-seq))/wire.DefaultPartitions, "records/s/partition")
		b.ReportMetric(perSecond(float64((cpuTime()-cpu).Microseconds()))/float64(rooms), "µs-cpu/s/room")
	}
	b.ReportMetric(float64(heapBytes()-heap)/float64(rooms), "bytes/room")
	b.ReportMetric(float64(runtime.NumGoroutine()-goroutines), "goroutines")
	b.ReportMetric(float64(created.Milliseconds()), "ms-to-create")
	freeze := time.Duration(0)
	h.stop()
	for _, r := range h.replicas {
		begun := time.Now()
		state := r.part.freeze()
		freeze = max(freeze, time.Since(begun))
		_ = state
	}
	b.ReportMetric(float64(freeze.Microseconds()), "µs-to-freeze")
}

// createMany makes rooms, and waits for the log only.
func (s *stage) createMany(rooms int, kind string, paused bool) {
	s.t.Helper()
	js, err := jetstream.New(s.operator, jetstream.WithPublishAsyncMaxPending(1000))
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range rooms {
		room := fmt.Sprint("room-", i)
		args := wire.CreateArgs{UUID: fmt.Sprintf("0190a000-0000-7000-8000-%012d", i), Game: kind, Paused: paused, Settings: []byte(`{"tick_ms":1000}`)}
		a := wire.Action{ID: room, Operator: "op", Op: wire.ActionCreate, Args: game.Encode(args)}
		if _, err := js.PublishAsync(wire.ActionSubject(wire.PartitionOf(room, s.partitions), room), game.Encode(a)); err != nil {
			s.t.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
}

func (h *hosted) rooms() (n int) {
	for _, p := range h.Partitions() {
		n += p.Rooms
	}
	return n
}

func (h *hosted) seqs() (n uint64) {
	for _, p := range h.Partitions() {
		n += p.Seq
	}
	return n
}

func heapBytes() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// cpuTime is the process's so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
