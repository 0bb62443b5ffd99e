package loadtest

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"tickcast/loadtest/socket"
)

// swarm is one process's part of a run: its bots and what they share.
type swarm struct {
	cfg     Config          // static, with defaults
	ctx     context.Context // static; ends what is under way
	cancel  context.CancelFunc
	run     string    // static; makes keys and players of this run unique
	start   time.Time // static; when the run begins
	check   *checker
	measure measure
	sched   *scheduler
	dialer  *dialer
	meters  []*meter           // static; one for each loop that reads
	bots    []*bot             // static
	links   sync.WaitGroup     // goroutines that dial and close
	timers  sync.WaitGroup     // the scheduler
	readers sync.WaitGroup     // sockets
	hangUp  context.CancelFunc // ends the sockets

	settling atomic.Bool // the bots act no more
	closing  atomic.Bool // nothing counts any more

	commands  atomic.Uint64 // commands made, each counted once
	answers   atomic.Uint64
	chatLines atomic.Uint64
	judged    atomic.Uint64 // bets and taps judged
	connected atomic.Int64
	joined    atomic.Int64 // seats that were ever joined

	mu        sync.Mutex
	players   map[string]*bot // guarded by mu
	dialError string          // guarded by mu; the first failed dial, for the report
}

// Run lets a swarm play and judges what it saw. It writes the progress of each
// second to progress, and the report to the files that c names.
//
// When ctx ends the bots stop early, and what they saw until then is judged; that
// is no error. An error means that the swarm could not run at all or that the
// report could not be written. Run returns after every goroutine it started.
func Run(ctx context.Context, c Config, progress io.Writer) (*Report, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("swarm: %w", err)
	}
	c = c.withDefaults()
	if len(c.Sources) == 0 {
		c.Sources = loopbackSources(c.URLs, c.Bots)
	}
	report, err := c.play(ctx, progress)
	if err != nil {
		return nil, fmt.Errorf("swarm: %w", err)
	}
	if err := report.WriteFiles(c.JSONFile, c.HTMLFile); err != nil {
		return report, fmt.Errorf("swarm: write report: %w", err)
	}
	return report, nil
}

// play lets the swarm play in this process or in several.
func (c Config) play(ctx context.Context, progress io.Writer) (*Report, error) {
	workers, err := c.localWorkers()
	if err != nil {
		return nil, err
	}
	if workers > 0 || c.Fleet.Remote > 0 {
		return coordinate(ctx, c, workers, progress)
	}
	s, err := newSwarm(c)
	if err != nil {
		return nil, err
	}
	return s.play(ctx, progress)
}

// newSwarm makes a swarm that has all bots of a run.
func newSwarm(c Config) (*swarm, error) {
	p := &plan{Config: c, Tokens: c.Tokens, Secret: c.Secret, Run: newRun(), Bots: c.Bots}
	return newPart(p, time.Now())
}

func newRun() string { return uuid.NewString()[:8] }

// newPart makes the swarm of a plan, whose run begins at start.
func newPart(p *plan, start time.Time) (*swarm, error) {
	s := &swarm{cfg: p.config(), run: p.Run, start: start, players: map[string]*bot{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.check = newChecker(s.start)
	s.sched = newScheduler(s.start)
	for range readLoops() {
		m := newMeter()
		m.warming.Store(s.cfg.WarmUp > 0)
		s.meters = append(s.meters, m)
	}
	d, err := newDialer(&s.cfg, s.run)
	if err != nil {
		s.cancel()
		return nil, err
	}
	s.dialer = d
	for n := p.First; n < p.First+p.Bots; n++ {
		s.bots = append(s.bots, newBot(s, n))
	}
	return s, nil
}

// counts reports whether the lateness of what was meant to happen at a time counts.
func (s *swarm) counts(meant time.Duration) bool { return meant >= s.cfg.WarmUp }

// now is the time since the run began.
func (s *swarm) now() time.Duration { return time.Since(s.start) }

// play runs all phases of a run whose bots are all of this process.
func (s *swarm) play(ctx context.Context, progress io.Writer) (*Report, error) {
	all := newCollector(s.cfg, 1)
	lines := newProgress(all, progress)
	tell := func(sm *sample) {
		all.takeSample(0, sm)
		lines.show(s.now())
	}
	if err := s.begin(); err != nil {
		return nil, err
	}
	all.kill = s.cfg.Kill.plan(s.cfg.Kill.After)
	interrupted := s.act(ctx, s.cfg.Duration, tell)
	acted := s.now()
	s.settle(s.stopActing(), tell)
	last, result := s.finish()
	elapsed := s.now()
	lines.done()
	s.end()
	all.takeSample(0, last)
	all.takeTally(0, result)
	return all.report(runEnd{started: s.start, acted: acted, elapsed: elapsed, interrupted: interrupted}), nil
}

// begin starts the bots' clock. Without an error it must be followed by end.
func (s *swarm) begin() error {
	sockets, err := socket.New(socket.Options{Start: s.start, Loops: len(s.meters), Plain: s.cfg.plain})
	if err != nil {
		s.cancel()
		return err
	}
	s.dialer.sockets = sockets
	reading, hangUp := context.WithCancel(context.Background())
	s.hangUp = hangUp
	s.readers.Go(func() { sockets.Run(reading) })
	s.timers.Go(func() { s.sched.Run(s.ctx) })
	if s.cfg.WarmUp > 0 {
		s.sched.add(s.cfg.WarmUp, func(time.Duration) {
			for _, m := range s.meters {
				m.warm()
			}
		})
	}
	for _, b := range s.bots {
		s.sched.add(rampAt(b.n, s.cfg.Bots, s.cfg.Ramp), func(at time.Duration) { b.dial(at, false) })
	}
	return nil
}

// act lets the bots play for a time or until ctx ends, which it reports.
func (s *swarm) act(ctx context.Context, until time.Duration, tell func(*sample)) (interrupted bool) {
	return s.wait(ctx, until, tell, func() bool { return false })
}

// wait tells of each second until the time is over, the check is true or ctx ends,
// which it reports.
func (s *swarm) wait(ctx context.Context, until time.Duration, tell func(*sample), done func() bool) bool {
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	second := time.NewTicker(time.Second)
	defer second.Stop()
	end := time.NewTimer(until - s.now())
	defer end.Stop()
	for {
		select {
		case <-second.C:
			tell(s.sample(false))
		case <-poll.C:
			if done() {
				return false
			}
		case <-end.C:
			return false
		case <-ctx.Done():
			return true
		}
	}
}

// stopActing stops the bots, and gives the newest updates that they know of.
func (s *swarm) stopActing() marks {
	s.settling.Store(true)
	newest := s.check.marks()
	now := s.now()
	for _, b := range s.bots {
		b.do(func() { b.stop(now) })
	}
	return newest
}

// settle waits until everybody has what anybody has. Since half a second of
// traffic is needed to tell a stalled connection from one that has it all, it lasts
// at least that long.
func (s *swarm) settle(newest marks, tell func(*sample)) {
	began := s.now()
	for k, seq := range newest {
		if st := s.check.known(k); st != nil {
			st.setMark(seq)
		}
	}
	least := min(500*time.Millisecond, s.cfg.Settle)
	s.wait(s.ctx, began+s.cfg.Settle, tell, func() bool {
		if s.now()-began < least {
			return false
		}
		for _, b := range s.bots {
			if !b.settled() {
				return false
			}
		}
		return true
	})
}

// finish judges what can be judged in the end. Nothing counts any more then.
func (s *swarm) finish() (*sample, *tally) {
	s.closing.Store(true)
	now := s.now()
	for _, b := range s.bots {
		b.finish(now)
	}
	return s.sample(true), s.tally()
}

// end closes all connections, and returns when nothing of the swarm runs any more.
func (s *swarm) end() {
	s.closing.Store(true)
	s.cancel()
	s.timers.Wait()
	s.closeAll()
	s.links.Wait()
	s.hangUp()
	s.readers.Wait()
	s.dialer.Close()
}

// closeAll closes every connection, some at a time since each waits for the
// gateway's answer.
func (s *swarm) closeAll() {
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, closesAtOnce)
	for _, b := range s.bots {
		slots <- struct{}{}
		wg.Go(func() {
			b.close()
			<-slots
		})
	}
}

// register notes the player of a bot. Two bots of one player cannot follow its
// balance, since each sees only its own bets.
func (s *swarm) register(b *bot) {
	s.mu.Lock()
	other := s.players[b.player]
	if other == nil {
		s.players[b.player] = b
	}
	s.mu.Unlock()
	if other == nil {
		return
	}
	b.books.shared = true
	// The other bot's lock is not taken while this one's is held.
	b.later(func() { other.do(func() { other.books.shared = true }) })
}

func (s *swarm) noteDialError(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dialError == "" {
		s.dialError = err.Error()
	}
}

// firstDialError is the first failed dial in words, "" if there is none.
func (s *swarm) firstDialError() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dialError
}

// readLoops is how many loops read connections. One reads some hundred thousand
// messages a second, and the machine has other work.
func readLoops() int { return min(4, max(1, runtime.GOMAXPROCS(0)/2)) }
