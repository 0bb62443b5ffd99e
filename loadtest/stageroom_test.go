package loadtest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"tickcast/wire"
)

// stageRoom is the authority of one room. Guarded by stage.mu.
type stageRoom struct {
	st      *stage
	id      string
	log     string
	game    string
	now     time.Duration // game time
	ticked  time.Duration
	seq     uint64
	updates [][]byte // update n at n-1
	pending []any    // events of the next update
	answers map[string][]byte

	phase   string
	round   uint64
	began   time.Duration
	ends    time.Duration
	crash   int64
	seeds   []string // hex; 0 is the commitment
	bets    map[string]*stageBet
	taps    map[string]int64
	history []map[string]any

	full uint64 // update at which stage.played found everybody here, 0 for none
}

type stageBet struct {
	player        string
	slot          int
	round         uint64
	stake, auto   int64
	done          bool
	centi, payout int64
}

const (
	stageSalt = "a salt"
	stageCap  = 1000
	// stageSpeed is how much faster than the real curve this one rises.
	stageSpeed  = 50
	stageMaxWin = 1_000_000
)

func newStageRoom(st *stage, id, game string) *stageRoom {
	r := &stageRoom{st: st, id: id, log: "log-" + id, game: game, answers: map[string][]byte{}, bets: map[string]*stageBet{}, taps: map[string]int64{}}
	seed := sha256.Sum256([]byte(id))
	for range 1000 {
		r.seeds = append([]string{hex.EncodeToString(seed[:])}, r.seeds...)
		seed = sha256.Sum256(seed[:])
	}
	switch game {
	case gameRace:
		r.enter("gathering", 200*time.Millisecond)
	case gameCrash:
		r.enter(phaseBetting, 250*time.Millisecond)
	}
	return r
}

func (r *stageRoom) settings() map[string]any {
	return map[string]any{"rtp_bp": 9900, "cap": stageCap, "min_stake": 100, "max_stake": 100_000, "max_win": stageMaxWin, "max_round_win": 100 * stageMaxWin, "max_taps_per_s": 40}
}

func (r *stageRoom) fairness() map[string]any {
	return map[string]any{"chain": 0, "index": r.round, "commitment": r.seeds[0], "salt": stageSalt, "last_seed": r.seeds[r.round-1]}
}

// enter begins a phase. length 0 has no end.
func (r *stageRoom) enter(phase string, length time.Duration) {
	r.phase, r.began, r.ends = phase, r.now, r.now+length
	e := map[string]any{"e": "phase", "phase": phase, "start": r.began.Microseconds(), "end": r.ends.Microseconds()}
	switch phase {
	case phaseBetting:
		r.round++
		seed, _ := hex.DecodeString(r.seeds[r.round])
		r.crash = crashPoint(stageSalt, seed, &settings{RTP: 9900, Cap: stageCap})
		e["settings"], e["fairness"] = r.settings(), r.fairness()
	case phaseFlying:
		e["end"] = nil
	case phaseCrashed:
		e["centi"], e["seed"], e["index"], e["chain"] = r.crash, r.seeds[r.round], r.round, 0
		r.history = append([]map[string]any{{"round": r.round, "centi": r.crash, "seed": r.seeds[r.round], "chain": 0, "index": r.round}}, r.history...)
	case "gathering":
		r.round++
		clear(r.taps)
	case phaseFinished:
		top := []map[string]any{}
		for p, n := range r.taps {
			top = append(top, map[string]any{"player": p, "points": n})
		}
		e["top"], e["players"] = top, len(top)
	}
	e["round"] = r.round
	r.pending = append(r.pending, e)
}

// advance lets time pass.
func (r *stageRoom) advance(d time.Duration) {
	r.now += d
	switch r.game {
	case gameRace:
		r.advanceRace()
	case gameCrash:
		r.advanceCrash()
	}
	r.cut()
	if r.now-r.ticked >= 50*time.Millisecond {
		r.ticked = r.now
		r.broadcast(mustJSON(wire.Tick{Type: wire.TypeTick, Room: r.id, Seq: r.seq, Time: r.now.Microseconds(), Epoch: 1}))
	}
}

func (r *stageRoom) advanceRace() {
	if r.now < r.ends {
		return
	}
	switch r.phase {
	case "gathering":
		r.enter(phaseRunning, 600*time.Millisecond)
	case phaseRunning:
		r.enter(phaseFinished, 100*time.Millisecond)
	default:
		r.enter("gathering", 200*time.Millisecond)
	}
}

func (r *stageRoom) advanceCrash() {
	switch {
	case r.phase == phaseFlying:
		r.fire()
		if r.centi() > r.crash {
			r.enter(phaseCrashed, 100*time.Millisecond)
			r.settle()
		}
	case r.now < r.ends:
	case r.phase == phaseBetting:
		r.enter(phaseLocked, 20*time.Millisecond)
	case r.phase == phaseLocked:
		r.enter(phaseFlying, 0)
	default:
		r.enter(phaseBetting, 250*time.Millisecond)
	}
}

// centi is where the curve stands.
func (r *stageRoom) centi() int64 {
	return int64(100 * math.Exp(0.06*stageSpeed*(r.now-r.began).Seconds()))
}

// fire pays targets that were passed, up to the crash point.
func (r *stageRoom) fire() {
	reached := min(r.centi(), r.crash)
	for _, b := range r.bets {
		if b.round == r.round && !b.done && b.auto > 0 && b.auto <= reached {
			r.pay(b, b.auto)
			r.notify(b, map[string]any{"e": "out", "slot": b.slot, "round": b.round, "centi": b.centi, "payout": b.payout, "auto": true})
		}
	}
}

func (r *stageRoom) notify(b *stageBet, event map[string]any) {
	r.st.tell(b.player, wire.Notice{Type: wire.TypeNotice, Room: r.id, Event: mustJSON(event)})
}

func (r *stageRoom) pay(b *stageBet, centi int64) {
	b.done, b.centi, b.payout = true, centi, b.stake/100*centi
	r.st.book(b.player, b.payout)
	r.pending = append(r.pending, map[string]any{"e": "out", "player": b.player, "slot": b.slot, "centi": centi, "payout": b.payout, "auto": centi == b.auto})
}

// settle ends a crashed round.
func (r *stageRoom) settle() {
	for key, b := range r.bets {
		switch {
		case b.round+3 < r.round:
			delete(r.bets, key)
		case b.round != r.round || b.done:
		case r.crash == stageCap:
			r.pay(b, stageCap)
		default:
			b.done = true
			r.notify(b, map[string]any{"e": "lost", "slot": b.slot, "round": b.round, "stake": b.stake})
		}
	}
}

// cut makes an update of what is pending.
func (r *stageRoom) cut() {
	if len(r.pending) == 0 {
		return
	}
	r.seq++
	u := wire.Update{Type: wire.TypeUpdate, Room: r.id, Seq: r.seq, Time: r.now.Microseconds()}
	for _, e := range r.pending {
		u.Events = append(u.Events, mustJSON(e))
	}
	r.pending = nil
	b := mustJSON(u)
	r.updates = append(r.updates, b)
	r.broadcast(b)
}

func (r *stageRoom) broadcast(b []byte) {
	for c := range r.st.conns {
		if c.rooms[r.id] {
			c.send(b)
		}
	}
}

func (r *stageRoom) view() json.RawMessage {
	v := map[string]any{
		"game": r.game, "phase": r.phase, "round": r.round, "start": r.began.Microseconds(), "end": r.ends.Microseconds(),
		"settings": r.settings(),
	}
	if r.game == gameCrash {
		v["fairness"], v["history"] = r.fairness(), r.history[:min(50, len(r.history))]
	}
	return mustJSON(v)
}

func (r *stageRoom) you(player string) json.RawMessage {
	if r.game == gameRace {
		if n, ok := r.taps[player]; ok {
			return mustJSON(map[string]any{"points": n, "round": r.round})
		}
		return nil
	}
	bets := []map[string]any{}
	for _, b := range r.bets {
		if b.player == player && b.round >= r.round {
			state := "open"
			if b.done && b.centi > 0 {
				state = "won"
			} else if b.done {
				state = "lost"
			}
			bets = append(bets, map[string]any{"round": b.round, "slot": b.slot, "stake": b.stake, "state": state, "centi": b.centi, "payout": b.payout})
		}
	}
	return mustJSON(map[string]any{"bets": bets})
}

func (r *stageRoom) command(player string, m *wire.ClientMessage) (map[string]any, *wire.Error) {
	var a struct {
		Slot   int   `json:"slot"`
		Amount int64 `json:"amount"`
		Auto   int64 `json:"auto"`
		N      int64 `json:"n"`
	}
	if err := json.Unmarshal(m.Args, &a); err != nil {
		return nil, wire.Errorf(wire.CodeBadArgs, "%v", err)
	}
	if m.Op == opTap {
		if r.phase != phaseRunning || m.Round != r.round {
			return nil, wire.Errorf(wire.CodeWrongPhase, "not running")
		}
		r.taps[player] = max(r.taps[player], a.N)
		return map[string]any{"points": r.taps[player]}, nil
	}
	key := fmt.Sprintf("%s %d %d", player, m.Round, a.Slot)
	b := r.bets[key]
	switch m.Op {
	case opBet:
		if !(r.phase == phaseBetting && m.Round == r.round) && !(r.phase == phaseFlying && m.Round == r.round+1) {
			return nil, wire.Errorf(wire.CodeWrongPhase, "no bets in %s", r.phase)
		}
		if b != nil {
			return nil, wire.Errorf(wire.CodeSlotTaken, "slot %d has a bet", a.Slot)
		}
		if r.st.balance(player).amount < a.Amount {
			return nil, wire.Errorf(wire.CodeInsufficientFunds, "not covered")
		}
		r.bets[key] = &stageBet{player: player, slot: a.Slot, round: m.Round, stake: a.Amount, auto: a.Auto}
		r.st.book(player, -a.Amount)
		left := r.st.balance(player)
		result := map[string]any{"bet": key, "slot": a.Slot, "stake": a.Amount, "round": m.Round, "balance": left.amount, "version": left.version}
		if a.Auto > 0 {
			result["auto"] = a.Auto
		}
		return result, nil
	case opCancel:
		if b == nil || b.done || (m.Round == r.round && r.phase != phaseBetting) || m.Round < r.round {
			return nil, wire.Errorf(wire.CodeWrongPhase, "cannot be cancelled")
		}
		delete(r.bets, key)
		r.st.book(player, b.stake)
		return map[string]any{"slot": a.Slot, "round": m.Round}, nil
	case opCashOut:
		return r.cashOut(b, m)
	}
	return nil, wire.Errorf(wire.CodeUnknownOp, "no %s", m.Op)
}

func (r *stageRoom) cashOut(b *stageBet, m *wire.ClientMessage) (map[string]any, *wire.Error) {
	centi := r.centi()
	switch {
	case r.phase != phaseFlying || m.Round != r.round:
		return nil, wire.Errorf(wire.CodeWrongPhase, "not flying")
	case b == nil || b.done:
		return nil, wire.Errorf(wire.CodeNoBet, "no bet")
	case b.auto > 0 && centi >= b.auto:
		centi = b.auto
	case centi > r.crash:
		return nil, wire.Errorf(wire.CodeTooLate, "crashed")
	case centi <= 100:
		return nil, wire.Errorf(wire.CodeTooEarly, "at 1.00x")
	}
	if centi > r.crash {
		return nil, wire.Errorf(wire.CodeTooLate, "crashed")
	}
	r.pay(b, centi)
	return map[string]any{"slot": b.slot, "round": b.round, "centi": centi, "payout": b.payout}, nil
}
