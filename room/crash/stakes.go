package crash

import "tickcast/room/game"

// Stakes implements game.Staking.
func (r *Room) Stakes() game.Stakes {
	s := game.Stakes{Round: r.Current.Number, Over: r.Current.Done || r.Phase == phaseIdle, Open: map[string]bool{}}
	for _, rd := range []*round{r.Current, r.Next} {
		for _, b := range rd.Bets {
			s.Open[b.stakeID()] = b.State == betOpen
		}
	}
	return s
}
