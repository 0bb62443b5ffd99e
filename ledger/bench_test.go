package ledger

import (
	"context"
	"fmt"
	"testing"

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
