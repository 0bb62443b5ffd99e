package server

import (
	"context"
	"sync"
)

// backlog is a bounded queue from many to one, which takes them in batches. Its memory grows
// with what waits.
type backlog[T any] struct {
	most int           // Static: how many may wait.
	some chan struct{} // Static. One token: there may be something.

	mu   sync.Mutex // guards list
	list []T
}

func newBacklog[T any](most int) *backlog[T] {
	return &backlog[T]{most: most, some: make(chan struct{}, 1)}
}

// add reports whether there was room.
func (b *backlog[T]) add(v T) bool {
	b.mu.Lock()
	full := len(b.list) >= b.most
	if !full {
		b.list = append(b.list, v)
	}
	b.mu.Unlock()
	if !full {
		select {
		case b.some <- struct{}{}:
		default:
		}
	}
	return !full
}

// take removes up to n of what waits, oldest first.
func (b *backlog[T]) take(n int) []T {
	b.mu.Lock()
	defer b.mu.Unlock()
	batch := b.list[:min(n, len(b.list))]
	if b.list = b.list[len(batch):]; len(b.list) == 0 {
		b.list = nil
	}
	return batch
}

// each gives everything to do, in batches of up to n, until ctx ends.
func (b *backlog[T]) each(ctx context.Context, n int, do func(context.Context, []T)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-b.some:
		}
		for ctx.Err() == nil {
			batch := b.take(n)
			if len(batch) == 0 {
				break
			}
			do(ctx, batch)
		}
	}
}

// drain is each for what is left when ctx has ended.
func (b *backlog[T]) drain(ctx context.Context, n int, do func(context.Context, []T)) {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	for batch := b.take(n); len(batch) > 0 && last.Err() == nil; batch = b.take(n) {
		do(last, batch)
	}
}
