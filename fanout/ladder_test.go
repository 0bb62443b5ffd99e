package fanout_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tickcast/fanout"
)

// slowLife is a connection to a client that reads in its own time, and what happened to
// it, by the clock of a synctest bubble.
type slowLife struct {
	t     *testing.T
	begin time.Time
	topic *fanout.Topic
	conn  *fanout.Conn
	peer  *peer

	mu        sync.Mutex
	snapshots []time.Duration // when it was told of lost updates
}

// wholeRing keeps all updates of these tests.
const wholeRing = 1 << 12

// live runs script beside a room that has an update each 100 ms and keeps so many of them.
func live(t *testing.T, ring int, script func(*slowLife)) *slowLife {
	l := &slowLife{t: t}
	synctest.Test(t, func(t *testing.T) {
		l.begin = time.Now()
		h := fanout.NewHub(fanout.Config{StallTimeout: 20 * time.Second, CloseTimeout: time.Second, OnLost: l.lost})
		defer runHub(h)()
		l.topic = h.Topic("room", ring)
		l.conn, l.peer = pipe(t, h)
		if err := l.topic.Join(l.conn, 0, nil); err != nil {
			t.Fatal(err)
		}
		stop := make(chan struct{})
		var room sync.WaitGroup
		room.Go(func() {
			for n := uint64(1); ; n++ {
				select {
				case <-stop:
					return
				case <-time.After(100 * time.Millisecond):
					l.topic.Update(n, sealed("u", n, n-1, 0))
					l.topic.Tick(sealed("t", n, n, 0))
				}
			}
		})
		script(l)
		close(stop)
		room.Wait()
		_ = l.peer.nc.Close()
		serve(l.conn)
		<-l.conn.Done()
	})
	return l
}

// lost joins the connection again, with one frame: of several, one or more would be in the next write, as it happens.
func (l *slowLife) lost(c *fanout.Conn, t *fanout.Topic, _, _ uint64) {
	l.mu.Lock()
	l.snapshots = append(l.snapshots, time.Since(l.begin))
	l.mu.Unlock()
	if err := t.Join(c, t.Newest(), frame("a skip and a snapshot")); err != nil {
		l.t.Errorf("rejoin: %v", err)
	}
}

// readEvery reads what one read brings, so often until the time is over.
func (l *slowLife) readEvery(pause, until time.Duration) {
	buf := make([]byte, 1<<20)
	for time.Since(l.begin)+pause <= until && l.conn.Ended() == 0 {
		time.Sleep(pause)
		_, _ = l.peer.nc.Read(buf)
		synctest.Wait()
	}
}

func (l *slowLife) want(why string, snapshots ...time.Duration) {
	l.t.Helper()
	if !slices.Equal(l.snapshots, snapshots) {
		l.t.Errorf("%s: snapshots at %v, want %v", why, l.snapshots, snapshots)
	}
}

// A client that is 2 s late gets everything, a nanosecond later a snapshot, at the moment
// when its socket takes bytes again.
func TestLateToTheMoment(t *testing.T) {
	// The update of 0.1 s is being written until the first read; the next due is of 0.2 s.
	const onTime = 2200 * time.Millisecond
	for _, c := range []struct {
		pause time.Duration
		want  []time.Duration
	}{
		{onTime, nil},
		{onTime + 1, []time.Duration{onTime + 1}},
	} {
		l := live(t, wholeRing, func(l *slowLife) {
			l.readEvery(c.pause, c.pause)
			l.readEvery(time.Millisecond, 4*time.Second)
			if l.conn.Ended() != 0 {
				t.Errorf("%v: closed", c.pause)
			}
		})
		l.want(c.pause.String(), c.want...)
	}
}

// A client that takes one write in three seconds lives on snapshots, and is closed when
// that has lasted for ten.
func TestSnapshotsThenClosed(t *testing.T) {
	var closed time.Duration
	l := live(t, wholeRing, func(l *slowLife) {
		l.readEvery(3050*time.Millisecond, time.Minute)
		closed = time.Since(l.begin)
		if l.conn.Ended() != 3008 {
			t.Errorf("ended with %d", l.conn.Ended())
		}
	})
	ms := time.Millisecond
	l.want("one in three seconds", 3050*ms, 6100*ms, 9150*ms, 12200*ms)
	if closed != 15250*ms { // the first chance after 13.05 s
		t.Errorf("closed at %v", closed)
	}
}

// A client that reads well for a while begins again at the top of the ladder.
func TestLadderForgets(t *testing.T) {
	l := live(t, wholeRing, func(l *slowLife) {
		for stretch := range time.Duration(5) {
			at := stretch * 8 * time.Second
			l.readEvery(2550*time.Millisecond, at+2550*time.Millisecond)
			l.readEvery(time.Millisecond, at+8*time.Second)
		}
		if l.conn.Ended() != 0 {
			t.Errorf("closed with %d", l.conn.Ended())
		}
	})
	ms := time.Millisecond
	l.want("now and then", 2550*ms, 10550*ms, 18550*ms, 26550*ms, 34550*ms)
}

// Snapshots are no more frequent than one a second, however often updates leave the ring.
func TestSnapshotsArePaced(t *testing.T) {
	l := live(t, 1, func(l *slowLife) { l.readEvery(350*time.Millisecond, 4*time.Second) })
	ms := time.Millisecond
	l.want("a ring of one", 350*ms, 1350*ms, 2350*ms, 3350*ms)
}
