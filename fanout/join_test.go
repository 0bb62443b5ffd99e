package fanout_test

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"tickcast/fanout"
)

// Connections join at any time, behind any update that the ring still has, while
// everything is published at full speed: each gets its joined message first and then an
// unbroken sequence.
func TestJoinWhilePublishing(t *testing.T) {
	forEachWay(t, func(t *testing.T, cfg fanout.Config) {
		r := newRig(t, cfg, nil)
		run := 0
		rapid.Check(t, func(rt *rapid.T) {
			run++
			topic := r.hub.Topic(fmt.Sprint("room", run), 1<<16)
			defer topic.Close()
			total := rapid.Uint64Range(1, 400).Draw(rt, "updates")
			back := rapid.SliceOfN(rapid.Uint64Range(0, 50), 1, 12).Draw(rt, "how far behind each joins")
			pub := &publisher{topic: topic, size: sizeOf(rapid.IntRange(20, 2000).Draw(rt, "size"))}
			var all sync.WaitGroup
			all.Go(func() {
				for range total {
					pub.update()
					pub.tick()
					pub.chat()
				}
			})
			for i, n := range back {
				p, c := r.dial(), r.accepted()
				all.Go(func() { joinAndRead(t, topic, p, c, i, n, total) })
			}
			all.Wait()
		})
	})
}

func joinAndRead(t *testing.T, topic *fanout.Topic, p *peer, c *fanout.Conn, i int, back, total uint64) {
	defer p.nc.Close()
	after := topic.Newest()
	after -= min(after, back)
	_ = c.Send(sealed("o", 1, 0, 0))
	if err := topic.Join(c, after, sealed("j", after, 0, 0)); err != nil {
		t.Errorf("join: %v", err)
		return
	}
	_ = c.Send(sealed("o", 2, 0, 0))
	check := &checker{}
	for check.seq < total || check.own < 2 {
		m, err := p.next()
		if err == nil {
			err = check.take(m.payload)
		}
		if err == nil && check.own == 2 && !check.joined {
			err = errors.New("an own message overtook the joined message sent before it")
		}
		if err != nil {
			t.Errorf("client %d, joined behind %d of %d: %v", i, after, total, err)
			return
		}
	}
}

func TestJoinErrors(t *testing.T) {
	forEachWay(t, func(t *testing.T, cfg fanout.Config) {
		r := newRig(t, cfg, nil)
		p, c := r.dial(), r.accepted()
		topic := r.hub.Topic("room", 4)
		for n := range uint64(10) {
			topic.Update(n+1, frame("%d", n+1))
		}
		for _, after := range []uint64{0, 5, math.MaxUint64} {
			if err := topic.Join(c, after, frame("joined")); !errors.Is(err, fanout.ErrGone) {
				t.Errorf("join behind %d: %v, want ErrGone", after, err)
			}
		}
		if err := topic.Join(c, 6, frame("joined")); err != nil {
			t.Errorf("join behind 6: %v", err)
		}
		for _, s := range []string{"joined", "7", "8", "9", "10"} {
			p.want(t, "joined behind 6", message{opText, s})
		}
		for i := range 15 {
			if err := r.hub.Topic(fmt.Sprint(i), 0).Join(c, 0, nil); err != nil {
				t.Errorf("topic %d: %v", i+2, err)
			}
		}
		if err := r.hub.Topic("17th", 0).Join(c, 0, nil); !errors.Is(err, fanout.ErrTooManyTopics) {
			t.Errorf("the 17th topic: %v", err)
		}
		if err := topic.Join(c, 10, frame("again")); err != nil {
			t.Errorf("join again: %v", err)
		}
		topic.Update(11, frame("11"))
		p.want(t, "joining again is leaving and joining", message{opText, "again"})
		p.want(t, "once only", message{opText, "11"})
		if topic.Len() != 1 {
			t.Errorf("%d joined, want 1", topic.Len())
		}
		topic.Close()
		if err := topic.Join(c, 11, nil); !errors.Is(err, fanout.ErrTopicClosed) {
			t.Errorf("join of a closed topic: %v", err)
		}
		if r.hub.Topic("room", 4) == topic {
			t.Error("a closed topic is given out again")
		}
		c.Close(4101, "")
		if err := r.hub.Topic("room", 4).Join(c, 0, nil); !errors.Is(err, fanout.ErrClosed) {
			t.Errorf("join of a closed connection: %v", err)
		}
	})
}

// What was published before Leave comes before what is sent behind it, and
// nothing of the topic afterwards.
func TestLeave(t *testing.T) {
	forEachWay(t, func(t *testing.T, cfg fanout.Config) {
		r := newRig(t, cfg, nil)
		p, c := r.dial(), r.accepted()
		a, b := r.hub.Topic("a", 0), r.hub.Topic("b", 0)
		for n := range uint64(50) {
			if err := errors.Join(a.Join(c, n, frame("joined")), b.Join(c, n, nil)); err != nil {
				t.Fatal(err)
			}
			a.Update(n+1, frame("a"))
			b.Update(n+1, frame("b"))
			a.Leave(c)
			b.Leave(c)
			b.Leave(c)
			_ = c.Send(frame("left"))
			a.Tick(frame("late"))
			p.want(t, "joined", message{opText, "joined"})
			seen := map[string]int{}
			for range 2 {
				m, err := p.next()
				if err != nil {
					t.Fatal(err)
				}
				seen[m.payload]++
			}
			if seen["a"] != 1 || seen["b"] != 1 {
				t.Fatalf("before leaving: %v", seen)
			}
			p.want(t, "left", message{opText, "left"})
			a.Reset(n + 1)
		}
		if a.Len() != 0 || b.Len() != 0 {
			t.Errorf("%d and %d are left", a.Len(), b.Len())
		}
	})
}

func TestSinceResetAndGaps(t *testing.T) {
	r := newRig(t, fanout.Config{OnLost: rejoin(t)}, nil)
	topic := r.hub.Topic("room", 3)
	want := func(after uint64, ok bool, payloads ...string) {
		t.Helper()
		frames, got := topic.Since(after)
		var s []string
		for _, f := range frames {
			s = append(s, string(f.Payload()))
		}
		if got != ok || fmt.Sprint(s) != fmt.Sprint(payloads) {
			t.Errorf("since %d: %v %v, want %v %v", after, s, got, payloads, ok)
		}
	}
	want(0, true)
	for n := range uint64(4) {
		topic.Update(n+1, frame("%d", n+1))
	}
	want(0, false)
	want(1, true, "2", "3", "4")
	want(4, true)
	want(9, true)
	for seq, there := range []bool{false, false, true, true, true, false} {
		if f := topic.At(uint64(seq)); (f != nil) != there || there && string(f.Payload()) != fmt.Sprint(seq) {
			t.Errorf("update %d: %v", seq, f)
		}
	}
	p, c := r.dial(), r.accepted()
	if err := topic.Join(c, 4, sealed("j", 4, 0, 0)); err != nil {
		t.Fatal(err)
	}
	check := &checker{maySkip: true}
	topic.Update(9, sealed("u", 9, 8, 0)) // 5 to 8 never came
	want(4, false)
	want(8, true, string(sealed("u", 9, 8, 0).Payload()))
	p.readTopic(check, 9).wait(t, "a gap is told, then live again")
	if check.skips != 1 {
		t.Errorf("told of %d losses", check.skips)
	}
	topic.Leave(c)
	topic.Reset(20)
	want(19, false)
	want(20, true)
	if topic.Newest() != 20 {
		t.Errorf("newest %d", topic.Newest())
	}
}
