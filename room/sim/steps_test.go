package sim

import (
	"context"
	"errors"
	"iter"
	"time"
)

// errKilled is what calls of a process end with that was killed meanwhile.
var errKilled = errors.New("the process was killed")

// stepsKey is the context's key for what a call pauses with.
type stepsKey struct{}

// steps is a goroutine of a process beside its replica: between its calls anything may
// happen, its own death included.
type steps struct{ stop func() }

// beside runs f beside the replica of a server's life, unless the one of that name still
// runs. When the server dies, all its calls fail from then on.
func (s *server) beside(name string, f func(context.Context)) {
	if s.besides[name] != nil {
		return
	}
	next, stop := iter.Pull(func(yield func(time.Duration) bool) {
		f(context.WithValue(context.Background(), stepsKey{}, yield))
	})
	life, own := s.life, &steps{stop}
	s.besides[name] = own
	var step func()
	step = func() {
		d, more := next()
		if !more {
			delete(s.besides, name)
			return
		}
		s.w.after(d, func() { s.do(life, step) })
	}
	step()
}

// abandon ends what runs beside the replica, wherever it is.
func (s *server) abandon() {
	besides := s.besides
	s.besides = map[string]*steps{}
	for _, name := range []string{"save", "trim"} {
		if b := besides[name]; b != nil {
			b.stop()
		}
	}
}

// way is how long a call of a storage is on its way, there or back. A caller that is not
// beside a replica does not notice.
func (w *world) way(ctx context.Context) error {
	yield, ok := ctx.Value(stepsKey{}).(func(time.Duration) bool)
	if ok && !yield(w.delay()) {
		return errKilled
	}
	return nil
}

// call is a call of a storage: f happens between the way there and the way back.
func (w *world) call(ctx context.Context, f func() error) error {
	if err := w.way(ctx); err != nil {
		return err
	}
	if err := f(); err != nil {
		return err
	}
	return w.way(ctx)
}
