package room

import (
	"bytes"
	"testing"
	"time"

	"tickcast/room/game"
	"tickcast/wire"
)

// FuzzFold folds any record into a partition in which rounds are on. It may be
// refused, which halts the fold; it may not panic, and what it leaves behind is a
// state that can be restored.
func FuzzFold(f *testing.F) {
	r := newRig(f)
	r.create("lobby", "crash", map[string]any{"betting_ms": 300, "crashed_ms": 200})
	r.create("derby", "race", fastRace)
	r.until("bets are taken", func() bool { return r.phase("lobby") == "betting" })
	r.command("ann", "lobby", "k1", "bet", 1, betArgs{Amount: 1000})
	r.command("bob", "lobby", "k1", "bet", 1, betArgs{Amount: 500, Auto: 150})
	r.command("bob", wire.CashierRoom, "k2", "refill", 0, nil)
	r.until("it flies", func() bool { return r.phase("lobby") == "flying" })
	r.run(200 * time.Millisecond)
	r.command("ann", "lobby", "k2", "bet", 2, betArgs{Amount: 700})
	kinds := []wire.Kind{wire.KindCommand, wire.KindAction, wire.KindClaim, wire.KindOwner, wire.KindResult}
	for _, rec := range r.log {
		for i, k := range kinds {
			if k == rec.Kind {
				f.Add(byte(i), rec.Room, rec.Data, int64(time.Second))
			}
		}
	}
	for _, op := range []string{wire.ActionVoid, wire.ActionPause, wire.ActionClose, wire.ActionSet, wire.ActionMute} {
		f.Add(byte(1), "lobby", []byte(game.Encode(wire.Action{ID: op, Operator: "op", ReplyTo: "api", Op: op})), int64(0))
	}
	snapshot := r.p.Snapshot()
	f.Fuzz(func(t *testing.T, kind byte, room string, data []byte, after int64) {
		if room != wire.CashierRoom && !wire.ValidRoomID(room) {
			room = "lobby"
		}
		p, err := RestorePartition(r.cfg, snapshot)
		if err != nil {
			t.Fatal(err)
		}
		var out Output
		rec := Record{Seq: p.Last().Seq + 1, Time: p.clock.Raw + after%int64(time.Hour), Kind: kinds[int(kind)%len(kinds)], Room: room, Data: data}
		if p.Apply(rec, &out) != nil {
			return
		}
		want := p.Snapshot()
		again, err := RestorePartition(r.cfg, want)
		if err != nil {
			t.Fatalf("the state behind the record cannot be restored: %v", err)
		}
		if got := again.Snapshot(); !bytes.Equal(got, want) {
			t.Fatalf("restored\n%s\nwant\n%s", got, want)
		}
	})
}
