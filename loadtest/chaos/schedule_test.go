package chaos

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tickcast/loadtest"
)

// slowFault lasts longer than any plan thinks.
type slowFault struct {
	length time.Duration
	count  func(delta int)
}

func (f slowFault) inflict(ctx context.Context) error {
	f.count(1)
	wait(ctx, f.length)
	f.count(-1)
	return context.Cause(ctx)
}

// TestScheduleKeepsTheClusterAlive carries out plans on a machine on which everything
// takes far longer than planned: still no more of a group are away at once than it bears,
// and everything is done.
func TestScheduleKeepsTheClusterAlive(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			p := NewPlan(seed, defaultDuration)
			var mu sync.Mutex
			away := map[target]int{} // guarded by mu
			fault := func(s Step) fault {
				at := target{infoOf(s.Kind).group, s.Target}
				return slowFault{s.Length + 20*time.Second, func(delta int) {
					mu.Lock()
					defer mu.Unlock()
					away[at] += delta
					inGroup := 0
					for other, n := range away {
						if other.group == at.group {
							inGroup += n
						}
					}
					if away[at] > 1 || inGroup > groups[at.group].atOnce {
						t.Errorf("seed %d: %d of %s are away, %d times %s", seed, inGroup, at.group, away[at], s)
					}
				}}
			}
			began := time.Now()
			s := newSchedule(p, fault, func(string) {}, began)
			s.Run(t.Context())
			for i, f := range s.faults() {
				step := p.Steps[i]
				if f.Error != "" || f.Began < step.At || f.Took < step.Length || f.Kind != string(step.Kind) {
					t.Errorf("seed %d: %s at %s went %+v", seed, step, step.At, f)
				}
			}
			if s.now() != "" {
				t.Errorf("still under way: %s", s.now())
			}
		})
	}
}

// TestScheduleEnds: when the run is called off, what is under way ends and the rest is not
// done, and both say so.
func TestScheduleEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		p := NewPlan(1, defaultDuration)
		time.AfterFunc(60*time.Second, func() { cancel(errors.New("enough")) })
		s := newSchedule(p, func(step Step) fault { return slowFault{step.Length, func(int) {}} }, func(string) {}, time.Now())
		began := time.Now()
		s.Run(ctx)
		if took := time.Since(began); took != 60*time.Second {
			t.Errorf("ended after %s", took)
		}
		check := judgeFaults(&p, s.faults())
		if check.Passed || check.Failures < uint64(len(p.Steps)/3) {
			t.Errorf("a plan that was called off: %+v", check)
		}
	})
}

func TestBlame(t *testing.T) {
	faults := []loadtest.Fault{
		{Kind: "early", Began: 10 * time.Second, Took: 2 * time.Second},
		{Kind: "late", Began: 14 * time.Second, Took: time.Second},
	}
	for _, c := range []struct {
		from, to time.Duration
		want     int
	}{
		{1, 2, -1}, {9, 11, -1}, {10, 11, 0}, {12, 20, 0}, {13, 15, 0}, {14, 15, 1}, {16, 17, 1}, {30, 31, -1},
	} {
		if got := blame(loadtest.Pause{From: c.from * time.Second, To: c.to * time.Second}, faults); got != c.want {
			t.Errorf("a pause from %d to %d s is put down to fault %d, want %d", c.from, c.to, got, c.want)
		}
	}
}

// TestEveryKindIsAFault: the cluster knows what to do for each kind and target.
func TestEveryKindIsAFault(t *testing.T) {
	c := &cluster{
		rooms: []*member{{}, {}, {}}, gateways: []*member{{}, {}}, ledgers: []*member{{}, {}}, relays: []*relay{{}, {}, {}},
	}
	for seed := range uint64(50) {
		for _, s := range NewPlan(seed, leastDuration).Steps {
			if c.faultOf(s) == nil {
				t.Errorf("%s is no fault", s)
			}
		}
	}
}
