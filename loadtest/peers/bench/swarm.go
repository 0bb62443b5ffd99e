package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"tickcast/loadtest/peers/serve"
)

// ErrReceived is returned when the swarm or the client in C did not get every update once.
var ErrReceived = errors.New("not every update was received once and in order (see above)")

// SwarmPlan is what SwarmCost measures.
type SwarmPlan struct {
	Connections int
	Repetitions int
	Load        Load
	Clock       Clock // Settle, Warm, Look, Drain
}

// Received is what a receiver showed in one repetition.
type Received struct {
	CPU    time.Duration // of the receiver, from before the first update until all of the last had time to arrive
	Frames uint64        // that it got meanwhile
	P99    time.Duration // from when an update was due; the swarm's: over the least that it saw
	Fault  string        // what it did not get, or nothing
}

// PerFrame is the receiver's CPU time for each frame.
func (r Received) PerFrame() time.Duration {
	if r.Frames == 0 {
		return 0
	}
	return r.CPU / time.Duration(r.Frames)
}

// swarmRatio is the median cost of a frame for the client in C and for the swarm, and the swarm's to the client's.
func swarmRatio(client, swarm []Received) (c, s time.Duration, r float64) {
	c, s = medianOf(client, Received.PerFrame), medianOf(swarm, Received.PerFrame)
	return c, s, ratio(s, c)
}

// SwarmCost compares what a frame costs the swarm, with all that it checks, with what it costs the client in C. One
// gateway serves both in turn, the same room, load and number of connections; CPU is the kernel's account of the
// receiving process, whatever it does meanwhile. It ends with the line
//
//	swarm ratio R (C x.xx µs, swarm y.yy µs per frame)
func (k Kit) SwarmCost(ctx context.Context, plan SwarmPlan, out io.Writer) error {
	st, err := k.open(ctx, ours())
	if err != nil {
		return err
	}
	defer st.close()
	s := &swarmStage{stage: st, plan: plan}
	order := []func() receiver{
		func() receiver { return &clientReceiver{stage: st} },
		func() receiver { return &swarmReceiver{stage: st} },
	}
	seen := map[string][]Received{}
	fault, late := false, false
	for range plan.Repetitions {
		for _, next := range order {
			r := next()
			got, err := s.sample(ctx, r)
			if err != nil {
				return fmt.Errorf("%s: %w", r.name(), err)
			}
			fmt.Fprintf(out, "%-5s %5.2f µs a frame, %d frames, p99 %.1f ms  %s\n", r.name(), micros(got.PerFrame()), got.Frames, millis(got.P99), got.Fault)
			fault = fault || got.Fault != ""
			late = late || got.P99.Seconds() > 1/plan.Load.Rate
			seen[r.name()] = append(seen[r.name()], got)
		}
		slices.Reverse(order)
	}
	if late {
		fmt.Fprintln(out, "updates were later than the next one was due: they came several at once, and the ratio says little")
	}
	c, sw, r := swarmRatio(seen[clientName], seen[swarmName])
	fmt.Fprintf(out, "swarm ratio %.2f (C %.2f µs, swarm %.2f µs per frame)\n", r, micros(c), micros(sw))
	if fault {
		return ErrReceived
	}
	return nil
}

// swarmStage is a gateway and who receives from it in turn. It is used by one goroutine.
type swarmStage struct {
	*stage
	plan      SwarmPlan
	published uint64 // number of the last update
}

// receiver is a process of many connections that gets every update.
type receiver interface {
	name() string
	// start connects, and returns when all connections are in the room, where so many updates were published before.
	// The stage ends the process.
	start(ctx context.Context, connections int, published uint64) (*child, error)
	// finish tells how late updates were, and what was wrong if each connection did not get so many once, to the last.
	finish(ctx context.Context, updates, last uint64) (p99 time.Duration, fault string, err error)
}

// sample takes one sample. All that is published is received before its end, so that frames need not be counted at
// an instant.
func (s *swarmStage) sample(ctx context.Context, r receiver) (got Received, err error) {
	c, err := r.start(ctx, s.plan.Connections, s.published)
	if err != nil {
		return got, err
	}
	defer c.kill()
	if err := wait(ctx, s.plan.Clock.Settle); err != nil {
		return got, err
	}
	warm, err := s.burst(ctx, s.plan.Clock.Warm)
	if err != nil {
		return got, err
	}
	before, err := cpuOf(c.pid())
	if err != nil {
		return got, err
	}
	counted, err := s.burst(ctx, s.plan.Clock.Look)
	if err != nil {
		return got, err
	}
	after, err := s.cpuBehind(ctx, c.pid(), before)
	if err != nil {
		return got, err
	}
	got.CPU, got.Frames = after-before, counted*uint64(s.plan.Connections)
	got.P99, got.Fault, err = r.finish(ctx, warm+counted, s.published)
	return got, err
}

// burst publishes for a time, and gives the last updates time to arrive. It returns their number.
func (s *swarmStage) burst(ctx context.Context, d time.Duration) (updates uint64, err error) {
	if err := s.publish(s.plan.Load); err != nil {
		return 0, err
	}
	if err := wait(ctx, d); err != nil {
		return 0, err
	}
	last, err := s.stop(ctx)
	if err != nil {
		return 0, err
	}
	updates, s.published = last-s.published, last
	return updates, wait(ctx, s.plan.Clock.Drain)
}

// cpuBehind is the CPU time of a receiver so far. One that has used none since before stood still, and gets the time
// for the last updates again.
func (s *swarmStage) cpuBehind(ctx context.Context, pid int, before time.Duration) (time.Duration, error) {
	for end := time.Now().Add(sayTimeout); ; {
		now, err := cpuOf(pid)
		if err != nil || now > before || time.Now().After(end) {
			return now, err
		}
		if err := wait(ctx, s.plan.Clock.Drain); err != nil {
			return 0, err
		}
	}
}

// Names of receivers.
const (
	clientName = "C"
	swarmName  = "swarm"
)

// clientReceiver is the client in C.
type clientReceiver struct {
	*stage
	client *client
}

func (r *clientReceiver) name() string { return clientName }

func (r *clientReceiver) start(ctx context.Context, connections int, published uint64) (*child, error) {
	c, _, err := r.admit(ctx, connections, 0)
	if err != nil {
		return nil, err
	}
	r.client = c
	return c.child, c.beginAfter(ctx, published) // what comes with the joining does not count
}

func (r *clientReceiver) finish(ctx context.Context, updates, last uint64) (time.Duration, string, error) {
	got, err := r.client.arrived(ctx, last, sayTimeout)
	if err != nil {
		return 0, "", err
	}
	w := Window{Report: got, Published: last}
	fault := w.Fault()
	if want := updates * uint64(r.client.connections); fault == "" && got.Updates != want {
		fault = fmt.Sprintf("%d updates instead of %d", got.Updates, want)
	}
	return got.P99, fault, nil
}

// swarmReceiver is the program's own swarm, which watches.
type swarmReceiver struct {
	*stage
	child *child
	bots  int
}

func (r *swarmReceiver) name() string { return swarmName }

func (r *swarmReceiver) report() string { return filepath.Join(r.dir, "swarm.json") }

func (r *swarmReceiver) start(ctx context.Context, connections int, _ uint64) (*child, error) {
	secret := filepath.Join(r.dir, "jwt.secret")
	if err := os.WriteFile(secret, []byte(r.secret), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, r.kit.Tickcast, "swarm", "--scenario", "steady", "--bots", strconv.Itoa(connections), "--workers", "1",
		"--url", fmt.Sprintf("ws://127.0.0.1:%d/ws", r.port), "--room", serve.Room, "--jwt-secret-file", secret,
		"--ramp", "-1s", "--duration", "1h", "--settle", "10s", "--json", r.report())
	cmd.Env = withoutOptions(os.Environ())
	c, err := r.run(swarmName, cmd)
	if err != nil {
		return nil, err
	}
	r.child, r.bots = c, connections
	return c, r.awaitJoined(ctx)
}

// awaitJoined waits until the swarm tells that all have joined.
func (r *swarmReceiver) awaitJoined(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, sayTimeout, fmt.Errorf("not all of %d bots joined within %v", r.bots, sayTimeout))
	defer cancel()
	for all := fmt.Sprintf("  joined %d/%d  ", r.bots, r.bots); !strings.Contains(r.child.log.String(), all); {
		if err := wait(ctx, 10*time.Millisecond); err != nil {
			return r.child.failure(err)
		}
	}
	return nil
}

// finish has the swarm judge what it saw.
func (r *swarmReceiver) finish(ctx context.Context, updates, last uint64) (time.Duration, string, error) {
	if err := r.child.cmd.Process.Signal(syscall.SIGINT); err != nil {
		return 0, "", r.child.failure(err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, sayTimeout, fmt.Errorf("did not end within %v", sayTimeout))
	defer cancel()
	for open := true; open; {
		select {
		case _, open = <-r.child.lines:
		case <-ctx.Done():
			return 0, "", r.child.failure(context.Cause(ctx))
		}
	}
	b, err := os.ReadFile(r.report())
	if err != nil {
		return 0, "", r.child.failure(err)
	}
	return judged(b, updates*uint64(r.bots), last)
}

// judged reads a swarm's report: how late updates were, and what it has to say against so many sightings to the last
// update. There may be more: a bot that joins is given what is newer than the snapshot.
func judged(report []byte, want, last uint64) (p99 time.Duration, fault string, err error) {
	var r struct {
		Verdict string
		Checks  []struct {
			Name     string
			Passed   bool
			Examples []json.RawMessage
		}
		Rooms     []struct{ Newest, Sightings uint64 }
		Latencies []struct {
			Name string
			P99  time.Duration `json:"p99_ns"`
		}
	}
	if err := json.Unmarshal(report, &r); err != nil {
		return 0, "", fmt.Errorf("read the swarm's report: %w", err)
	}
	for _, l := range r.Latencies {
		if l.Name == "delivery" {
			p99 = l.P99
		}
	}
	var seen, newest uint64
	for _, room := range r.Rooms {
		seen, newest = seen+room.Sightings, max(newest, room.Newest)
	}
	for _, c := range r.Checks {
		if !c.Passed {
			return p99, fmt.Sprintf("check %s failed: %s", c.Name, c.Examples), nil
		}
	}
	switch {
	case r.Verdict != "passed":
		fault = fmt.Sprintf("the verdict is %q", r.Verdict)
	case seen < want || newest != last:
		fault = fmt.Sprintf("%d sightings to update %d instead of %d to %d", seen, newest, want, last)
	}
	return p99, fault, nil
}
