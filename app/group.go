package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// component is something that runs until its context ends and then takes its time
// to stop cleanly. That it returns earlier ends the whole process.
type component struct {
	name string
	run  func(context.Context) error
}

// group runs components. They are started in order and stopped one after the
// other in the reverse order, so that each can rely on the ones before it until
// its end.
type group struct {
	components []component
}

func (g *group) add(name string, run func(context.Context) error) {
	g.components = append(g.components, component{name, run})
}

// run returns when all components have returned: after ctx ended, or after one
// returned by itself. It returns their errors, each with the component's name.
func (g *group) run(ctx context.Context) error {
	type member struct {
		stop context.CancelFunc
		done chan struct{}
	}
	ended := make(chan struct{})
	var once sync.Once
	errs := make([]error, len(g.components))
	members := make([]member, len(g.components))
	for i, c := range g.components {
		// Values pass on, the end does not: the order of stopping is ours.
		own, stop := context.WithCancel(context.WithoutCancel(ctx))
		members[i] = member{stop, make(chan struct{})}
		go func() {
			defer close(members[i].done)
			err := c.run(own)
			if err != nil && !errors.Is(err, context.Canceled) {
				errs[i] = fmt.Errorf("%s: %w", c.name, err)
			}
			once.Do(func() { close(ended) })
		}()
	}
	select {
	case <-ctx.Done():
	case <-ended:
	}
	for i := len(members) - 1; i >= 0; i-- {
		members[i].stop()
		<-members[i].done
	}
	return errors.Join(errs...)
}
