package room

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tickcast/bus"
	"tickcast/internal/testkit"
	"tickcast/internal/testsvc"
	"tickcast/room/game"
	"tickcast/wire"
)

// TestALostTailIsNoticed gives a running log its state of a while ago, as a power cut
// does: sequences are used again, and a fold that went on would have folded what
// never happened. It begins again, and the log tells so.
func TestALostTailIsNoticed(t *testing.T) {
	t.Parallel()
	log := testsvc.StartNATS(t, "")
	h := startLonely(t, log.URL, 1)
	h.wantMore("rounds")
	lose := keepTail(t, log)
	h.wantMore("a restart loses nothing")
	lose()
	testkit.Eventually(t, "the lost tail is noticed", patience, func() bool { return h.Partitions()[0].LostAt > 0 })
	h.wantMore("the room goes on")
	h.wantNamed(strings.ReplaceAll(log.URL, "//room:", "//gateway:"))
}

// wantNamed wants messages to name the room's log, which has lost its tail.
func (h *lonelyHost) wantNamed(url string) {
	h.t.Helper()
	nc, err := bus.Connect(h.t.Context(), url, "gateway")
	if err != nil {
		h.t.Fatal(err)
	}
	defer nc.Close()
	said, err := nc.SubscribeSync(wire.OutSubject(0, "derby"))
	if err != nil {
		h.t.Fatal(err)
	}
	var reply wire.AskReply
	m, err := nc.Request(wire.AskSubject(0), game.Encode(wire.Ask{Op: wire.AskSnapshot, Room: "derby"}), patience)
	if err != nil || json.Unmarshal(m.Data, &reply) != nil || reply.Log == "" {
		h.t.Fatalf("a snapshot: %v, %+v", err, reply)
	}
	for range 10 {
		m, err := said.NextMsg(patience)
		if err != nil {
			h.t.Fatal(err)
		}
		if name := m.Header.Get(wire.LogHeader); name != reply.Log {
			h.t.Fatalf("a message on %s names the log %q, which is %q", m.Subject, name, reply.Log)
		}
	}
}

// TestALostClaimIsNoticed loses the newest claim with the tail: none against its epoch is
// ever taken, and nobody writes what would show the loss.
func TestALostClaimIsNoticed(t *testing.T) {
	t.Parallel()
	log := testsvc.StartNATS(t, "")
	h := startLonely(t, log.URL, 1, func(cfg *HostConfig) { cfg.Alone = false })
	h.wantMore("rounds")
	lose := keepTail(t, log)
	h.wantMore("a restart loses nothing")
	nc, err := bus.Connect(t.Context(), log.URL, "another")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	own := h.Partitions()[0].Epoch
	if _, err := nc.Request(wire.ClaimSubject(0), game.Encode(wire.Claim{Node: "another", Replaces: own}), patience); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the claim of one that is not there is replaced", patience, func() bool {
		p := h.Partitions()[0]
		return p.Owner && p.Epoch > own+1
	})
	lose()
	testkit.Eventually(t, "the lost tail is noticed", patience, func() bool { return h.Partitions()[0].LostAt > 0 })
	h.wantMore("the room goes on")
}

// keepTail restarts the log's server; lose then gives it, running again, the state of
// that restart.
func keepTail(t *testing.T, log *testsvc.Service) (lose func()) {
	t.Helper()
	store, before := filepath.Join(log.Dir, "store"), filepath.Join(t.TempDir(), "before")
	log.Stop()
	if err := os.CopyFS(before, os.DirFS(store)); err != nil {
		t.Fatal(err)
	}
	log.Start()
	return func() {
		t.Helper()
		log.Kill()
		if err := os.RemoveAll(store); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(store, os.DirFS(before)); err != nil {
			t.Fatal(err)
		}
		log.Start()
	}
}

func TestRecentRecords(t *testing.T) {
	var r recent
	at := func(seq uint64) Record { return Record{Seq: seq, Time: int64(seq) * int64(time.Second)} }
	for seq := range uint64(2 * recentRecords) {
		r.note(at(seq))
	}
	other := at(recentRecords + 5)
	other.Time++
	switch {
	case !r.agrees(at(recentRecords+5)) || !r.agrees(at(2*recentRecords-1)):
		t.Error("the record that was folded is another one")
	case r.agrees(other):
		t.Error("another record is the one that was folded")
	case !r.agrees(Record{Seq: 5, Time: 77}) || !r.agrees(at(2*recentRecords)):
		t.Error("what is not known is another record")
	}
}
