package loadtest

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tickcast/wire"
)

// fleetOf lets bots play in so many processes until it has shown enough.
func fleetOf(t *testing.T, st *stage, c Config, workers int, enough func() bool) *Report {
	t.Helper()
	c.Duration = patience
	c.Fleet.Workers, c.Fleet.Command = workers, []string{os.Args[0], workerArgument}
	ctx, stop := until(enough)
	defer stop()
	var progress bytes.Buffer
	r, err := Run(ctx, c, &progress)
	if err != nil {
		t.Fatal(err, progress.String())
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(progress.String())
			_ = r.WriteText(t.Output())
		}
	})
	return r
}

func TestFleetOfHonestStagePasses(t *testing.T) {
	t.Parallel()
	st := newStage(t, 2, map[string]string{"lobby": gameCrash})
	c := quick(st, 12)
	r := fleetOf(t, st, c, 3, func() bool { return st.played(c.Bots, 60) && st.judged() })
	wantPassed(t, r)
	if len(r.Workers) != 3 || r.Workers[0].Bots+r.Workers[1].Bots+r.Workers[2].Bots != c.Bots {
		t.Errorf("the processes were %+v", r.Workers)
	}
	var messages uint64
	for _, w := range r.Workers {
		messages += w.Messages
	}
	if messages != r.Totals.Messages || messages == 0 {
		t.Errorf("processes got %d messages, all together %d", messages, r.Totals.Messages)
	}
	if r.Rooms[0].Updates > r.Rooms[0].Newest || r.Rooms[0].Compared >= r.Rooms[0].Sightings {
		t.Errorf("updates of several processes were not put together: %+v", r.Rooms[0])
	}
	if l := r.latency(latencyWhole); l.Count == 0 || l.Count > int64(r.Rooms[0].Updates) {
		t.Errorf("first to last sighting: %+v", l)
	}
	if r.Counts[countBooks] == 0 || r.Totals.Results == 0 {
		t.Errorf("nothing was judged: %+v", r.Counts)
	}
}

// TestFleetComparesProcesses shows that an update altered for all bots of one
// process fails the verdict: within a process nobody sees another one.
func TestFleetComparesProcesses(t *testing.T) {
	t.Parallel()
	st := newStage(t, 1, map[string]string{"lobby": gameRace})
	c := quick(st, 2)
	c.Behaviour.ReconnectEvery = -1
	p := newProxy(t, st, c.Bots, onNth(wire.TypeUpdate, 5, func(b []byte) [][]byte {
		return one(bytes.Replace(b, []byte(`"e":"`), []byte(`"e":"x`), 1))
	}))
	c.URLs = []string{p.url}
	r := fleetOf(t, st, c, 2, func() bool { return p.after.Load() > 30 })
	failed := r.check(checkContent)
	if r.Passed() || failed.Passed || !slices.ContainsFunc(failed.Examples, func(e Example) bool { return strings.Contains(e.Detail, "in process ") }) {
		t.Errorf("content that differs between processes passed: %+v", failed)
	}
	for _, other := range r.Checks {
		if !other.Passed && other.Name != string(checkContent) {
			t.Errorf("the check %s failed as well: %v", other.Name, other.Examples)
		}
	}
}

// TestRemoteWorkers shows workers that connect, whose clocks are compared with the
// coordinator's, and that one that does not know the key takes no part.
func TestRemoteWorkers(t *testing.T) {
	t.Parallel()
	st := newStage(t, 2, map[string]string{"lobby": gameCrash})
	c := quick(st, 8)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.Fleet = Fleet{Remote: 2, Listener: l, Key: []byte("a key of this test only"), RemoteWait: 10 * patience, foreign: true}
	work := func(key string) {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Error(err)
			return
		}
		if err := Work(context.Background(), conn, []byte(key)); (err == nil) != (key == string(c.Fleet.Key)) {
			t.Errorf("a worker with %q ended with %v", key, err)
		}
	}
	var workers sync.WaitGroup
	workers.Go(func() {
		work("a key of another test") // before there are enough, or nobody hears it
		for range 2 {
			workers.Go(func() { work(string(c.Fleet.Key)) })
		}
	})
	ctx, stop := until(func() bool { return st.played(c.Bots, 60) })
	defer stop()
	c.Duration = patience
	var progress bytes.Buffer
	r, err := Run(ctx, c, &progress)
	workers.Wait()
	if err != nil {
		t.Fatal(err, progress.String())
	}
	wantPassed(t, r)
	if r.Clocks != clocksSynchronised || r.ClockError <= 0 {
		t.Errorf("clocks: %s ± %v", r.Clocks, r.ClockError)
	}
	for _, w := range r.Workers {
		// It is the same clock in truth, and drifts no more than nothing.
		if w.ClockOffset.Abs() > w.ClockError {
			t.Errorf("a clock that is not ahead is %v ± %v", w.ClockOffset, w.ClockError)
		}
	}
	if len(r.Workers) != 2 || !strings.Contains(progress.String(), "does not know the key") {
		t.Errorf("workers %+v; %s", r.Workers, progress.String())
	}
}

// TestLostWorkerFails shows that a process that ends before its result fails the
// verdict.
func TestLostWorkerFails(t *testing.T) {
	t.Parallel()
	st := newStage(t, 1, map[string]string{"lobby": gameCrash})
	c := quick(st, 4)
	c.Settle = time.Second
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.Fleet = Fleet{Remote: 2, Listener: l, Key: []byte("a key of this test only"), RemoteWait: 10 * patience}
	lost, lose := until(func() bool { return st.played(c.Bots, 10) })
	defer lose()
	var workers sync.WaitGroup
	for _, life := range []context.Context{lost, context.Background()} {
		workers.Go(func() {
			conn, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			if err := Work(life, conn, c.Fleet.Key); (err == nil) != (life != lost) {
				t.Errorf("a worker ended with %v", err)
			}
		})
	}
	ctx, stop := until(func() bool { return lost.Err() != nil })
	defer stop()
	c.Duration = patience
	r, err := Run(ctx, c, &bytes.Buffer{})
	workers.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if c := r.check("workers"); r.Passed() || c.Passed || c.Failures != 1 {
		t.Errorf("passed without a process: %+v", c)
	}
}

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		bots int
		most []int
		want []int
	}{
		{10, []int{100}, []int{10}},
		{10, []int{100, 100, 100}, []int{4, 3, 3}},
		{100, []int{10, 100, 100}, []int{10, 45, 45}},
		{21, []int{10, 10, 1}, []int{10, 10, 1}},
		{22, []int{10, 10, 1}, nil},
		{1, nil, nil},
	} {
		got, err := split(c.bots, c.most)
		if sum := sumInts(got); (err != nil) != (c.want == nil) || err == nil && sum != c.bots {
			t.Errorf("%d bots for %v: %v, %v", c.bots, c.most, got, err)
		}
		for i, n := range got {
			if n > c.most[i] {
				t.Errorf("%d bots for %v: %v", c.bots, c.most, got)
			}
		}
	}
	for _, files := range []uint64{0, 64, 100, 1024, 20_000} {
		if n := botsFor(files); n > 0 && filesFor(n) > files {
			t.Errorf("%d bots need %d files, not %d", n, filesFor(n), files)
		}
	}
}

func sumInts(list []int) (n int) {
	for _, x := range list {
		n += x
	}
	return n
}

func TestLoopbackSources(t *testing.T) {
	for _, c := range []struct {
		url  string
		bots int
		want int
	}{
		{"ws://127.0.0.1:8080/ws", 1000, 0},
		{"ws://127.0.0.1:8080/ws", 60_000, 4},
		{"ws://10.0.0.1:8080/ws", 60_000, 0},
		{"ws://localhost:8080/ws", 60_000, 0},
	} {
		got := loopbackSources([]string{c.url}, c.bots)
		if len(got) != c.want {
			t.Errorf("%s with %d bots: %v", c.url, c.bots, got)
		}
		if len(got) > 0 && (got[0] != "127.1.0.1" || got[1] != "127.1.0.2") {
			t.Errorf("%v", got)
		}
	}
}

// TestClockOffset shows that the fastest exchange decides, and that its error
// bound holds whatever way the delay went.
func TestClockOffset(t *testing.T) {
	const ahead = 7 * time.Hour
	var o offsetEstimate
	if a, w := o.offset(); a != 0 || w != 0 {
		t.Errorf("an offset from nothing: %v ± %v", a, w)
	}
	for i, delays := range [][2]time.Duration{{9, 1}, {0, 2}, {50, 50}, {3, 30}} {
		sent := time.Duration(i) * time.Second
		there := sent + delays[0]*time.Millisecond
		o.add(exchange{Sent: sent, There: there + ahead, Received: there + delays[1]*time.Millisecond})
	}
	a, w := o.offset()
	if d := (a - ahead).Abs(); d > w || w != time.Millisecond {
		t.Errorf("%v ± %v, not %v", a, w, ahead)
	}
	for i := range keptExchanges {
		sent := time.Hour + time.Duration(i)*time.Second
		o.add(exchange{Sent: sent, There: sent, Received: sent + 4*time.Millisecond})
	}
	if a, w := o.offset(); a != -2*time.Millisecond || w != 2*time.Millisecond {
		t.Errorf("old exchanges count: %v ± %v", a, w)
	}
}

// TestSynchronisedTimes shows that sightings of another clock are turned into
// those of the own one, as it drifts.
func TestSynchronisedTimes(t *testing.T) {
	m := &member{shift: time.Second}
	m.clock.add(exchange{Sent: 0, There: time.Second + 3*time.Millisecond, Received: 0})
	s := &sample{At: 5 * time.Second, Updates: []streamUpdate{{Updates: []updateSummary{{Seq: 1, First: int64(4 * time.Second)}, {Seq: 2, First: 10e6, Last: 11e6}}}}}
	m.correct(s)
	u := s.Updates[0].Updates
	if s.At != 5*time.Second-3*time.Millisecond || u[0].First != int64(4*time.Second-3*time.Millisecond) || u[0].Last != 0 || u[1].Last != 8e6 {
		t.Errorf("%+v", s)
	}
}

func (r *Report) latency(name string) Latency {
	for _, l := range r.Latencies {
		if l.Name == name {
			return l
		}
	}
	return Latency{}
}

func TestFleetConfigurations(t *testing.T) {
	if err := (&Fleet{Remote: 1}).validate(); err == nil {
		t.Error("remote workers without an address")
	}
	if err := (&Fleet{Workers: maxWorkers + 1, Command: []string{"x"}}).validate(); err == nil {
		t.Error("too many workers")
	}
	c := Config{Bots: maxBots}
	files, known := openFileLimit()
	if !known || filesFor(c.Bots) <= files {
		t.Log("this process may open enough files for all bots")
		return
	}
	if _, err := c.localWorkers(); !errors.Is(err, errTooManyBots) {
		t.Errorf("too many bots for this process: %v", err)
	}
	c.Fleet.Command = []string{"x"}
	if n, err := c.localWorkers(); err == nil && n*botsFor(files) < c.Bots {
		t.Errorf("%d workers for %d bots", n, c.Bots)
	}
}
