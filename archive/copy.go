package archive

import (
	"context"
	"fmt"
	"slices"
)

// Copy copies the segments that a store lacks from another one, each checked, and returns
// how many. A segment is checked with the one before it, in either store.
func Copy(ctx context.Context, from, to Store) (copied int, err error) {
	there, err := to.List(ctx)
	if err != nil {
		return 0, err
	}
	have := map[Segment]bool{}
	for _, s := range there {
		have[s] = true
	}
	here, err := from.List(ctx)
	if err != nil {
		return 0, err
	}
	for _, s := range here {
		if have[s] {
			continue
		}
		before, err := arrange(slices.Concat(here, there), s.Partition).before(s)
		if err != nil {
			return copied, err
		}
		contents, err := from.Get(ctx, s)
		if err != nil {
			return copied, err
		}
		if _, err := s.open(contents, before); err != nil {
			return copied, err
		}
		if err := to.Put(ctx, s, contents); err != nil {
			return copied, fmt.Errorf("copy archive: %w", err)
		}
		copied++
	}
	return copied, nil
}
