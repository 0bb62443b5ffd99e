package crash

import "tickcast/room/game"

// Stakes implements game.Staking. A bet that the ledger refused has no stake: one that it
// has all the same was booked for a bet of a lost tail, which its player sent again.
func (r *Room) Stakes() game.Stakes {
	s := game.Stakes{Round: r.Current.Number, Over: r.Current.Done || r.Phase == phaseIdle, Open: map[string]bool{}}
	for _, rd := range []*round{r.Current, r.Next} {
		for _, b := range rd.Bets {
			if b.State != betRefused {
				s.Open[b.stakeID()] = b.State == betOpen
			}
		}
	}
	return s
}
