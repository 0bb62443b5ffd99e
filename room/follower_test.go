package room

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"tickcast/internal/testkit"
	"tickcast/room/game"
	"tickcast/wire"
)

// askFollower asks a follower of partition 0. The one that answers may be unable to ask the
// log at the moment, or may have just come to own the partition: then it is asked again.
func (s *stage) askFollower(a wire.Ask) (reply wire.AskReply) {
	s.t.Helper()
	testkit.Eventually(s.t, "a follower answers", patience, func() bool {
		m, err := s.gateway.Request(wire.FollowerSubject(0), game.Encode(a), time.Second)
		reply = wire.AskReply{}
		return err == nil && json.Unmarshal(m.Data, &reply) == nil && reply.Follower
	})
	return reply
}

// TestFollowersAnswer asks what an owner would be asked: updates byte for byte, and of a
// player everything that he was told before.
func TestFollowersAnswer(t *testing.T) {
	s := newStage(t, 1)
	one, two := s.host("one", false), s.host("two", false)
	s.eventually("one of them owns", func() bool { return one.owned()+two.owned() == 1 })
	s.create("derby", "race", map[string]any{"gathering_ms": 100, "running_ms": 300_000})
	s.eventually("it runs", func() bool { return s.updatesOf("derby") >= 2 })
	for n := 1; n <= 20; n++ {
		key := fmt.Sprint("k", n)
		s.command("derby", wire.Command{Player: "ann", Key: key, Op: "tap", Round: 1, Args: fmt.Appendf(nil, `{"n":%d}`, n)})
		s.eventually("the tap is answered", func() bool { return s.answers[answerID("ann", "derby", key)].OK })
		r := s.askFollower(wire.Ask{Op: wire.AskYou, Room: "derby", Players: []string{"ann"}})
		var you struct{ Points int }
		if err := json.Unmarshal(r.You["ann"], &you); err != nil || you.Points != n || !r.Follower {
			t.Fatalf("behind the answer to tap %d a follower tells %s (%+v, %v)", n, r.You["ann"], r, err)
		}
	}
	since := s.askFollower(wire.Ask{Op: wire.AskSince, Room: "derby"})
	if since.Lost || len(since.Updates) < 2 || since.Seq < uint64(len(since.Updates)) {
		t.Fatalf("%+v", since)
	}
	s.eventually("the owner has said as much", func() bool { return uint64(s.updatesOf("derby")) >= since.Seq })
	said := s.heardOf("derby")
	for i, u := range since.Updates {
		if u.Seq != uint64(i+1) || string(u.Message) != said[u.Seq] {
			t.Fatalf("update %d is %s, the owner said %s", u.Seq, u.Message, said[u.Seq])
		}
	}
	whole := s.askFollower(wire.Ask{Op: wire.AskSnapshot, Room: "derby"})
	if whole.Seq < since.Seq || whole.Log != since.Log || len(whole.View) == 0 {
		t.Fatalf("%+v", whole)
	}
	s.eventually("the owner has said its newest update", func() bool {
		newest := s.updates["derby"][whole.Seq]
		return newest != "" && string(whole.Sum) == string(wire.UpdateSum([]byte(newest)))
	})
}

// TestAHaltedFollowerRefuses: what it folded ends somewhere.
func TestAHaltedFollowerRefuses(t *testing.T) {
	s := newStage(t, 1)
	right := s.host("right", true)
	s.create("lobby", "crash", fastCrash)
	s.eventually("rounds", func() bool { return s.updatesOf("lobby") > 5 })
	wrong := s.hostWith("wrong", false, []byte("another secret, of as many bytes as it takes"))
	s.eventually("it halts", func() bool { return wrong.Partitions()[0].Halted != "" })
	var r wire.AskReply
	testkit.Eventually(t, "it answers", patience, func() bool {
		m, err := s.gateway.Request(wire.FollowerSubject(0), game.Encode(wire.Ask{Op: wire.AskSnapshot, Room: "lobby"}), time.Second)
		return err == nil && json.Unmarshal(m.Data, &r) == nil
	})
	if r.Error == nil || r.Error.Code != wire.CodeUnavailable {
		t.Fatalf("%+v", r)
	}
	if right.owned() != 1 {
		t.Fatal("the owner is gone")
	}
}
