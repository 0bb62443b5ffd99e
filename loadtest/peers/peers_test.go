package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tickcast/internal/testsvc"
	"tickcast/loadtest/peers/bench"
)

// TestMain is the servers as well: the harness runs its own program for them.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		main()
		return
	}
	os.Exit(m.Run())
}

// builtKit builds the program under test.
func builtKit(t *testing.T) bench.Kit {
	t.Helper()
	testsvc.Require(t, "cc")
	dir := t.TempDir()
	tickcast := filepath.Join(dir, "tickcast")
	if out, err := exec.Command("go", "build", "-C", "../..", "-buildvcs=false", "-o", tickcast, ".").CombinedOutput(); err != nil {
		t.Fatalf("build tickcast: %v\n%s", err, out)
	}
	return bench.Kit{Tickcast: tickcast, Self: os.Args[0], Programs: bench.Programs{Sources: sources, Dir: dir}}
}

// TestCommandsAreAnswered has a few players tap, bet and cash out for a moment: each command has one answer.
// Figures of such a run mean nothing.
func TestCommandsAreAnswered(t *testing.T) {
	plan := bench.CommandPlan{
		Players: 20, Rates: []float64{100}, Rounds: 1,
		Clock: bench.Clock{Warm: 100 * time.Millisecond, Look: 500 * time.Millisecond},
	}
	var out strings.Builder
	if err := builtKit(t).Commands(t.Context(), plan, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	// Each player bets once at least: the second bet waits for the answer to the first, and may come too late.
	_, said, _ := strings.Cut(out.String(), "bets, 1 rounds: ")
	var bets int
	if _, err := fmt.Sscanf(said, "%d answered", &bets); err != nil || bets < plan.Players || bets > 2*plan.Players {
		t.Errorf("%d bets of %d players in a round (%v):\n%s", bets, plan.Players, err, out.String())
	}
}

// TestEveryPeerDelivers compares all servers that need no Node, for a moment each: every client gets every update
// once and in order. Figures of such a run mean nothing.
func TestEveryPeerDelivers(t *testing.T) {
	k := builtKit(t)
	// What a server that stood still has to send at once must be less than the 16 updates that coder keeps for a client.
	plan := bench.Plan{
		Connections: 20, Repetitions: 1, Busy: []bench.Load{{Rate: 1, Size: 1024}}, Calm: bench.Load{Rate: 1, Size: 128},
		Clock: bench.Clock{Warm: 100 * time.Millisecond, Look: 600 * time.Millisecond, Drain: 20 * time.Second},
	}
	plan.Peers = slices.DeleteFunc(bench.Peers(), func(p bench.Peer) bool { return p.Name == "node-ws" || p.Name == "socketio" })
	samples, err := k.Compare(t.Context(), plan, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range samples {
		if s.Missing != "" || len(s.List) != 1 {
			t.Fatalf("%s: %d samples, missing %q", s.Peer, len(s.List), s.Missing)
		}
		got := s.List[0]
		if len(got.Faults) > 0 {
			t.Errorf("%s: %s", s.Peer, strings.Join(got.Faults, ", "))
			continue
		}
		if got.Busy[0].CPUPerUpdate() <= 0 || got.Calm.P99 <= 0 || got.Idle.After <= 0 {
			t.Errorf("%s: a figure is missing: %+v", s.Peer, got)
		}
	}
	if err := bench.NewComparison(plan, samples, time.Now()).Save(t.TempDir()); err != nil {
		t.Error(err)
	}
}

// TestSwarmAndClientReceive has the swarm and the client in C receive for a moment each: both get every update once.
// Figures of such a run mean nothing.
func TestSwarmAndClientReceive(t *testing.T) {
	plan := bench.SwarmPlan{
		Connections: 20, Repetitions: 2, Load: bench.Load{Rate: 10, Size: 128},
		Clock: bench.Clock{Warm: 100 * time.Millisecond, Look: 500 * time.Millisecond, Drain: 2 * time.Second},
	}
	var out strings.Builder
	if err := builtKit(t).SwarmCost(t.Context(), plan, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if !strings.Contains(out.String(), "\nswarm ratio ") || strings.Contains(out.String(), " 0.00 µs") {
		t.Errorf("a figure is missing:\n%s", out.String())
	}
}

func TestSwarmCostRefuses(t *testing.T) {
	for _, args := range [][]string{
		{"--connections", "1"},
		{"--connections", "20000"},
		{"--repetitions", "0"},
		{"--load", "10"},
		{"--look", "1ms"},
		{"--tickcast", "nowhere"},
	} {
		c := newCommand()
		c.SetArgs(append([]string{"swarm-cost"}, args...))
		c.SetOut(io.Discard)
		if err := c.Execute(); err == nil {
			t.Errorf("no error for %v", args)
		}
	}
}

func TestCommandsRefuses(t *testing.T) {
	for _, args := range [][]string{
		{"--players", "0"},
		{"--players", "20000"},
		{"--rates", ""},
		{"--rates", "-1"},
		{"--rounds", "0"},
		{"--look", "1ms"},
		{"--tickcast", "nowhere"},
	} {
		c := newCommand()
		c.SetArgs(append([]string{"commands"}, args...))
		c.SetOut(io.Discard)
		if err := c.Execute(); err == nil {
			t.Errorf("no error for %v", args)
		}
	}
}

func TestCompareRefuses(t *testing.T) {
	for _, args := range [][]string{
		{"--servers", "apache"},
		{"--connections", "0"},
		{"--connections", "20000"},
		{"--repetitions", "0"},
		{"--busy", "20"},
		{"--busy", "20x10"},
		{"--busy", "x128"},
		{"--calm", "0x128"},
		{"--stuck", "2"},
		{"--look", "1ms"},
		{"--tickcast", "nowhere"},
	} {
		c := newCommand()
		c.SetArgs(append([]string{"compare"}, args...))
		c.SetOut(io.Discard)
		if err := c.Execute(); err == nil {
			t.Errorf("no error for %v", args)
		}
	}
}
