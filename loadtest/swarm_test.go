package loadtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// workerArgument makes the test's program a worker of a swarm.
const workerArgument = "swarm-worker"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == workerArgument {
		if err := Work(context.Background(), stdio{os.Stdin, os.Stdout}, nil); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// stdio is a worker's connection to who started it.
type stdio struct{ in, out *os.File }

func (s stdio) Read(b []byte) (int, error)  { return s.in.Read(b) }
func (s stdio) Write(b []byte) (int, error) { return s.out.Write(b) }
func (s stdio) Close() error                { return s.out.Close() }

// patience bounds waits; swarms that pass do not wait so long.
const patience = time.Minute

// quick is a swarm for the stage, whose rounds last half a second.
func quick(st *stage, bots int) Config {
	return Config{
		URLs: st.urls, Rooms: []string{"lobby"}, Bots: bots,
		Duration: 3 * time.Second, Ramp: 200 * time.Millisecond, Settle: patience, Seed: 7,
		Behaviour: Behaviour{CashOutDelay: 60 * time.Millisecond, ReconnectEvery: time.Second, MakeBeforeBreak: 0.5, CancelProbability: 0.2, TapRate: 20},
	}
}

func run(t *testing.T, c Config) *Report {
	t.Helper()
	var progress bytes.Buffer
	r, err := Run(context.Background(), c, &progress)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(progress.String())
			_ = r.WriteText(t.Output())
		}
	})
	return r
}

// runUntil lets a swarm play until it has shown enough, however long that takes
// on a busy machine.
func runUntil(t *testing.T, c Config, enough func(*swarm) bool) *Report {
	t.Helper()
	var progress bytes.Buffer
	r := playUntil(t, c, &progress, enough)
	if r == nil {
		t.FailNow()
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(progress.String())
			_ = r.WriteText(t.Output())
		}
	})
	return r
}

// playUntil is runUntil for any goroutine; without a swarm it returns nil.
func playUntil(t *testing.T, c Config, progress io.Writer, enough func(*swarm) bool) *Report {
	c.Duration = patience
	if err := c.Validate(); err != nil {
		t.Error(err)
		return nil
	}
	s, err := newSwarm(c.withDefaults())
	if err != nil {
		t.Error(err)
		return nil
	}
	ctx, stop := until(func() bool { return enough(s) })
	defer stop()
	r, err := s.play(ctx, progress)
	if err != nil {
		t.Error(err)
	}
	return r
}

// until gives a context that ends when something is so, or at stop.
func until(so func() bool) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		defer cancel()
		poll := time.NewTicker(20 * time.Millisecond)
		defer poll.Stop()
		for !so() {
			select {
			case <-ctx.Done():
				return
			case <-poll.C:
			}
		}
	})
	return ctx, func() { cancel(); wg.Wait() }
}

// allCompared reports whether updates of every room were seen by two bots.
func (s *swarm) allCompared() bool {
	all := s.check.all()
	for _, st := range all {
		if st.tally().Compared == 0 {
			return false
		}
	}
	return len(all) == len(s.cfg.Rooms)
}

// allProven reports whether of every room a round has ended, and in crash a crash
// point was recomputed and a seed was linked to the one before.
func (s *swarm) allProven(game string) bool {
	for _, st := range s.check.all() {
		st.mu.Lock()
		r := &st.rounds
		proven := r.ended > 0 && (game == gameRace || r.chains.linked > 0 && r.chains.verified > 0)
		st.mu.Unlock()
		if !proven {
			return false
		}
	}
	return s.allCompared()
}

func (r *Report) check(name checkName) Check {
	for _, c := range r.Checks {
		if c.Name == string(name) {
			return c
		}
	}
	return Check{}
}

func wantPassed(t *testing.T, r *Report) {
	t.Helper()
	if !r.Passed() {
		t.Error("an honest run did not pass")
	}
}

func TestHonestCrashPasses(t *testing.T) {
	t.Parallel()
	for name, plain := range map[string]bool{"lean": false, "plain": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testHonestCrash(t, plain)
		})
	}
}

// testHonestCrash plays with connections that loops read, or with plain ones.
func testHonestCrash(t *testing.T, plain bool) {
	st := newStage(t, 3, map[string]string{"lobby": gameCrash, "den": gameCrash})
	c := quick(st, 40)
	c.Rooms, c.RoomsPerBot, c.Game = []string{"lobby", "den"}, 2, gameCrash
	c.Behaviour.ChatRate, c.plain = 60, plain
	r := runUntil(t, c, func(s *swarm) bool {
		return s.now() > 3*time.Second && s.check.get(countRecovered) > 0 && s.check.get(countMoves) > 0 && s.check.get(countBreaks) > 0 &&
			s.judged.Load() > 0 && s.chatLines.Load() > 0 && s.allProven(gameCrash)
	})
	wantPassed(t, r)
	for name, n := range map[string]uint64{
		countRecovered: r.Counts[countRecovered], countMoves: r.Counts[countMoves], countBreaks: r.Counts[countBreaks],
		countBooks: r.Counts[countBooks], "results": r.Totals.Results, "chat": r.Totals.ChatLines,
		"compared": r.Rooms[0].Compared, "rounds": r.Rooms[0].Rounds, "verified": r.Rooms[0].Verified, "linked": r.Rooms[1].Linked,
	} {
		if n == 0 {
			t.Errorf("an honest run shows no %s", name)
		}
	}
}

func TestHonestRacePasses(t *testing.T) {
	t.Parallel()
	st := newStage(t, 2, map[string]string{"lobby": gameRace})
	c := quick(st, 9)
	c.Game, c.Secret = gameRace, st.secret
	r := runUntil(t, c, func(s *swarm) bool { return s.now() > 3*time.Second && s.judged.Load() > 0 && s.allProven(gameRace) })
	wantPassed(t, r)
	if r.Totals.Results == 0 || r.Rooms[0].Rounds == 0 {
		t.Errorf("nothing was judged: %+v", r.Totals)
	}
}

func TestBotsOfOnePlayer(t *testing.T) {
	t.Parallel()
	st := newStage(t, 2, map[string]string{"lobby": gameCrash})
	c := quick(st, 6)
	d, err := newDialer(&Config{Secret: st.secret}, "x")
	if err != nil {
		t.Fatal(err)
	}
	token, err := d.token(context.Background(), 0)
	if err != nil {
		t.Fatal(err)
	}
	c.Tokens = []string{token}
	r := runUntil(t, c, func(s *swarm) bool { return s.now() > 3*time.Second && s.judged.Load() > 0 && s.allCompared() })
	wantPassed(t, r)
	if r.Counts[countBooks] != 0 || r.Counts[countBooksSkipped] == 0 {
		t.Errorf("books of a shared player were checked: %v", r.Counts)
	}
}

func TestRunThatProvesNothingFails(t *testing.T) {
	t.Parallel()
	st := newStage(t, 1, map[string]string{"lobby": gameCrash})
	c := quick(st, 3)
	c.Duration, c.Settle = 300*time.Millisecond, 300*time.Millisecond
	t.Run("unknown room", func(t *testing.T) {
		c := c
		c.Rooms = []string{"nowhere"}
		if r := run(t, c); r.Passed() || r.check(checkJoined).Passed {
			t.Error("passed without a room")
		}
	})
	t.Run("nobody listens", func(t *testing.T) {
		c := c
		c.URLs, c.Secret = []string{"ws://127.0.0.1:1/ws"}, []byte("x")
		if r := runUntil(t, c, func(s *swarm) bool { return s.firstDialError() != "" }); r.Passed() || r.DialError == "" {
			t.Errorf("passed without a gateway (%q)", r.DialError)
		}
	})
	t.Run("other game", func(t *testing.T) {
		c := c
		c.Game = gameRace
		if r := run(t, c); r.check(checkJoined).Passed {
			t.Error("passed though the room plays another game")
		}
	})
	t.Run("threshold", func(t *testing.T) {
		c := c
		c.Thresholds.JoinP99 = time.Microsecond
		r := run(t, c)
		if c := r.check("join p99"); r.Passed() || c.Passed || c.Name == "" {
			t.Errorf("a join within a microsecond: %+v", c)
		}
	})
}

func TestInterruptedRunIsJudged(t *testing.T) {
	t.Parallel()
	st := newStage(t, 1, map[string]string{"lobby": gameCrash})
	c := quick(st, 5)
	c.Duration = time.Hour
	c.JSONFile = filepath.Join(t.TempDir(), "report.json")
	c.Behaviour.ReconnectEvery = -1
	ctx, stop := until(func() bool { return st.played(c.Bots, 10) })
	defer stop()
	r, err := Run(ctx, c, &bytes.Buffer{})
	if err != nil || !r.Interrupted {
		t.Fatalf("interrupted %+v, %v", r, err)
	}
	wantPassed(t, r)
	var text strings.Builder
	if err := r.WriteText(&text); err != nil || !strings.Contains(text.String(), "verdict: PASSED") || !strings.Contains(text.String(), "(interrupted)") {
		t.Errorf("the text says %s, %v", text.String(), err)
	}
	b, err := os.ReadFile(c.JSONFile)
	if err != nil {
		t.Fatal(err)
	}
	var read Report
	if err := json.Unmarshal(b, &read); err != nil || !read.Passed() || read.Totals != r.Totals {
		t.Errorf("the JSON report reads back as %+v, %v", read, err)
	}
}

// newest is the newest update of a room.
func (st *stage) newest(room string) uint64 {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.rooms[room].seq
}

// judged reports whether a bot has judged a bet in the lobby: it has bet again, and
// for that must have seen the betting of the round behind it.
func (st *stage) judged() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	bets := st.rooms["lobby"].bets
	for _, first := range bets {
		for _, again := range bets {
			if again.player == first.player && again.round >= first.round+2 { // one for the next round may be made in flight
				return true
			}
		}
	}
	return false
}

// played reports whether so many bots were in the lobby at once, and so many
// updates came since.
func (st *stage) played(bots int, updates uint64) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	r := st.rooms["lobby"]
	in := 0
	for c := range st.conns {
		if c.rooms["lobby"] {
			in++
		}
	}
	if in >= bots && r.full == 0 {
		r.full = r.seq
	}
	return r.full > 0 && r.seq >= r.full+updates
}
