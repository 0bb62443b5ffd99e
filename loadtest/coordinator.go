package loadtest

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// coordinator leads the workers of a run. All of it is owned by the goroutine that
// calls coordinate, but for the lines, which are read by a goroutine each.
type coordinator struct {
	cfg     Config // static
	members []*member
	all     *collector
	lines   *progressLines
	notes   chan memberNote
	start   time.Duration // of the run, on this process's monotonic clock
}

// member is a worker as the coordinator sees it.
type member struct {
	index int
	line  *line
	hello *hello
	local bool // it reads the same clock as this process

	foreign bool // it must not be local; for tests

	clock offsetEstimate
	shift time.Duration // how far its clock was said to be ahead in its plan
	marks marks         // nil until it has told
	ended bool          // it has told all, or is lost
}

// memberNote is what a member said. Its line ended when err is not nil.
type memberNote struct {
	member *member
	note   *note
	err    error
	at     time.Duration // when it was read
}

// Times of a coordinator.
const (
	startTimeout = time.Minute // for a worker of this machine to say who it is
	// leadTime is between the plans and the start, so that all have read theirs.
	leadTime   = time.Second
	remoteWait = time.Minute
	// meetShare of the wait for workers of other machines is how long one of them may
	// take to say who it is: they come one after the other.
	meetShare = 4
	// firstExchanges is how often a clock is asked before the run.
	firstExchanges = keptExchanges
)

// coordinate lets a swarm of several processes play.
func coordinate(ctx context.Context, c Config, workers int, progress io.Writer) (*Report, error) {
	co := &coordinator{cfg: c, notes: make(chan memberNote)}
	life, kill := context.WithCancel(context.Background())
	defer kill()
	defer co.hangUp()
	if _, file := progress.(*os.File); !file {
		progress = &lockedWriter{w: progress} // for the workers' standard error as well
	}
	if err := co.startChildren(life, workers, progress); err != nil {
		return nil, err
	}
	if err := co.gather(ctx, progress); err != nil {
		return nil, err
	}
	co.all = newCollector(c, len(co.members))
	co.lines = newProgress(co.all, progress)
	if err := co.plan(); err != nil {
		return nil, err
	}
	over := make(chan struct{})
	var readers sync.WaitGroup
	for _, m := range co.members {
		readers.Go(func() { co.listen(m, over) })
	}
	report := co.lead(ctx)
	close(over)
	co.hangUp()
	readers.Wait()
	return report, nil
}

// lockedWriter makes a writer safe for concurrent use.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer // guarded by mu
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// hangUp ends all conversations, which ends what is left of the workers.
func (co *coordinator) hangUp() {
	var closing sync.WaitGroup
	for _, m := range co.members {
		closing.Go(func() { _ = m.line.rw.Close() })
	}
	closing.Wait()
	co.members = nil
	if co.cfg.Fleet.Listener != nil {
		_ = co.cfg.Fleet.Listener.Close()
	}
}

// startChildren starts the workers of this machine. They end with life.
func (co *coordinator) startChildren(life context.Context, workers int, progress io.Writer) error {
	starting, stop := context.WithTimeout(life, startTimeout)
	defer stop()
	for i := range workers {
		c, err := startChild(life, co.cfg.Fleet.Command, progress)
		if err != nil {
			return fmt.Errorf("start worker %d: %w", i, err)
		}
		m := &member{index: i, line: newLine(c)}
		co.members = append(co.members, m)
		late := context.AfterFunc(starting, func() { _ = c.WriteCloser.Close() })
		err = m.meet(nil)
		if !late() || err != nil {
			return fmt.Errorf("meet worker %d: %w", i, errors.Join(err, starting.Err()))
		}
	}
	return nil
}

// gather waits for the workers of other machines.
func (co *coordinator) gather(ctx context.Context, progress io.Writer) error {
	f, here := &co.cfg.Fleet, len(co.members)
	if f.Remote == 0 {
		return nil
	}
	stop := context.AfterFunc(ctx, func() { _ = f.Listener.Close() })
	defer stop()
	within := orDefault(f.RemoteWait, remoteWait)
	wait := time.AfterFunc(within, func() { _ = f.Listener.Close() })
	defer wait.Stop()
	_, _ = fmt.Fprintf(progress, "waiting for %d workers at %s\n", f.Remote, f.Listener.Addr())
	for len(co.members) < here+f.Remote {
		conn, err := f.Listener.Accept()
		if err != nil {
			return fmt.Errorf("wait for workers: %d of %d came: %w", len(co.members)-here, f.Remote, err)
		}
		m := &member{index: len(co.members), line: newLine(conn)}
		m.foreign = f.foreign
		_ = conn.SetReadDeadline(time.Now().Add(within / meetShare))
		if err := m.meet(f.Key); err != nil {
			_, _ = fmt.Fprintf(progress, "%s is no worker of this swarm: %v\n", conn.RemoteAddr(), err)
			_ = conn.Close()
			continue
		}
		_ = conn.SetReadDeadline(time.Time{})
		co.members = append(co.members, m)
	}
	return nil
}

// meet checks who a worker is, and compares its clock with ours.
func (m *member) meet(key []byte) error {
	nonce := newNonce()
	if err := m.line.send(&note{Type: noteChallenge, Challenge: &challenge{Nonce: nonce}}); err != nil {
		return err
	}
	n, err := m.line.expect(noteChallenge)
	if err != nil {
		return err
	}
	if !hmac.Equal(n.Challenge.Code, codeOf(key, "worker", nonce)) {
		return errors.New("it does not know the key")
	}
	if err := m.line.send(&note{Type: noteChallenge, Challenge: &challenge{Code: codeOf(key, "coordinator", n.Challenge.Nonce)}}); err != nil {
		return err
	}
	if n, err = m.line.expect(noteHello); err != nil {
		return err
	}
	m.hello = n.Hello
	m.local = !m.foreign && m.hello.Clock != "" && m.hello.Clock == clockID()
	for i := 0; i < firstExchanges && !m.local; i++ {
		if err := m.askTime(); err != nil {
			return err
		}
		n, err := m.line.expect(noteClock)
		if err != nil {
			return err
		}
		m.takeTime(n.Clock, monotonic())
	}
	return nil
}

func (m *member) askTime() error {
	return m.line.send(&note{Type: noteClock, Clock: &exchange{Sent: monotonic()}})
}

func (m *member) takeTime(e *exchange, at time.Duration) {
	e.Received = at
	m.clock.add(*e)
}

// plan shares out the bots and tells everybody.
func (co *coordinator) plan() error {
	most := make([]int, len(co.members))
	for i, m := range co.members {
		if most[i] = maxBots; m.hello.Files > 0 {
			most[i] = botsFor(m.hello.Files)
		}
	}
	shares, err := split(co.cfg.Bots, most)
	if err != nil {
		return err
	}
	co.start = monotonic() + leadTime
	run, first := newRun(), 0
	co.all.clocks = clocksShared
	for i, m := range co.members {
		p := &plan{
			Config: co.cfg, Tokens: co.cfg.Tokens, Secret: co.cfg.Secret, Run: run,
			First: first, Bots: shares[i], Start: co.start,
		}
		if !m.local {
			co.all.clocks = clocksSynchronised
			m.shift, _ = m.clock.offset()
			p.Start += m.shift
		}
		first += shares[i]
		co.all.parts[i] = WorkerReport{Name: m.hello.Name, Bots: shares[i]}
		if err := m.line.send(&note{Type: notePlan, Plan: p}); err != nil {
			return fmt.Errorf("send worker %d its plan: %w", i, err)
		}
	}
	return nil
}

// How times of several processes are compared.
const (
	clocksShared       = "one clock: all processes ran on this machine"
	clocksSynchronised = "synchronised: offsets estimated over the coordinator's connections"
)

// listen passes on what a member says, until its line or the run ends.
func (co *coordinator) listen(m *member, over <-chan struct{}) {
	for {
		n, err := m.line.read()
		select {
		case co.notes <- memberNote{m, n, err, monotonic()}:
		case <-over:
			return
		}
		if err != nil {
			return
		}
	}
}

// lead runs the phases of a run: act, settle, judge.
func (co *coordinator) lead(ctx context.Context) *Report {
	end := runEnd{started: time.Now().Add(co.start - monotonic())}
	co.all.kill = co.cfg.Kill.plan(co.start - monotonic() + co.cfg.Kill.After)
	end.interrupted = co.follow(ctx, co.start+co.cfg.Duration, func() bool { return co.each(func(m *member) bool { return m.ended }) })
	end.acted = co.now()
	co.broadcast(&note{Type: noteSettle})
	told := func(m *member) bool { return m.marks != nil || m.ended }
	co.follow(context.Background(), monotonic()+lastWait, func() bool { return co.each(told) })
	newest := marks{}
	for _, m := range co.members {
		for k, seq := range m.marks {
			newest[k] = max(newest[k], seq)
		}
		if !told(m) {
			co.lose(m, errors.New("it did not stop"))
		}
	}
	co.broadcast(&note{Type: noteMarks, Marks: newest})
	over := monotonic() + co.cfg.Settle + lastWait
	co.follow(context.Background(), over, func() bool { return co.each(func(m *member) bool { return m.ended }) })
	for i, m := range co.members {
		if !m.ended {
			co.lose(m, errors.New("it did not finish"))
		}
		if !m.local {
			part := &co.all.parts[i]
			part.ClockOffset, part.ClockError = m.clock.offset()
			co.all.clockError = max(co.all.clockError, part.ClockError)
		}
	}
	end.elapsed = co.now()
	co.lines.done()
	return co.all.report(end)
}

// now is the time since the run began.
func (co *coordinator) now() time.Duration { return monotonic() - co.start }

// follow takes in what the members say until a time of the own clock, until the
// check is true, or until ctx ends, which it reports.
func (co *coordinator) follow(ctx context.Context, until time.Duration, done func() bool) (interrupted bool) {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	end := time.NewTimer(until - monotonic())
	defer end.Stop()
	for !done() {
		select {
		case n := <-co.notes:
			co.take(n)
		case <-second.C:
			co.lines.show(co.now())
			co.askTimes()
		case <-end.C:
			return false
		case <-ctx.Done():
			return true
		}
	}
	return false
}

func (co *coordinator) each(is func(*member) bool) bool {
	for _, m := range co.members {
		if !is(m) {
			return false
		}
	}
	return true
}

func (co *coordinator) broadcast(n *note) {
	for _, m := range co.members {
		if m.ended {
			continue
		}
		if err := m.line.send(n); err != nil {
			co.lose(m, err)
		}
	}
}

func (co *coordinator) askTimes() {
	for _, m := range co.members {
		if !m.local && !m.ended {
			_ = m.askTime() // a broken line is noticed by its reader
		}
	}
}

// lose gives up on a member.
func (co *coordinator) lose(m *member, err error) {
	if !m.ended {
		m.ended = true
		co.all.lose(m.index, err)
	}
}

// take takes in what a member said.
func (co *coordinator) take(n memberNote) {
	m := n.member
	switch {
	case m.ended:
	case n.err != nil:
		co.lose(m, n.err)
	case n.note.Type == noteClock && n.note.Clock != nil:
		m.takeTime(n.note.Clock, n.at)
	case n.note.Type == noteSample && n.note.Sample != nil:
		m.correct(n.note.Sample)
		co.all.takeSample(m.index, n.note.Sample)
	case n.note.Type == noteMarks:
		if m.marks = n.note.Marks; m.marks == nil {
			m.marks = marks{}
		}
	case n.note.Type == noteTally && n.note.Tally != nil:
		m.ended = true
		co.all.takeTally(m.index, n.note.Tally)
	}
}

// correct turns the times of a sample into those of this process's clock.
func (m *member) correct(s *sample) {
	if m.local {
		return
	}
	ahead, _ := m.clock.offset()
	drift := ahead - m.shift
	s.At -= drift
	for i := range s.Updates {
		for k := range s.Updates[i].Updates {
			u := &s.Updates[i].Updates[k]
			u.First -= int64(drift)
			if u.Last != 0 {
				u.Last -= int64(drift)
			}
		}
	}
}
