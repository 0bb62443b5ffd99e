package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// players is a process of many players, each with one command on its way at most.
type players struct{ *client }

// Dealt is what players counted of one kind of command.
type Dealt struct {
	Sent     uint64        `json:"sent"`
	Answered uint64        `json:"answered"`
	OK       uint64        `json:"ok"`      // answered, and not refused
	Span     time.Duration `json:"span_ns"` // from the first command of a round to the last answer, rounds added up
	P50      time.Duration `json:"p50_ns"`  // from when a command was due until its answer was read
	P99      time.Duration `json:"p99_ns"`
	P999     time.Duration `json:"p999_ns"`
	Max      time.Duration `json:"max_ns"`
}

// PlayersReport is what players counted since they were told to begin.
type PlayersReport struct {
	Took        time.Duration     `json:"took_ns"`
	CPU         time.Duration     `json:"cpu_ns"`      // of the players themselves
	Doubled     uint64            `json:"doubled"`     // answers to commands that had theirs
	Stray       uint64            `json:"stray"`       // answers to no command
	Outstanding uint64            `json:"outstanding"` // commands without an answer
	Tap         Dealt             `json:"tap"`
	Bet         Dealt             `json:"bet"`
	Cashout     Dealt             `json:"cashout"`
	Refused     map[string]uint64 `json:"refused"` // by code
}

// Fault says which commands did not have exactly one answer, or nothing.
func (r PlayersReport) Fault() string {
	switch {
	case r.Doubled+r.Stray > 0:
		return fmt.Sprintf("%d answers came twice, %d to no command", r.Doubled, r.Stray)
	case r.Outstanding > 0:
		return fmt.Sprintf("%d commands have no answer", r.Outstanding)
	}
	return ""
}

// startPlayers starts players of a room. The caller calls kill.
func startPlayers(ctx context.Context, program string, c crowd, room, game string, d Dialect) (players, error) {
	path := filepath.Join(c.dir, "players-"+room)
	if err := os.WriteFile(path, messageFile(d.Messages), 0o600); err != nil {
		return players{}, err
	}
	args := []string{"-p", strconv.Itoa(c.port), "-n", strconv.Itoa(c.connections), "-r", room, "-g", game, "-i", path}
	ch, err := startChild("players", exec.CommandContext(ctx, program, args...))
	if err != nil {
		return players{}, err
	}
	return players{&client{child: ch, connections: c.connections}}, nil
}

// tap has taps begun: so many a second, or as fast as answers come with a rate of 0.
func (p players) tap(rate float64) error { return p.say("run %g", rate) }

// bet has so many rounds played, from the next one on whose betting opens.
func (p players) bet(rounds int) error { return p.say("run %d", rounds) }

// report returns what was counted since begin.
func (p players) report(ctx context.Context) (r PlayersReport, err error) {
	if err := p.say("end"); err != nil {
		return r, err
	}
	return r, p.hear(ctx, "report", &r)
}

// rest begins no more commands and waits until each has its answer, if that takes no longer than a gateway
// may take to give a command up.
func (p players) rest(ctx context.Context) error {
	if err := p.say("stop"); err != nil {
		return err
	}
	var stopped struct{}
	return p.hear(ctx, "stopped", &stopped)
}

// rounds waits until so many of the rounds are over.
func (p players) rounds(ctx context.Context, n int) error {
	for range n {
		var round json.RawMessage
		if err := p.hear(ctx, "round", &round); err != nil {
			return err
		}
	}
	return nil
}
