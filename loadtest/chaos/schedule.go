package chaos

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"tickcast/loadtest"
)

// schedule carries a plan out. Run may be called once.
type schedule struct {
	plan  Plan             // static
	fault func(Step) fault // static
	tell  func(string)     // static; told of each fault, in a line
	began time.Time        // static; what the plan counts from

	// Places for faults under way: of all, of each group, of each target. The maps are
	// static.
	all      chan struct{}
	ofGroup  map[group]chan struct{}
	ofTarget map[target]chan struct{}

	mu      sync.Mutex
	results []loadtest.Fault // guarded by mu; in the order of the plan
	under   map[int]struct{} // guarded by mu; steps that are under way
}

// target is one member of a group.
type target struct {
	group group
	index int
}

func newSchedule(p Plan, f func(Step) fault, tell func(string), began time.Time) *schedule {
	s := &schedule{
		plan: p, fault: f, tell: tell, began: began, all: make(chan struct{}, faultsAtOnce), ofGroup: map[group]chan struct{}{},
		ofTarget: map[target]chan struct{}{}, results: make([]loadtest.Fault, len(p.Steps)), under: map[int]struct{}{},
	}
	for g, info := range groups {
		s.ofGroup[g] = make(chan struct{}, info.atOnce)
	}
	for i, step := range p.Steps {
		s.ofTarget[s.target(step)] = make(chan struct{}, 1)
		s.results[i] = loadtest.Fault{Kind: string(step.Kind), Target: step.target(), Planned: step.At, Length: step.Length}
	}
	return s
}

func (s *schedule) target(step Step) target {
	return target{infoOf(step.Kind).group, step.Target}
}

// Run inflicts every fault at its time, or later when what went wrong before is not
// whole yet. It returns when everything is.
func (s *schedule) Run(ctx context.Context) {
	var work sync.WaitGroup
	defer work.Wait()
	for i, step := range s.plan.Steps {
		wait(ctx, time.Until(s.began.Add(step.At)))
		// Faults that have to wait do not hold up those behind them.
		work.Go(func() { s.step(ctx, i, step) })
	}
}

func (s *schedule) step(ctx context.Context, i int, step Step) {
	at := s.target(step)
	places := []chan struct{}{s.ofTarget[at], s.ofGroup[at.group]} // all take them in this order
	if at.group != postgres {
		places = append(places, s.all)
	}
	for _, p := range places {
		p <- struct{}{}
		defer func() { <-p }()
	}
	if ctx.Err() != nil {
		s.end(i, fmt.Errorf("not done: %w", context.Cause(ctx)))
		return
	}
	s.begin(i, step)
	s.end(i, s.fault(step).inflict(ctx))
}

func (s *schedule) begin(i int, step Step) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Since(s.began)
	s.results[i].Began = now
	s.under[i] = struct{}{}
	s.tell(fmt.Sprintf("%6.1fs  %s", now.Seconds(), step))
}

func (s *schedule) end(i int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &s.results[i]
	if _, begun := s.under[i]; begun {
		r.Took = time.Since(s.began) - r.Began
	}
	delete(s.under, i)
	if err != nil {
		r.Error = err.Error()
		s.tell(fmt.Sprintf("        %s %s: %v", r.Kind, r.Target, err))
	}
}

// now tells what is going wrong at the moment.
func (s *schedule) now() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for i := range s.plan.Steps {
		if _, is := s.under[i]; is {
			list = append(list, strings.TrimSpace(string(s.plan.Steps[i].Kind)+" "+s.results[i].Target))
		}
	}
	return strings.Join(list, ", ")
}

// faults gives what was done. Run has returned.
func (s *schedule) faults() []loadtest.Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.results
}
