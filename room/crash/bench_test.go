package crash

import (
	"fmt"
	"testing"

	"tickcast/room/game"
	"tickcast/wire"
)

// flyingRoom is a room in flight with n bets.
func flyingRoom(b *testing.B, n int, auto int64) *table {
	tb := newTable(b, crashingAt(1000, 100_000, 100_000), `{"max_round_win":100000000000}`)
	tb.twin = nil
	tb.untilPhase(phaseBetting)
	for i := range n {
		tb.betOnly(fmt.Sprintf("p%05d", i), 0, 1000, auto)
	}
	tb.settle()
	tb.untilPhase(phaseFlying)
	return tb
}

func restoredFrom(b *testing.B, k *Kind, snapshot []byte) *Room {
	room, err := k.Restore(snapshot)
	if err != nil {
		b.Fatal(err)
	}
	return room.(*Room)
}

// BenchmarkBet is a bet and its stake's result.
func BenchmarkBet(b *testing.B) {
	tb := newTable(b, newTestChains(20), `{"max_round_win":100000000000000}`)
	tb.untilPhase(phaseBetting)
	var fx game.Effects
	i := 0
	for b.Loop() {
		i++
		player := fmt.Sprintf("p%d", i)
		tb.room.Command(tb.at(), game.Command{
			Ref:     game.Ref{Player: player, Key: "k"},
			Command: wire.Command{Player: player, Name: player, Key: "k", Op: "bet", Round: 1, Args: []byte(`{"slot":0,"amount":100,"auto":250}`)},
		}, &fx)
		tb.room.Result(tb.at(), wire.BookingResult{ID: fx.Bookings[0].ID, Booked: true}, &fx)
		fx.Reset()
	}
}

// BenchmarkCashOut is a cash-out in a flight of 10,000 bets.
func BenchmarkCashOut(b *testing.B) {
	const players = 10_000
	tb := flyingRoom(b, players, 0)
	tb.reading(150)
	snapshot := tb.room.Snapshot()
	var fx game.Effects
	i := 0
	for b.Loop() {
		if i == players {
			b.StopTimer()
			tb.room, i = restoredFrom(b, tb.kind, snapshot), 0
			b.StartTimer()
		}
		player := fmt.Sprintf("p%05d", i)
		i++
		tb.room.Command(tb.at(), game.Command{
			Ref:     game.Ref{Player: player, Key: "out"},
			Command: wire.Command{Player: player, Key: "out", Op: "cashout", Round: 1, Args: []byte(`{"slot":0}`)},
		}, &fx)
		if fx.Answers[0].Error != nil {
			b.Fatal(fx.Answers[0].Error)
		}
		tb.room.Due()
		fx.Reset()
	}
}

// BenchmarkManyAutos is one Advance that cashes out 10,000 bets.
func BenchmarkManyAutos(b *testing.B) {
	tb := flyingRoom(b, 10_000, 200)
	tb.reading(199)
	snapshot := tb.room.Snapshot()
	for b.Loop() {
		b.StopTimer()
		room := restoredFrom(b, tb.kind, snapshot)
		var fx game.Effects
		at := game.At{Now: room.Due()}
		b.StartTimer()
		room.Advance(at, &fx)
		if len(fx.Bookings) != 10_000 {
			b.Fatalf("%d payouts", len(fx.Bookings))
		}
	}
}

func BenchmarkRefusedCommand(b *testing.B) {
	tb := flyingRoom(b, 1, 0)
	var fx game.Effects
	c := game.Command{Command: wire.Command{Player: "x", Op: "cashout", Round: 1, Args: []byte(`{"slot":0}`)}}
	for b.Loop() {
		tb.room.Command(tb.at(), c, &fx)
		fx.Reset()
	}
}

func BenchmarkSnapshot(b *testing.B) {
	tb := flyingRoom(b, 10_000, 200)
	for b.Loop() {
		b.SetBytes(int64(len(tb.room.Snapshot())))
	}
}

func BenchmarkView(b *testing.B) {
	tb := flyingRoom(b, 10_000, 200)
	for b.Loop() {
		tb.room.View(tb.at())
	}
}
