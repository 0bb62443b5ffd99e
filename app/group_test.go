package app

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestGroupStopsInReverseOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stopped []string
		var g group
		for _, name := range []string{"log", "rooms", "gateway"} {
			g.add(name, func(ctx context.Context) error {
				<-ctx.Done()
				time.Sleep(time.Second) // whoever came later would overtake
				stopped = append(stopped, name)
				return ctx.Err()
			})
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := g.run(ctx); err != nil {
			t.Fatal(err)
		}
		if want := []string{"gateway", "rooms", "log"}; !slices.Equal(stopped, want) {
			t.Errorf("stopped %v, want %v", stopped, want)
		}
	})
}

func TestGroupEndsWithItsFirstComponent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		var g group
		stopped := false
		g.add("log", func(ctx context.Context) error { <-ctx.Done(); stopped = true; return nil })
		g.add("rooms", func(context.Context) error { time.Sleep(time.Second); return broken })
		g.add("gateway", func(ctx context.Context) error { <-ctx.Done(); return nil })
		err := g.run(t.Context())
		if !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "rooms: ") || !stopped {
			t.Errorf("error %v, log stopped: %v", err, stopped)
		}
	})
}
