package crash

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"tickcast/room/game"
)

// Snapshot implements game.Room: the public state as JSON in a fixed order.
func (r *Room) Snapshot() []byte { return game.Encode(r.state) }

// Freeze implements game.Freezing: a copy of the state takes a tenth of the time of
// its encoding.
func (r *Room) Freeze() func() []byte {
	s := r.state
	s.Current, s.Next = r.Current.freeze(), r.Next.freeze()
	s.Closing = nil
	for _, rd := range r.Closing {
		s.Closing = append(s.Closing, rd.freeze())
	}
	s.Fair.Current, s.Fair.Next = clone(r.Fair.Current), clone(r.Fair.Next)
	s.History = slices.Clone(r.History)
	return func() []byte { return game.Encode(s) }
}

// freeze is a copy of what a snapshot shows.
func (rd *round) freeze() *round {
	c := *rd
	c.seats, c.top = nil, nil
	bets := make([]bet, len(rd.Bets))
	c.Bets = make([]*bet, len(rd.Bets))
	for i, b := range rd.Bets {
		bets[i] = *b
		c.Bets[i] = &bets[i]
	}
	return &c
}

func clone[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}

// restore makes a room from a snapshot, checks everything that the code relies
// on, and derives what is only in memory. That the room makes the same snapshot
// again rules out what a Snapshot would not have written.
func (k *Kind) restore(snapshot []byte) (*Room, error) {
	r := &Room{kind: k, awaited: make(map[string]*bet)}
	d := json.NewDecoder(bytes.NewReader(snapshot))
	d.DisallowUnknownFields()
	if err := d.Decode(&r.state); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is something behind it")
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	for _, rd := range append(slices.Clone(r.Closing), r.Current, r.Next) {
		if err := r.rebuild(rd); err != nil {
			return nil, fmt.Errorf("round %d: %w", rd.Number, err)
		}
	}
	r.Current.relist()
	if r.Phase == phaseFlying {
		r.prepareFlight()
		if r.nextReading() <= minCenti {
			return nil, errors.New("its limits were exceeded before it took off")
		}
	}
	if !bytes.Equal(r.Snapshot(), snapshot) {
		return nil, errors.New("no room writes it like this")
	}
	return r, nil
}

// check refuses a state that no room can be in.
func (r *Room) check() error {
	rd := r.Current
	if rd == nil || r.Next == nil || r.Next.Number != rd.Number+1 || slices.Contains(r.Closing, nil) {
		return errors.New("its rounds do not follow each other")
	}
	for _, t := range []game.Time{r.Start, r.End, r.TotalsAt} {
		if t < 0 || t > game.Never/2 {
			return errors.New("a time is out of range")
		}
	}
	if len(r.History) > keptHistory {
		return errors.New("its history is too long")
	}
	switch r.Mode {
	case stateRunning, statePausing, statePaused:
	default:
		return fmt.Errorf("unknown state %q", r.Mode)
	}
	switch r.Phase {
	case phaseIdle:
	case phaseBetting, phaseLocked, phaseFlying, phaseCrashed:
		if rd.Number == 0 {
			return errors.New("it plays a round that was not opened")
		}
	default:
		return fmt.Errorf("unknown phase %q", r.Phase)
	}
	if over := r.Phase == phaseIdle || r.Phase == phaseCrashed; over != rd.Done {
		return fmt.Errorf("the round is finished: %t, in phase %s", rd.Done, r.Phase)
	}
	if e := r.Wanted.check(); e != nil {
		return e
	}
	return r.Fair.check(rd)
}

func (f *fairness) check(rd *round) error {
	if (f.Current == nil) != (rd.Number == 0) {
		return errors.New("its round has no chain")
	}
	for _, c := range []*chainState{f.Current, f.Next} {
		if c != nil && (!validHash(c.Commitment) || c.Last != "" && !validHash(c.Last) || c.Rounds == 0) {
			return fmt.Errorf("chain %d is malformed", c.Chain)
		}
	}
	c := f.Current
	if c != nil && (c.First == 0 || c.First > rd.Number || c.index(rd.Number) > c.Rounds || c.index(rd.Number) != rd.Index) {
		return errors.New("its round has no place in its chain")
	}
	if c != nil && (rd.Chain != c.Chain || rd.Commitment != c.Commitment || rd.Salt != c.Salt) {
		return errors.New("its round is of another chain")
	}
	if f.Owed && (c == nil || !rd.Done) {
		return errors.New("it owes the seed of a round that has not ended")
	}
	return nil
}

// rebuild links the bets of a decoded round and derives what is counted.
func (r *Room) rebuild(rd *round) error {
	if rd.Rules > RulesVersion {
		return knowsRules(rd.Rules)
	}
	if e := rd.Settings.check(); e != nil {
		return e
	}
	bets := rd.Bets
	rd.Bets, rd.seats = nil, make(map[string]*seat)
	var count int
	var stake, paid int64
	for _, b := range bets {
		if err := b.check(); err != nil {
			return err
		}
		if last := rd.find(b.Player, b.Slot); last != nil && last.State != betRefunded && last.State != betRefused {
			return errors.New("two bets take one slot")
		}
		rd.add(b)
		if b.State.counts() {
			count, stake, paid = count+1, stake+b.Stake, paid+b.Payout
		}
		r.rebuildAwaited(b)
	}
	if closing := rd != r.Current && rd != r.Next; closing {
		if !rd.Done || rd.Archived || rd.awaited == 0 {
			return errors.New("it is not waiting for anything")
		}
		rd.seats = nil
		return nil
	}
	if rd.Count != count || rd.Stake != stake || rd.Paid != paid {
		return errors.New("its bets do not add up to its totals")
	}
	if rd.Done && (rd.pending > 0 || rd.Archived != (rd.awaited == 0)) {
		return errors.New("it was finished too early or archived too late")
	}
	return nil
}

func (r *Room) rebuildAwaited(b *bet) {
	if b.AwaitStake {
		r.await(b.stakeID(), b)
	}
	if b.AwaitEnd {
		r.await(b.endID(), b)
	}
}

func (b *bet) check() error {
	if b == nil || b.Slot < 0 || b.Slot >= slots {
		return errors.New("a bet has no slot")
	}
	if b.Stake <= 0 || b.Stake > maxStake || b.Stake%stakeUnit != 0 || b.Auto != 0 && (b.Auto <= minCenti || b.Auto > maxCenti) {
		return errors.New("a bet is out of range")
	}
	switch b.State {
	case betPending, betOpen, betLost, betRefunded, betRefused:
		if b.Centi != 0 || b.Payout != 0 {
			return errors.New("a bet is paid that was not won")
		}
	case betWon:
		if b.Centi <= minCenti || b.Centi > maxCenti || b.Payout != b.payout(b.Centi) {
			return errors.New("a bet was won and is not paid right")
		}
	default:
		return fmt.Errorf("unknown bet state %q", b.State)
	}
	return nil
}
