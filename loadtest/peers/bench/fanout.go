package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// ErrFault is returned when a server did not start, or lost, doubled or reordered updates.
var ErrFault = errors.New("not every client got each update once and in order (see above)")

// The short form: CPU is compared where the server is busy, latency at half of that load, because near
// saturation it is noise.
const (
	fanoutConnections = 5000
	fanoutRepetitions = 3
	// oursSettle is how long our gateway is left alone before its memory is read: it gives back what handshakes
	// have left when for a second no more have come.
	oursSettle = 2500 * time.Millisecond
)

func fanoutClock() Clock {
	return Clock{Settle: 300 * time.Millisecond, Warm: 500 * time.Millisecond, Look: 2 * time.Second, Drain: time.Second}
}

// shortSample is one repetition of one server.
type shortSample struct {
	idle       Idle
	busy, half Window
}

// Fanout compares our gateway with the bare loop in under 50 s and ends with the line
//
//	fanout ratio R p99 ratio Q rss K bytes/conn
//
// R: CPU per update at 20 Hz × 128 B; Q: p99 latency at 10 Hz × 128 B; K: memory of an idle joined connection.
func (k Kit) Fanout(ctx context.Context, out io.Writer) error {
	order := []Peer{bare(), ours()}
	samples := map[string][]shortSample{}
	fault, busy := false, false
	for range fanoutRepetitions {
		for _, p := range order {
			s, err := k.short(ctx, p)
			if err != nil {
				return fmt.Errorf("%s: %w", p.Name, err)
			}
			fault = s.print(out, p.Name) || fault
			busy = busy || s.crowded()
			samples[p.Name] = append(samples[p.Name], s)
		}
		slices.Reverse(order)
	}
	if busy {
		fmt.Fprintln(out, "updates were late or came several at once: the machine was busy, and the ratios say little")
	}
	limit, mine := samples[bare().Name], samples[ours().Name]
	cpu := func(s shortSample) time.Duration { return s.busy.CPUPerUpdate() }
	p99 := func(s shortSample) time.Duration { return s.half.P99 }
	fmt.Fprintf(out, "fanout ratio %.2f p99 ratio %.2f rss %d bytes/conn\n",
		ratio(medianOf(mine, cpu), medianOf(limit, cpu)),
		ratio(medianOf(mine, p99), medianOf(limit, p99)),
		medianOf(mine, func(s shortSample) int64 { return s.idle.PerConnection() }))
	if fault {
		return ErrFault
	}
	return nil
}

// crowded reports whether server or client lacked the CPU to bring each update by itself and in time. Several at
// once cost less than several.
func (s shortSample) crowded() bool {
	for _, w := range []Window{s.busy, s.half} {
		if w.Kept(s.idle.Connections) < 0.99 || ratio(w.Updates, w.Reads) > 1.1 {
			return true
		}
	}
	return false
}

// print writes a sample down and reports whether updates were lost.
func (s shortSample) print(out io.Writer, name string) (fault bool) {
	fmt.Fprintf(out, "%-9s %6d B/conn  %6.0f accepts/s\n", name, s.idle.PerConnection(), s.idle.AcceptRate())
	for _, w := range []Window{s.busy, s.half} {
		fmt.Fprintf(out, "  %-15v %5.2f µs/update (client %.2f)  p50 %6.2f ms  p99 %6.2f ms  %5.1f %% in time  %.2f updates/read\n",
			w.Load, micros(w.CPUPerUpdate()), ratio(micros(w.CPU), float64(w.Updates)), millis(w.P50), millis(w.P99),
			100*w.Kept(s.idle.Connections), ratio(w.Updates, w.Reads))
		if f := w.Fault(); f != "" {
			fmt.Fprintf(out, "  %s\n", f)
			fault = true
		}
	}
	return fault
}

// short takes one sample.
func (k Kit) short(ctx context.Context, p Peer) (s shortSample, err error) {
	clock := fanoutClock()
	if p.Name == ours().Name {
		clock.Settle = oursSettle
	}
	st, err := k.open(ctx, p)
	if err != nil {
		return s, err
	}
	defer st.close()
	c, idle, err := st.fill(ctx, fanoutConnections, clock)
	if err != nil {
		return s, err
	}
	s.idle = idle
	if s.busy, err = st.observe(ctx, c, Load{20, 128}, clock); err != nil {
		return s, err
	}
	s.half, err = st.observe(ctx, c, Load{10, 128}, clock)
	return s, err
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
