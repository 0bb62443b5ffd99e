package server

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
)

func TestBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBacklog[int](3)
		for i := range 5 {
			if got, want := b.add(i), i < 3; got != want {
				t.Errorf("add %d: %v", i, got)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		var batches [][]int
		take := func(_ context.Context, batch []int) { batches = append(batches, slices.Clone(batch)) }
		go b.each(ctx, 2, take)
		synctest.Wait()
		b.add(5)
		synctest.Wait()
		cancel()
		synctest.Wait()
		b.add(6)
		b.drain(ctx, 2, take)
		want := [][]int{{0, 1}, {2}, {5}, {6}}
		if !slices.EqualFunc(batches, want, slices.Equal) {
			t.Errorf("%v, want %v", batches, want)
		}
	})
}
