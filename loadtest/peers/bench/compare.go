package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Plan is what a comparison does.
type Plan struct {
	Peers       []Peer
	Connections int
	Repetitions int
	Busy        []Load  // CPU is taken here; not empty
	Calm        Load    // latency is taken here, at about half of what a server can do
	Ramp        bool    // look for the highest rate that is sustained, with the size of Calm
	Stuck       float64 // share of connections that never read, in a run of its own; 0: no such run
	Clock       Clock
}

// Sample is what a peer showed in one repetition.
type Sample struct {
	Idle      Idle     `json:"idle"`
	Busy      []Window `json:"busy"`
	Calm      Window   `json:"calm"`
	Sustained float64  `json:"sustained,omitempty"` // updates delivered per second, without loss
	FlatOut   float64  `json:"flat_out,omitempty"`  // the same without a pace: who has no room is skipped
	Stuck     *Stuck   `json:"stuck,omitempty"`
	Faults    []string `json:"faults,omitempty"` // what went wrong
}

// Stuck is what was seen beside connections that never read.
type Stuck struct {
	Count  int    `json:"count"`
	Grown  int64  `json:"rss_grown"` // while their buffers were filled, bytes
	Closed int    `json:"closed"`    // that the server gave up, by its open files
	Calm   Window `json:"calm"`      // of the others
}

// Samples are those of one peer.
type Samples struct {
	Peer    string   `json:"peer"`
	About   string   `json:"about"`
	Missing string   `json:"missing,omitempty"` // why there are none
	List    []Sample `json:"samples,omitempty"`
}

const (
	// The ramp begins where every server keeps up, and each step adds less than medians of repetitions differ by.
	rampFirst = 10.0
	rampStep  = 1.15
	rampMost  = 1000.0
	// rampLook is enough to see a backlog grow at the next step.
	rampLook = 2 * time.Second
	// A rate is sustained when this share of the updates is in time, and nobody lacks more than is published in
	// the time at the end.
	rampKept   = 0.98
	rampBehind = 250 * time.Millisecond
)

// overflow fills the kernel's buffers of clients that do not read: they hold megabytes.
func overflow() Load { return Load{Rate: 100, Size: 60_000} }

// overflowTime is for 12 MB per connection.
const overflowTime = 2 * time.Second

// Compare runs every peer once per repetition, in turn, and tells out what it does. When ctx ends the samples
// until then come with its cause.
func (k Kit) Compare(ctx context.Context, p Plan, out io.Writer) ([]Samples, error) {
	all := make([]Samples, len(p.Peers))
	for i, peer := range p.Peers {
		all[i].Peer, all[i].About = peer.Name, peer.About
	}
	for r := range p.Repetitions {
		for i, peer := range p.Peers {
			if all[i].Missing != "" {
				continue
			}
			s, err := k.sample(ctx, p, peer)
			switch {
			case ctx.Err() != nil:
				return all, context.Cause(ctx)
			case errors.Is(err, ErrNoCompiler):
				return nil, err
			case errors.Is(err, ErrNoNode):
				all[i].Missing = err.Error()
				fmt.Fprintf(out, "%s: %v\n", peer.Name, err)
				continue
			case err != nil:
				s.Faults = append(s.Faults, err.Error())
			}
			all[i].List = append(all[i].List, s)
			s.print(out, fmt.Sprintf("%d/%d %s", r+1, p.Repetitions, peer.Name))
		}
	}
	return all, nil
}

// sample takes one sample. With an error it holds what was seen before.
func (k Kit) sample(ctx context.Context, p Plan, peer Peer) (s Sample, err error) {
	if err := k.sampleAll(ctx, p, peer, &s); err != nil {
		return s, err
	}
	if p.Stuck > 0 {
		s.Stuck, err = k.sampleStuck(ctx, p, peer)
	}
	return s, err
}

func (k Kit) sampleAll(ctx context.Context, p Plan, peer Peer, s *Sample) error {
	st, err := k.open(ctx, peer)
	if err != nil {
		return err
	}
	defer st.close()
	c, idle, err := st.fill(ctx, p.Connections, p.Clock)
	if err != nil {
		return err
	}
	s.Idle = idle
	for _, l := range p.Busy {
		w, err := st.observe(ctx, c, l, p.Clock)
		if err != nil {
			return err
		}
		s.Busy = append(s.Busy, w)
		s.blame(w)
	}
	if s.Calm, err = st.observe(ctx, c, p.Calm, p.Clock); err != nil {
		return err
	}
	s.blame(s.Calm)
	if !p.Ramp {
		return nil
	}
	if s.Sustained, err = st.ramp(ctx, c, p); err != nil || !peer.flatOut {
		return err
	}
	w, err := st.observe(ctx, c, Load{0, p.Calm.Size}, p.Clock)
	s.FlatOut = ratio(float64(w.Updates), w.Took.Seconds())
	return err
}

func (s *Sample) blame(w Window) {
	if f := w.Fault(); f != "" {
		s.Faults = append(s.Faults, fmt.Sprintf("%v: %s", w.Load, f))
	}
}

// ramp raises the rate until updates are late or lost.
func (s *stage) ramp(ctx context.Context, c *client, p Plan) (sustained float64, err error) {
	clock := p.Clock
	clock.Look = min(clock.Look, rampLook)
	for l := (Load{rampFirst, p.Calm.Size}); l.Rate < rampMost; l.Rate *= rampStep {
		w, err := s.observe(ctx, c, l, clock)
		if err != nil {
			return sustained, err
		}
		if w.Fault() != "" || w.Kept(p.Connections) < rampKept || float64(w.Behind) > max(1, w.Rate*rampBehind.Seconds()) {
			break
		}
		sustained = ratio(float64(w.Updates), w.Took.Seconds())
	}
	return sustained, nil
}

// sampleStuck looks at the calm load beside connections that never read, once the kernel's buffers of these are full.
func (k Kit) sampleStuck(ctx context.Context, p Plan, peer Peer) (*Stuck, error) {
	st, err := k.open(ctx, peer)
	if err != nil {
		return nil, err
	}
	defer st.close()
	s := &Stuck{Count: max(1, int(float64(p.Connections)*p.Stuck))}
	if err := st.overflow(ctx, s); err != nil {
		return nil, fmt.Errorf("with %d clients that do not read: %w", s.Count, err)
	}
	c, _, err := st.admit(ctx, p.Connections-s.Count, 0)
	if err != nil {
		return nil, fmt.Errorf("beside %d clients that do not read: %w", s.Count, err)
	}
	files, err := filesOf(st.server.pid())
	if err != nil {
		return nil, err
	}
	if s.Calm, err = st.observe(ctx, c, p.Calm, p.Clock); err != nil {
		return nil, fmt.Errorf("beside %d clients that do not read: %w", s.Count, err)
	}
	later, err := filesOf(st.server.pid())
	s.Closed += max(0, files-later)
	return s, err
}

// overflow connects the clients that do not read and sends them more than the kernel's buffers hold.
func (s *stage) overflow(ctx context.Context, seen *Stuck) error {
	if _, _, err := s.admit(ctx, seen.Count, seen.Count); err != nil {
		return err
	}
	files, err := filesOf(s.server.pid())
	if err != nil {
		return err
	}
	before, err := rssOf(s.server.pid())
	if err != nil {
		return err
	}
	if err := s.publish(overflow()); err != nil {
		return err
	}
	if err := wait(ctx, overflowTime); err != nil {
		return err
	}
	if _, err := s.stop(ctx); err != nil {
		return err
	}
	after, err := rssOf(s.server.pid())
	if err != nil {
		return err
	}
	later, err := filesOf(s.server.pid())
	seen.Grown, seen.Closed = after-before, max(0, files-later)
	return err
}

// print tells about a sample.
func (s Sample) print(out io.Writer, name string) {
	fmt.Fprintf(out, "%-20s %7d B/conn %7.0f accepts/s", name, s.Idle.PerConnection(), s.Idle.AcceptRate())
	for _, w := range s.Busy {
		fmt.Fprintf(out, "  %v: %5.2f µs/update, %.0f %% in time", w.Load, micros(w.CPUPerUpdate()), 100*w.Kept(s.Idle.Connections))
	}
	fmt.Fprintf(out, "  %v: p99 %.1f ms", s.Calm.Load, millis(s.Calm.P99))
	if s.Sustained > 0 {
		fmt.Fprintf(out, "  sustained %.0f/s", s.Sustained)
	}
	if s.FlatOut > 0 {
		fmt.Fprintf(out, "  flat out %.0f/s", s.FlatOut)
	}
	if s.Stuck != nil {
		fmt.Fprintf(out, "  beside %d stuck (%d closed): p99 %.1f ms, %d KiB grown", s.Stuck.Count, s.Stuck.Closed, millis(s.Stuck.Calm.P99), s.Stuck.Grown>>10)
	}
	fmt.Fprintln(out)
	for _, f := range s.Faults {
		fmt.Fprintf(out, "  %s\n", f)
	}
}
