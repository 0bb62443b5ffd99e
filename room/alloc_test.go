package room

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"tickcast/room/game"
	"tickcast/wire"
)

// wantAllocs folds as many prepared records as there are and compares the
// allocations for each with a bound, which is what it took when this was written.
func (r *rig) wantAllocs(what string, most float64, records []Record) {
	r.t.Helper()
	i := 0
	r.log = slices.Grow(r.log, len(records))
	got := testing.AllocsPerRun(len(records)-1, func() {
		rec := records[i]
		i++
		if rec.Seq = r.p.Last().Seq + 1; rec.Time == 0 {
			r.now += int64(10 * time.Microsecond)
			rec.Time = r.now
		}
		r.now = rec.Time
		r.log = append(r.log, rec)
		if err := r.p.Apply(rec, &r.out); err != nil {
			r.t.Fatal(err)
		}
		for _, m := range r.out.Messages {
			if m.Class == wire.OutUpdate {
				r.updates[m.Room] = append(r.updates[m.Room], wire.Update{}) // heard, without looking
			}
		}
	})
	r.t.Logf("%s: %.1f allocations", what, got)
	if got > most {
		r.t.Errorf("%s takes %.1f allocations, at most %.0f are expected", what, got, most)
	}
}

func commandRecords(room string, n int, command func(i int) wire.Command) []Record {
	records := make([]Record, n)
	for i := range records {
		c := command(i)
		c.Name, c.Gateway = c.Player, "gw"
		data, _ := c.AppendBinary(nil)
		records[i] = Record{Kind: wire.KindCommand, Room: room, Data: data}
	}
	return records
}

func TestAllocationsOfATap(t *testing.T) {
	r := newRig(t)
	r.create("derby", "race", longRace())
	r.until("it runs", func() bool { return r.phase("derby") == "running" })
	for i := range 100 { // everybody has a place
		r.tap(i, "gw")
	}
	r.wantAllocs("a tap", 6, commandRecords("derby", 1000, func(i int) wire.Command {
		return wire.Command{Player: fmt.Sprint("player-", i%100), Key: fmt.Sprint(i), Op: "tap", Round: 1, Args: fmt.Appendf(nil, `{"n":%d}`, 2+i/100)}
	}))
}

func TestAllocationsOfABetAndACashOut(t *testing.T) {
	const players = 1000
	r := autosRig(t)
	r.until("bets are taken", func() bool { return r.phase("lobby") == "betting" })
	r.wantAllocs("a bet", 13, commandRecords("lobby", players, func(i int) wire.Command {
		return wire.Command{Player: fmt.Sprint("player-", i), Key: "bet", Op: "bet", Round: 1, Args: []byte(`{"slot":0,"amount":100}`)}
	}))
	results := make([]Record, 0, players)
	for _, b := range r.p.pending.list() {
		res, _ := r.book.apply(b)
		results = append(results, Record{Kind: wire.KindResult, Data: game.Encode(res)})
	}
	r.wantAllocs("the result of a stake", 18, results)
	r.until("it flies and has risen", func() bool {
		return r.phase("lobby") == "flying" && r.p.Now()-game.Time(5*time.Second) > game.Time(time.Second)
	})
	r.wantAllocs("a cash-out", 12, commandRecords("lobby", players, func(i int) wire.Command {
		return wire.Command{Player: fmt.Sprint("player-", i), Key: "out", Op: "cashout", Round: 1, Args: []byte(`{"slot":0}`)}
	}))
	if n := len(r.p.pending.list()); n < players-1 {
		t.Errorf("%d payouts of %d cash-outs", n, players)
	}
}

// TestAllocationsOfTicks has each record cut the ticks of a hundred rooms.
func TestAllocationsOfTicks(t *testing.T) {
	const rooms = 100
	r := newRig(t)
	for i := range rooms {
		r.create(fmt.Sprint("room-", i), "race", map[string]any{"gathering_ms": 600_000, "tick_ms": 200})
	}
	r.until("all gather", func() bool {
		return r.phase("room-0") == "gathering" && r.phase(fmt.Sprint("room-", rooms-1)) == "gathering"
	})
	records := make([]Record, 100)
	for i := range records {
		records[i] = Record{
			Time: r.now + int64(i+1)*int64(200*time.Millisecond), Kind: wire.KindOwner,
			Data: game.Encode(wire.OwnerRecord{Epoch: r.p.Epoch(), Kind: wire.OwnerTick}),
		}
	}
	r.wantAllocs("a record that cuts the ticks of a hundred rooms", 2*rooms, records)
	if n := len(r.out.Messages); n != rooms {
		t.Errorf("the last record cut %d ticks, want %d", n, rooms)
	}
}
