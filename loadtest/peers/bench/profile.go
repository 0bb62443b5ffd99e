package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// ErrNoPerf is returned when CPU time cannot be attributed.
var ErrNoPerf = errors.New("no perf: install linux-perf")

// Profile writes down where a peer's CPU time goes under a load: by program and kernel, then by function with
// what it calls. The figures of such a run are not comparable, as recording costs time as well.
func (k Kit) Profile(ctx context.Context, p Plan, peer Peer, out io.Writer) error {
	perf, err := exec.LookPath("perf")
	if err != nil {
		return ErrNoPerf
	}
	st, err := k.open(ctx, peer)
	if err != nil {
		return err
	}
	defer st.close()
	c, _, err := st.fill(ctx, p.Connections, p.Clock)
	if err != nil {
		return err
	}
	file := filepath.Join(st.dir, "perf.data")
	if err := st.publish(p.Busy[0]); err != nil {
		return err
	}
	if err := wait(ctx, p.Clock.Warm); err != nil {
		return err
	}
	if err := c.begin(ctx); err != nil {
		return err
	}
	before, err := cpuOf(st.server.pid())
	if err != nil {
		return err
	}
	if err := record(ctx, p.Clock, exec.CommandContext(ctx, perf, "record", "-F", "499", "-g", "-p", strconv.Itoa(st.server.pid()), "-o", file)); err != nil {
		return err
	}
	w := Window{Load: p.Busy[0]}
	if w.Report, err = c.end(ctx); err != nil {
		return err
	}
	after, err := cpuOf(st.server.pid())
	if err != nil {
		return err
	}
	w.ServerCPU = after - before
	fmt.Fprintf(out, "%s, %v to %d connections: %.2f µs/update while recorded, %.0f %% in time, %.2f updates/read\n",
		peer.Name, w.Load, p.Connections, micros(w.CPUPerUpdate()), 100*w.Kept(p.Connections), ratio(w.Updates, w.Reads))
	for _, by := range [][]string{{"--no-children", "--sort", "dso"}, {"--children", "--sort", "symbol"}} {
		args := append([]string{"report", "-i", file, "--stdio", "-g", "none", "--percent-limit", "1"}, by...)
		b, err := exec.CommandContext(ctx, perf, args...).Output()
		if err != nil {
			return fmt.Errorf("perf report: %w", err)
		}
		fmt.Fprintf(out, "\n%s", shares(string(b)))
	}
	return nil
}

// record runs perf while a load is looked at.
func record(ctx context.Context, clock Clock, cmd *exec.Cmd) error {
	c, err := startChild("perf", cmd)
	if err != nil {
		return err
	}
	defer c.kill()
	if err := wait(ctx, clock.Look); err != nil {
		return err
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		return c.failure(err)
	}
	for range c.lines { // until it has written its file and ended
	}
	return nil
}

// shares are the lines of a report of perf that say something.
func shares(report string) string {
	var b strings.Builder
	for line := range strings.Lines(report) {
		if line = strings.TrimRight(line, " \n-"); line != "" && !strings.HasPrefix(line, "#") {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}
