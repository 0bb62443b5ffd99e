package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// ErrAnswers is returned when a command did not have exactly one answer.
var ErrAnswers = errors.New("not every command had exactly one answer (see above)")

// CommandPlan is what Commands measures.
type CommandPlan struct {
	Players int       // of each room
	Rates   []float64 // taps a second, each for Look
	Rounds  int       // of bets and cash-outs
	Clock   Clock     // Warm and Look
	Profile string    // file for a CPU profile of the server while it is flat out; empty: none
}

// Rooms of the measurement.
const (
	raceRoom  = "bench-race"
	crashRoom = "bench-crash"
)

// lateAnswers is how long is waited for answers that nobody expects.
const lateAnswers = 300 * time.Millisecond

// Commands measures the way of commands from a player's socket to the answer on it: the shipped program with
// everything in one process (serve) and one partition, every command through gateway, log, fold and back.
// It ends with the line
//
//	commands taps T/s cash-outs C/s bets B/s p50 X ms p99 Y ms
//
// where the latencies are those of the first of the plan's rates.
func (k Kit) Commands(ctx context.Context, plan CommandPlan, out io.Writer) error {
	s := &commandStage{plan: plan, out: out}
	var err error
	if s.stage, err = k.open(ctx, Peer{Name: "tickcast serve", start: s.start}); err != nil {
		return err
	}
	defer s.stage.close()
	taps, calm, err := s.race(ctx)
	if err != nil {
		return err
	}
	bets, cashouts, err := s.crash(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "commands taps %.0f/s cash-outs %.0f/s bets %.0f/s p50 %.2f ms p99 %.2f ms\n",
		taps, cashouts, bets, millis(calm.P50), millis(calm.P99))
	if s.fault {
		return ErrAnswers
	}
	return nil
}

// commandStage is a stage with rooms.
type commandStage struct {
	*stage
	plan     CommandPlan
	out      io.Writer
	internal string // URL
	fault    bool
}

// mostOfOnePlayer is what a connection may send, a second and at once: a few players, with
// one command on its way each, send more than the 50 a second that are meant for people.
const mostOfOnePlayer = "20000"

// start starts the shipped program with everything in one process and one partition.
func (s *commandStage) start(ctx context.Context, st *stage) (err error) {
	s.stage = st
	s.secret = rand.Text() + rand.Text()
	s.internal, err = st.runTickcast(ctx, []string{"TICKCAST_JWT_SECRET=" + s.secret}, "serve", "--partitions", "1",
		"--message-rate", mostOfOnePlayer, "--message-burst", mostOfOnePlayer)
	if err != nil {
		return err
	}
	return st.awaitOK(ctx, s.internal+"/readyz")
}

// open makes a room as an operator would.
func (s *commandStage) open(ctx context.Context, room, game string, settings ...string) error {
	args := []string{"rooms", "create", room, "--game", game, "--api", s.internal, "--data", s.dir}
	for _, v := range settings {
		args = append(args, "--set", v)
	}
	cmd := exec.CommandContext(ctx, s.kit.Tickcast, args...)
	cmd.Env = withoutOptions(os.Environ())
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("create room %s: %w: %s", room, err, strings.TrimSpace(string(said)))
	}
	return s.awaitOK(ctx, fmt.Sprintf("http://127.0.0.1:%d/api/rooms/%s", s.port, room))
}

// seat brings players into a room.
func (s *commandStage) seat(ctx context.Context, room, game string) (p players, err error) {
	program, err := s.kit.Programs.C(ctx, "players")
	if err != nil {
		return p, err
	}
	d, err := tickcastDialect(s.plan.Players, room, s.secret)
	if err != nil {
		return p, err
	}
	if p, err = startPlayers(ctx, program, crowd{dir: s.dir, port: s.port, connections: s.plan.Players}, room, game, d); err != nil {
		return p, err
	}
	s.clients = append(s.clients, p.client)
	_, err = p.awaitReady(ctx)
	return p, err
}

// race measures taps: as many as go, then at the plan's rates. It returns the most a second, and the first rate.
func (s *commandStage) race(ctx context.Context) (most float64, calm Dealt, err error) {
	err = s.open(ctx, raceRoom, "race", "gathering_ms=100", "running_ms=600000", "max_taps_per_s=1000")
	if err != nil {
		return 0, calm, err
	}
	p, err := s.seat(ctx, raceRoom, "race")
	if err != nil {
		return 0, calm, err
	}
	defer p.kill()
	for i, rate := range slices.Insert(slices.Clone(s.plan.Rates), 0, 0) {
		r, err := s.taps(ctx, p, rate)
		if err != nil {
			return 0, calm, err
		}
		switch i {
		case 0:
			most = float64(r.Tap.OK) / r.Took.Seconds()
		case 1:
			calm = r.Tap
		}
	}
	return most, calm, nil
}

// taps has players tap at a rate, 0 for as fast as answers come.
func (s *commandStage) taps(ctx context.Context, p players, rate float64) (r PlayersReport, err error) {
	if err := p.tap(rate); err != nil {
		return r, err
	}
	if err := wait(ctx, s.plan.Clock.Warm); err != nil {
		return r, err
	}
	profiled := s.profile(ctx, rate)
	before, err := cpuOf(s.server.pid())
	if err != nil {
		return r, err
	}
	if err := p.begin(ctx); err != nil {
		return r, err
	}
	if err := wait(ctx, s.plan.Clock.Look); err != nil {
		return r, err
	}
	if r, err = p.report(ctx); err != nil {
		return r, err
	}
	after, err := cpuOf(s.server.pid())
	if err != nil {
		return r, err
	}
	if err := <-profiled; err != nil {
		return r, err
	}
	name := "taps, each player the next when he has his answer"
	if rate > 0 {
		name = fmt.Sprintf("taps, %g/s", rate)
	}
	s.print(name, r.Tap, r.Took)
	fmt.Fprintf(s.out, "  CPU of the server %.1f µs a command, of the players %.1f µs\n",
		ratio(micros(after-before), float64(r.Tap.Answered)), ratio(micros(r.CPU), float64(r.Tap.Answered)))
	return r, s.settle(ctx, p)
}

// settle waits until every command has its answer, and whether more answers than those come.
func (s *commandStage) settle(ctx context.Context, p players) error {
	if err := p.rest(ctx); err != nil {
		return err
	}
	if err := wait(ctx, lateAnswers); err != nil {
		return err
	}
	r, err := p.report(ctx)
	if err != nil {
		return err
	}
	for code, n := range r.Refused {
		fmt.Fprintf(s.out, "  %d refused: %s\n", n, code)
	}
	if f := r.Fault(); f != "" {
		s.fault = true
		fmt.Fprintf(s.out, "  %s\n", f)
	}
	return nil
}

// crash measures bets and cash-outs: in each round everybody bets twice as soon as betting opens, and cashes
// both bets out in flight.
func (s *commandStage) crash(ctx context.Context) (bets, cashouts float64, err error) {
	if err := s.open(ctx, crashRoom, "crash", "betting_ms=3000", "lock_ms=5000", "crashed_ms=100", "cap=112"); err != nil {
		return 0, 0, err
	}
	p, err := s.seat(ctx, crashRoom, "crash")
	if err != nil {
		return 0, 0, err
	}
	defer p.kill()
	if err := p.begin(ctx); err != nil {
		return 0, 0, err
	}
	if err := p.bet(s.plan.Rounds); err != nil {
		return 0, 0, err
	}
	if err := p.rounds(ctx, s.plan.Rounds); err != nil {
		return 0, 0, err
	}
	if err := p.rest(ctx); err != nil { // an answer may come when its round is over
		return 0, 0, err
	}
	r, err := p.report(ctx)
	if err != nil {
		return 0, 0, err
	}
	s.print(fmt.Sprintf("bets, %d rounds", s.plan.Rounds), r.Bet, r.Bet.Span)
	s.print(fmt.Sprintf("cash-outs, %d rounds", s.plan.Rounds), r.Cashout, r.Cashout.Span)
	return ratio(float64(r.Bet.OK), r.Bet.Span.Seconds()), ratio(float64(r.Cashout.OK), r.Cashout.Span.Seconds()), s.settle(ctx, p)
}

func (s *commandStage) print(name string, d Dealt, took time.Duration) {
	fmt.Fprintf(s.out, "%s: %d answered in %v, %.0f/s; p50 %.2f ms  p99 %.2f ms  p99.9 %.2f ms  max %.2f ms\n",
		name, d.Answered, took.Round(time.Millisecond), ratio(float64(d.Answered), took.Seconds()),
		millis(d.P50), millis(d.P99), millis(d.P999), millis(d.Max))
}

// profile fetches a CPU profile of the server while it is flat out, if the plan asks for one.
func (s *commandStage) profile(ctx context.Context, rate float64) <-chan error {
	done := make(chan error, 1)
	if s.plan.Profile == "" || rate > 0 {
		done <- nil
		return done
	}
	go func() { done <- s.fetchProfile(ctx) }()
	return done
}

func (s *commandStage) fetchProfile(ctx context.Context) error {
	key, err := os.ReadFile(filepath.Join(s.dir, "secrets", "operator.key"))
	if err != nil {
		return err
	}
	url := fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", s.internal, int(s.plan.Clock.Look.Seconds()))
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(key)))
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("fetch profile: %s", res.Status)
	}
	file, err := os.Create(s.plan.Profile)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, res.Body)
	return errors.Join(err, file.Close())
}
