package ledger

import (
	"context"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"

	"tickcast/internal/testsvc"
	"tickcast/wire"
)

// BenchmarkApply books stakes of a thousand players; an operation is one booking.
func BenchmarkApply(b *testing.B) {
	for _, size := range []int{1, 100, 500} {
		b.Run(fmt.Sprintf("sqlite/batch=%d", size), func(b *testing.B) { benchmark(b, sqliteURL(b), size) })
	}
	for _, size := range []int{1, 100, 500} {
		b.Run(fmt.Sprintf("postgres/batch=%d", size), func(b *testing.B) { benchmark(b, testsvc.Postgres(b), size) })
	}
}

func benchmark(b *testing.B, at string, size int) {
	book := openBook(b, at)
	b.ResetTimer()
	for n := 0; n < b.N; n += size {
		batch := make([]wire.Booking, 0, size)
		for i := n; i < min(n+size, b.N); i++ {
			batch = append(batch, stakeOf(fmt.Sprintf("s%d", i), fmt.Sprintf("player-%d", i%1000), 1))
		}
		if _, err := book.Apply(context.Background(), batch); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWorker sends one booking at a time through the queue and waits for its
// result in the log: what a player waits for.
func BenchmarkWorker(b *testing.B) {
	q, book := newQueue(b), openBook(b, sqliteURL(b))
	results := make(chan struct{}, 1)
	if _, err := q.room.Subscribe(wire.FeedSubject(0), func(*nats.Msg) { results <- struct{}{} }); err != nil {
		b.Fatal(err)
	}
	q.work(book, nil)
	n := 0
	for b.Loop() {
		q.send(stakeOf(fmt.Sprintf("s%d", n), fmt.Sprintf("player-%d", n%100), 1))
		<-results
		n++
	}
}
