package ledger

import (
	"reflect"
	"testing"

	"tickcast/wire"
)

func TestStakesBesideWhatRoomsKnow(t *testing.T) {
	forEachDatabase(t, func(t *testing.T, r rig) {
		b := r.book(t)
		open, won, lost, next := stakeOf("stake/open", "ann", 100), stakeOf("stake/won", "bob", 200), stakeOf("stake/lost", "bob", 100), stakeOf("stake/next", "cid", 300)
		lost.Bet = &wire.BetRecord{RoomUUID: "uuid", Game: "crash", Round: 6}
		next.Bet = &wire.BetRecord{RoomUUID: "uuid", Game: "crash", Round: 8}
		if _, err := b.Apply(t.Context(), []wire.Booking{lost, open, won, next, payoutOf("payout/won", won, 300), roundOf("round/6", 6)}); err != nil {
			t.Fatal(err)
		}
		got, err := b.Stakes(t.Context(), wire.StakesQuery{
			Rounds: map[string]uint64{"uuid": 7, "other": 1}, Open: []string{open.ID, won.ID, lost.ID, "stake/unknown"},
		})
		if err != nil {
			t.Fatal(err)
		}
		want := wire.StakesReply{
			Open: []wire.OpenStake{
				{ID: next.ID, Player: "cid", Room: "lobby", Round: 8, Amount: 300},
				{ID: open.ID, Player: "ann", Room: "lobby", Round: 7, Amount: 100},
			},
			Archived: map[string]uint64{"uuid": 6, "other": 0},
		}
		ended := map[string]bool{}
		for _, id := range got.Ended {
			ended[id] = true
		}
		got.Ended = nil
		if !reflect.DeepEqual(got, want) || len(ended) != 2 || !ended[won.ID] || !ended[lost.ID] {
			t.Fatalf("got %+v and the ends of %v, want %+v", got, ended, want)
		}
	})
}
