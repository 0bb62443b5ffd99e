package loadtest

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// Work runs one process's share of a swarm, as the coordinator at the other end of
// conn says. key is what both know; it is empty for a worker that the coordinator
// started itself. It closes conn, and returns nil when the coordinator has got the
// result. When conn ends or ctx does, so does the swarm.
func Work(ctx context.Context, conn io.ReadWriteCloser, key []byte) error {
	w := &worker{line: newLine(conn), marks: make(chan marks, 1)}
	w.there, w.leave = context.WithCancel(ctx)
	w.acting, w.stop = context.WithCancel(w.there)
	defer w.leave()
	defer w.stop()
	closed := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer closed()
	defer func() { _ = conn.Close() }()
	p, err := w.introduce(key)
	if err == nil {
		err = w.run(p)
	}
	if err != nil {
		return fmt.Errorf("swarm worker: %w", err)
	}
	return nil
}

// worker is a part of a swarm that a coordinator leads.
type worker struct {
	line   *line
	marks  chan marks      // what all bots must have in the end; capacity 1
	there  context.Context // ends when the coordinator does
	leave  context.CancelFunc
	acting context.Context // ends when the bots shall stop acting
	stop   context.CancelFunc
}

// introduce says who this is, checks who the coordinator is, and gets the plan.
func (w *worker) introduce(key []byte) (*plan, error) {
	if err := w.meet(key); err != nil {
		return nil, fmt.Errorf("meet the coordinator: %w", err)
	}
	for {
		n, err := w.line.read()
		switch {
		case err != nil:
			return nil, fmt.Errorf("wait for the plan: %w", err)
		case n.Type == noteClock:
			if err := w.tellTime(n); err != nil {
				return nil, fmt.Errorf("tell the time: %w", err)
			}
		case n.Type == notePlan && n.Plan != nil:
			return n.Plan, nil
		default:
			return nil, fmt.Errorf("a note of type %.40q instead of the plan", n.Type)
		}
	}
}

func (w *worker) meet(key []byte) error {
	n, err := w.line.expect(noteChallenge)
	if err != nil {
		return err
	}
	own := newNonce()
	if err := w.line.send(&note{Type: noteChallenge, Challenge: &challenge{Nonce: own, Code: codeOf(key, "worker", n.Challenge.Nonce)}}); err != nil {
		return err
	}
	if n, err = w.line.expect(noteChallenge); err != nil {
		return err
	}
	if !hmac.Equal(n.Challenge.Code, codeOf(key, "coordinator", own)) {
		return errors.New("it does not know the key")
	}
	return w.line.send(&note{Type: noteHello, Hello: newHello()})
}

func (w *worker) tellTime(n *note) error {
	if n.Clock == nil {
		return nil
	}
	n.Clock.There = monotonic()
	return w.line.send(n)
}

// run plays the plan.
func (w *worker) run(p *plan) error {
	s, err := newPart(p, time.Now().Add(p.Start-monotonic()))
	if err == nil {
		err = s.begin()
	}
	if err != nil {
		_ = w.line.send(&note{Type: noteError, Error: err.Error()})
		return err
	}
	var listening sync.WaitGroup
	defer listening.Wait()
	listening.Go(w.listen)
	err = errCoordinatorGone
	if w.pause(time.Until(s.start)) {
		err = w.play(s)
	}
	s.end()
	if err != nil {
		_ = w.line.rw.Close()
		return err
	}
	// The coordinator hangs up when it has it all.
	w.pause(lastWait)
	return w.line.rw.Close()
}

// pause waits, and reports whether the coordinator is still there.
func (w *worker) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-w.there.Done():
		return false
	}
}

var errCoordinatorGone = errors.New("the coordinator is gone")

// play runs the phases of a run. The coordinator says when they end.
func (w *worker) play(s *swarm) error {
	var failed error
	tell := func(sm *sample) {
		if err := w.line.send(&note{Type: noteSample, Sample: sm}); err != nil {
			failed = err
			w.leave()
		}
	}
	s.act(w.acting, s.cfg.Duration+lastWait, tell)
	if err := w.line.send(&note{Type: noteMarks, Marks: s.stopActing()}); err != nil {
		return err
	}
	select {
	case newest := <-w.marks:
		s.settle(newest, tell)
	case <-w.there.Done():
		return errCoordinatorGone
	}
	last, result := s.finish()
	tell(last)
	if failed != nil {
		return failed
	}
	return w.line.send(&note{Type: noteTally, Tally: result})
}

// lastWait is how long one side waits for the other when all is said, or when it
// should have been.
const lastWait = 30 * time.Second

// listen takes in what the coordinator says, until it is gone.
func (w *worker) listen() {
	defer w.leave()
	for {
		n, err := w.line.read()
		if err != nil {
			return
		}
		switch n.Type {
		case noteClock:
			if w.tellTime(n) != nil {
				return
			}
		case noteSettle:
			w.stop()
		case noteMarks:
			select {
			case w.marks <- n.Marks:
			default: // said twice
			}
		}
	}
}
