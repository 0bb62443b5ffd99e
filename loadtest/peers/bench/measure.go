package bench

import (
	"context"
	"fmt"
	"time"
)

// Load is what is published.
type Load struct {
	Rate float64 `json:"rate"` // updates a second
	Size int     `json:"size"` // bytes of a message
}

func (l Load) String() string { return fmt.Sprintf("%g Hz × %d B", l.Rate, l.Size) }

// Window is what was seen of a load for a time.
type Window struct {
	Load
	Report
	ServerCPU time.Duration `json:"server_cpu_ns"`
	Published uint64        `json:"published"` // number of the last update
	Behind    uint64        `json:"behind"`    // updates that the most late client lacked when publishing ended
}

// CPUPerUpdate is the server's CPU time per update that reached a client.
func (w Window) CPUPerUpdate() time.Duration {
	if w.Updates == 0 {
		return 0
	}
	return w.ServerCPU / time.Duration(w.Updates)
}

// Kept is the share of what was due that reached the clients in the time, where one update to each may be under
// way. Less than 0.99 means that client and server together wanted more than the machine had.
func (w Window) Kept(connections int) float64 {
	due := w.Rate * float64(connections) * w.Took.Seconds()
	return min(1, ratio(float64(w.Updates)+float64(connections), due))
}

// Fault says what was wrong with the updates themselves, or nothing: every client must have each once, in order,
// to the last.
func (w Window) Fault() string {
	switch {
	case w.Closed > 0:
		return fmt.Sprintf("%d connections were closed", w.Closed)
	case w.Updates == 0:
		return "no update arrived"
	case w.Missing+w.Duplicate+w.Reordered > 0:
		return fmt.Sprintf("%d updates missing, %d twice, %d out of order", w.Missing, w.Duplicate, w.Reordered)
	case w.LastMin != w.Published:
		return fmt.Sprintf("of %d updates a connection got only those to %d", w.Published, w.LastMin)
	}
	return ""
}

// Clock is how long things are looked at.
type Clock struct {
	Settle time.Duration // after connecting, before memory is read
	Idle   time.Duration // then, with nothing published: CPU of idle connections; 0: it is not taken
	Warm   time.Duration // of a load, before it counts
	Look   time.Duration // at a load
	Drain  time.Duration // at most, for the last updates to arrive; and for the first, if none came during Look
}

// observe publishes a load and looks at what reaches the clients.
func (s *stage) observe(ctx context.Context, c *client, l Load, clock Clock) (w Window, err error) {
	w.Load = l
	if err := s.publish(l); err != nil {
		return w, err
	}
	if err := wait(ctx, clock.Warm); err != nil {
		return w, err
	}
	before, err := cpuOf(s.server.pid())
	if err != nil {
		return w, err
	}
	if err := c.begin(ctx); err != nil {
		return w, err
	}
	if err := wait(ctx, clock.Look); err != nil {
		return w, err
	}
	// It goes on until an update has come: a server may have stood still all the while.
	if w.Report, err = c.counted(ctx, clock.Drain, func(r Report) bool { return r.Updates > 0 }); err != nil {
		return w, err
	}
	after, err := cpuOf(s.server.pid())
	if err != nil {
		return w, err
	}
	w.ServerCPU = after - before
	return w, s.drain(ctx, c, &w, clock.Drain)
}

// drain stops publishing and waits for the last update to arrive; what is noticed meanwhile counts as fault.
func (s *stage) drain(ctx context.Context, c *client, w *Window, most time.Duration) (err error) {
	if w.Published, err = s.stop(ctx); err != nil {
		return err
	}
	r, err := c.end(ctx)
	if err != nil {
		return err
	}
	w.Behind = w.Published - min(w.Published, r.LastMin)
	if r, err = c.arrived(ctx, w.Published, most); err != nil {
		return err
	}
	w.Missing, w.Duplicate, w.Reordered = r.Missing, r.Duplicate, r.Reordered
	w.Closed, w.LastMin, w.LastMax = r.Closed, r.LastMin, r.LastMax
	return nil
}

// Idle is what connections cost that are ready and told nothing.
type Idle struct {
	Connections int           `json:"connections"`
	Ready       time.Duration `json:"ready_ns"`   // from the first connect until all were ready
	Before      int64         `json:"rss_before"` // resident set without connections, bytes
	After       int64         `json:"rss_after"`
	CPU         time.Duration `json:"cpu_ns,omitempty"` // in Took, after memory was read
	Took        time.Duration `json:"took_ns,omitempty"`
}

// PerConnection is the memory that one connection added, in bytes.
func (i Idle) PerConnection() int64 { return (i.After - i.Before) / int64(max(i.Connections, 1)) }

// CPUPerSecond is the server's CPU time per second and connection with nothing to do. Pings are in it: they come
// every 25 s from most servers, which a shorter look may miss.
func (i Idle) CPUPerSecond() time.Duration {
	return time.Duration(ratio(float64(i.CPU), i.Took.Seconds()*float64(i.Connections)))
}

// AcceptRate is the connections made ready per second.
func (i Idle) AcceptRate() float64 { return ratio(float64(i.Connections), i.Ready.Seconds()) }

// fill connects clients and reads what they cost.
func (s *stage) fill(ctx context.Context, connections int, clock Clock) (c *client, idle Idle, err error) {
	idle.Connections = connections
	if idle.Before, err = rssOf(s.server.pid()); err != nil {
		return nil, idle, err
	}
	c, ready, err := s.admit(ctx, connections, 0)
	if err != nil {
		return nil, idle, err
	}
	idle.Ready = ready.Ready
	if err := wait(ctx, clock.Settle); err != nil {
		return nil, idle, err
	}
	if idle.After, err = rssOf(s.server.pid()); err != nil || clock.Idle == 0 {
		return c, idle, err
	}
	idle.Took = clock.Idle
	before, err := cpuOf(s.server.pid())
	if err != nil {
		return nil, idle, err
	}
	if err := wait(ctx, clock.Idle); err != nil {
		return nil, idle, err
	}
	after, err := cpuOf(s.server.pid())
	idle.CPU = after - before
	return c, idle, err
}
