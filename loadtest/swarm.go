package loadtest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// swarm is one run: its bots and what they share.
type swarm struct {
	cfg     Config          // static, with defaults
	ctx     context.Context // static; ends the dials that are under way
	run     string          // static; makes keys and players of this run unique
	start   time.Time       // static
	check   *checker
	measure measure
	sched   *scheduler
	dialer  *dialer
	buffers readBuffers
	bots    []*bot         // static
	links   sync.WaitGroup // goroutines of connections

	settling atomic.Bool // the bots act no more
	closing  atomic.Bool // nothing counts any more

	frames    atomic.Uint64 // messages received
	bytes     atomic.Uint64
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

// Run lets a swarm play and judges what it saw. It writes a line of progress per
// second to progress, and the report to c.JSONFile if that is set.
//
// When ctx ends the bots stop early, and what they saw until then is judged; that
// is no error. An error means that the swarm could not run at all or that the
// report could not be written. Run returns after every goroutine it started.
func Run(ctx context.Context, c Config, progress io.Writer) (*Report, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("swarm: %w", err)
	}
	s, err := newSwarm(c.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("swarm: %w", err)
	}
	report := s.play(ctx, progress)
	if c.JSONFile == "" {
		return report, nil
	}
	b, err := json.MarshalIndent(report, "", "  ")
	if err == nil {
		err = os.WriteFile(c.JSONFile, append(b, '\n'), 0o644)
	}
	if err != nil {
		return report, fmt.Errorf("swarm: write report: %w", err)
	}
	return report, nil
}

func newSwarm(c Config) (*swarm, error) {
	s := &swarm{cfg: c, run: uuid.NewString()[:8], start: time.Now(), players: map[string]*bot{}}
	s.check = newChecker(s.start)
	s.sched = newScheduler(s.start)
	d, err := newDialer(&s.cfg, s.run)
	if err != nil {
		return nil, err
	}
	s.dialer = d
	for n := range c.Bots {
		s.bots = append(s.bots, newBot(s, n))
	}
	return s, nil
}

// now is the time since the run began.
func (s *swarm) now() time.Duration { return time.Since(s.start) }

// play runs the phases of a run: act, settle, judge, close.
func (s *swarm) play(ctx context.Context, progress io.Writer) *Report {
	own, cancel := context.WithCancel(context.Background())
	s.ctx = own
	var scheduler sync.WaitGroup
	scheduler.Go(func() { s.sched.Run(own) })
	for i, b := range s.bots {
		s.sched.add(rampAt(i, len(s.bots), s.cfg.Ramp), func(at time.Duration) { b.dial(at, false) })
	}
	lines := newProgress(s, progress)
	interrupted := s.wait(ctx, s.cfg.Duration, lines, func() bool { return false })
	acted := s.now()
	s.settle(lines)
	s.closing.Store(true)
	now := s.now()
	for _, b := range s.bots {
		b.finish(now)
	}
	lines.done()
	report := s.report(acted, now, interrupted)
	cancel()
	scheduler.Wait()
	s.closeAll()
	s.links.Wait()
	s.dialer.Close()
	return report
}

// wait writes progress until the time is over, the check is true or ctx ends,
// which it reports.
func (s *swarm) wait(ctx context.Context, until time.Duration, lines *progressLines, done func() bool) bool {
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	second := time.NewTicker(time.Second)
	defer second.Stop()
	end := time.NewTimer(until - s.now())
	defer end.Stop()
	for {
		select {
		case <-second.C:
			lines.line()
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

// settle stops the bots, marks what everybody must have, and waits until they do.
// Since half a second of traffic is needed to tell a stalled connection from one
// that has it all, it lasts at least that long.
func (s *swarm) settle(lines *progressLines) {
	s.settling.Store(true)
	began := s.now()
	for _, st := range s.check.all() {
		st.setMark()
	}
	for _, b := range s.bots {
		b.do(func() { b.stop(began) })
	}
	least := min(500*time.Millisecond, s.cfg.Settle)
	s.wait(context.Background(), began+s.cfg.Settle, lines, func() bool {
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

// closeAll closes every connection, some at a time since each waits for the
// gateway's answer.
func (s *swarm) closeAll() {
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, dialsAtOnce)
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

// botsText is a number of bots for people.
func botsText(n int64, of int) string {
	return strconv.FormatInt(n, 10) + "/" + strconv.Itoa(of)
}
