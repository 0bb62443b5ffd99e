package sim

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"tickcast/room/game"
	"tickcast/wire"
)

var timesFlag = flag.Int("sim.times", defaultTimes, "how often each scenario is played, each time from another seed")

// scene is a world with one room, in which nothing happens that the scenario does not
// do, but for delays and some loss.
type scene struct {
	*world
	room *roomTruth
}

// lobby is the room of a scene.
var lobby = roomName(0)

// TestScenarios plays each scenario from many seeds. Behind each the world must come to
// rest with all its checks.
func TestScenarios(t *testing.T) {
	for _, s := range []struct {
		sentence string
		play     func(*scene)
	}{
		{"owner killed in betting", ownerKilledAt(inBetting)},
		{"owner killed at lock", ownerKilledAt(atLock)},
		{"owner killed at start", ownerKilledAt(atStart)},
		{"owner killed mid-flight", ownerKilledAt(midFlight)},
		{"owner killed 5 ms before the crash", ownerKilledAt(beforeTheCrash)},
		{"owner killed after the crash before settlement", ownerKilledAt(afterTheCrash)},
		{"owner killed mid-settlement", ownerKilledAt(midSettlement)},
		{"an owner that was paused and woken does no harm", pausedOwner},
		{"no owner at all for 5 s (game time stands still, what was cashed out meanwhile is paid at the frozen time)", noOwner},
		{"killed between stake and bet", betweenStakeAndBet},
		{"killed inside a refund loop of a void", insideAVoid},
		{"Redis flushed mid-round", redisFlushed},
		{"SQL down for 60 s during settlement", sqlDown},
		{"rolling restart of everything during 20 rounds with 0 voids", rollingRestart},
		{"a server with another secret never becomes owner", anotherSecret},
		{"clock of the NATS leader stepped ±5 s", steppedClock},
		{"the same command id from two tabs", sameCommandTwice},
		{"two tabs bet the whole balance", wholeBalanceTwice},
		{"the answer lost and asked for again", answerLost},
		{"a command sent again after the server's duplicate window", afterTheWindow},
		{"a node of the log that is behind is believed, and no round is void", staleNode},
		{"the log loses its tail in betting", powerCut(inBetting)},
		{"the log loses its tail between stake and bet", powerCut(stakeBooked)},
		{"the log loses its tail mid-flight", powerCut(midFlight)},
		{"the log loses its tail after the crash", powerCut(afterTheCrash)},
		{"the log loses its tail with a seed, and the next round is about to open", powerCut(beforeTheNext)},
		{"the log loses its tail mid-settlement", powerCut(midSettlement)},
		{"the log loses its tail twice", lostTwice},
		{"the log loses its tail, and then what was said of it", wordLost},
		{"the log loses its tail, which only gateways have, and they hear little", seenByGateways},
		{"the log loses its tail, and stakes of the tail are booked late", bookedLate},
		{"servers of two versions, and the log is written by the older while one of it is there", twoVersions},
		{"the log is trimmed, though owners die and the archive fails meanwhile", logIsTrimmed},
	} {
		t.Run(s.sentence, func(t *testing.T) {
			for seed := range uint64(*timesFlag) {
				if w := playScene(seed+1, s.sentence, s.play); w.broken != nil {
					t.Fatalf("seed %d: %v", seed+1, w.broken)
				}
			}
		})
	}
}

// TestScenariosCanFail breaks what only some of TestScenarios show: a few seeds must show it.
func TestScenariosCanFail(t *testing.T) {
	for _, s := range []struct {
		rule string
		play func(*scene)
	}{
		{noHold, bookedLate},
		{dropsTicks, seenByGateways},
	} {
		t.Run(s.rule, func(t *testing.T) {
			for seed := range uint64(500) {
				if w := playScene(seed+1, s.rule, s.play, s.rule); w.broken != nil {
					t.Logf("seed %d: %v", seed+1, w.broken)
					return
				}
			}
			t.Error("500 seeds do not show it")
		})
	}
}

func playScene(seed uint64, sentence string, play func(*scene), broken ...string) *world {
	w := newWorld(seed^sum([]byte(sentence)), config{
		broken: strings.Join(broken, ""), rooms: 1, servers: 3, gateways: 2, players: 4, idle: true, loss: []float64{0, 0.002, 0.01}[seed%3],
		trimming: trimming{on: true, checkpoints: 60, keep: 50, segment: 40},
		settings: `{"betting_ms":500,"lock_ms":200,"crashed_ms":150,"tick_ms":100,"cap":140}`,
	})
	sc := &scene{world: w}
	w.until("the room is there", time.Minute, func() bool { sc.room = w.truth.rooms[lobby]; return sc.room != nil && sc.room.phase != "" })
	if w.broken == nil {
		play(sc)
	}
	w.rest()
	return w
}

func (sc *scene) awaitPhase(phase string) {
	sc.until("the phase is "+phase, time.Minute, func() bool { return sc.room.phase == phase })
}

// flight waits for a round that flies for some seconds, with bets of all players in
// it, one of two with a target. It returns in its betting phase.
func (sc *scene) flight() (bets []*command) {
	for {
		round := sc.room.round
		sc.until("a round opens", 2*time.Minute, func() bool { return sc.room.round > round && sc.room.phase == "betting" })
		if sc.broken != nil {
			return nil
		}
		if sc.room.point >= 118 {
			break
		}
	}
	for i, p := range sc.players {
		for slot := range 2 {
			auto := ""
			if slot == 0 {
				auto = `,"auto":110`
			}
			args := fmt.Sprintf(`{"slot":%d,"amount":%d%s}`, slot, 100*(i+1), auto)
			bets = append(bets, p.command(sc.gateways[i%2], lobby, p.key(), "bet", sc.room.round, args))
		}
	}
	return bets
}

// remaining is how long it takes until a game time, if the owner's ticks come.
func (sc *scene) remaining(t game.Time) time.Duration {
	last := sc.log.records[len(sc.log.records)-1].Time
	return time.Duration(t-sc.truth.part.Now()) - time.Duration(sc.now+sc.log.offset-last)
}

// approach lets time pass until it is d before a game time.
func (sc *scene) approach(t game.Time, d time.Duration) {
	for left := sc.remaining(t) - d; left > 0 && sc.broken == nil; left = sc.remaining(t) - d {
		sc.run(max(left/2, 50*time.Microsecond))
	}
}

func (sc *scene) owner() *server {
	for _, s := range sc.servers {
		if s.listens != 0 && s.replica != nil && s.replica.Owns() {
			return s
		}
	}
	return nil
}

func (sc *scene) awaitOwner() (s *server) {
	sc.until("somebody owns the partition", time.Minute, func() bool { s = sc.owner(); return s != nil })
	return s
}

// killOwner kills the owner, which is back some time later.
func (sc *scene) killOwner() {
	if s := sc.awaitOwner(); s != nil {
		s.kill()
		sc.after(sc.between(200*time.Millisecond, 3*time.Second), s.start)
	}
}

// wantRoundsGoOn waits for the end of this round and of another, none voided.
func (sc *scene) wantRoundsGoOn() {
	rounds := sc.truth.rounds
	sc.until("rounds go on", time.Minute, func() bool { return sc.truth.rounds >= rounds+2 })
	if sc.truth.voids > 0 {
		sc.fail("%d rounds were voided", sc.truth.voids)
	}
}

// cashOut has players cash out what flies without a target.
func (sc *scene) cashOut() (cashOuts []*command) {
	for i, p := range sc.players {
		cashOuts = append(cashOuts, p.command(sc.gateways[i%2], lobby, p.key(), "cashout", sc.room.round, slotArgs(1)))
	}
	return cashOuts
}

// await waits for the answers to commands.
func (sc *scene) await(commands []*command) {
	sc.until("commands are answered", 2*time.Minute, func() bool {
		for _, c := range commands {
			if c.answers == nil {
				return false
			}
		}
		return true
	})
}

func ownerKilledAt(moment func(*scene)) func(*scene) {
	return func(sc *scene) {
		bets := sc.flight()
		moment(sc)
		round, point := sc.room.round, sc.room.point
		sc.killOwner()
		sc.await(bets)
		for _, b := range bets {
			if code := b.answer.Error; code != nil && code.Code != wire.CodeTemporarilyUnavailable && code.Code != wire.CodeWrongPhase {
				sc.fail("a bet is refused: %v", code)
			}
		}
		sc.wantRoundsGoOn()
		if sc.room.crash[round] != point {
			sc.fail("round %d crashed at %d, not at %d", round, sc.room.crash[round], point)
		}
	}
}

func inBetting(sc *scene) { sc.run(sc.between(0, 400*time.Millisecond)) }

func atLock(sc *scene) {
	sc.approach(sc.room.until, sc.between(-3*time.Millisecond, 10*time.Millisecond))
}

func atStart(sc *scene) {
	sc.awaitPhase("flying")
	sc.run(sc.between(0, 3*time.Millisecond))
}

func midFlight(sc *scene) {
	sc.awaitPhase("flying")
	sc.run(sc.between(0, time.Duration(sc.room.ends-sc.truth.part.Now())))
	sc.cashOut()
	sc.run(sc.between(0, 3*time.Millisecond))
}

func beforeTheCrash(sc *scene) {
	sc.awaitPhase("flying")
	sc.approach(sc.room.ends, 5*time.Millisecond)
	if sc.room.phase != "flying" {
		sc.fail("it is %s 5 ms before the crash", sc.room.phase)
	}
}

func afterTheCrash(sc *scene) {
	sc.awaitPhase("flying")
	sc.awaitPhase("crashed")
}

// beforeTheNext is when the owner sends the opening of the next round, which the log does not
// take any more: perhaps behind what is left of it.
func beforeTheNext(sc *scene) {
	afterTheCrash(sc)
	sc.until("the next round may open", time.Minute, func() bool { return sc.truth.part.Now() >= sc.room.until })
	sc.log.silent = sc.now + int64(time.Second)
	sc.run(10 * time.Millisecond)
}

func midSettlement(sc *scene) {
	sc.awaitPhase("flying")
	sc.until("some payouts are queued", time.Minute, func() bool {
		for _, j := range sc.ledger.queue {
			if j.booking.Kind == wire.BookPayout {
				return true
			}
		}
		return false
	})
}

func pausedOwner(sc *scene) {
	sc.flight()
	midFlight(sc)
	sc.awaitOwner().pause(sc.between(10*time.Millisecond, 4*time.Second))
	sc.wantRoundsGoOn()
}

func noOwner(sc *scene) {
	bets := sc.flight()
	sc.await(bets)
	sc.awaitPhase("flying")
	sc.run(sc.between(400*time.Millisecond, 2*time.Second))
	for _, s := range sc.servers {
		s.kill()
	}
	sc.run(2 * time.Millisecond) // what they sent arrives
	frozen := sc.truth.part.Now()
	reads := curve.Centi(frozen + game.Time(300*time.Millisecond) - (sc.room.ends - curve.At(sc.room.point+1)))
	sc.run(sc.between(0, 2*time.Second))
	cashOuts := sc.cashOut()
	sc.run(3 * time.Second)
	if now := sc.truth.part.Now(); now > frozen+game.Time(300*time.Millisecond) {
		sc.fail("without an owner game time went on by %v", time.Duration(now-frozen))
	}
	for _, s := range sc.servers {
		s.start()
	}
	sc.await(cashOuts)
	for i, c := range cashOuts {
		var result struct{ Centi int64 }
		decode(c.answer.Result, &result)
		flew := bets[2*i+1].answer.OK && bets[2*i+1].wire.Round == c.wire.Round
		if flew && c.acked && (!c.answer.OK || result.Centi > reads) && sc.room.crash[c.wire.Round] >= reads {
			sc.fail("cashed out while nobody owned the partition: %+v %v, the curve read at most %d", result, c.answer.Error, reads)
		}
	}
	sc.wantRoundsGoOn()
}

func betweenStakeAndBet(sc *scene) {
	bets := sc.flight()
	stakeBooked(sc)
	if sc.chance(0.5) { // the worker dies as well, before it says so
		sc.ledger.link.log = sc.now + int64(2500*time.Millisecond)
	}
	sc.killOwner()
	sc.await(bets)
	sc.wantRoundsGoOn()
}

func stakeBooked(sc *scene) {
	sc.until("a stake is booked", time.Minute, func() bool { return len(sc.ledger.bets) > 0 })
}

// staleNode has a node that was the log's leader answer where it ends, until a server that
// has folded more begins again.
func staleNode(sc *scene) {
	sc.flight()
	sc.awaitPhase("flying")
	for i := 0; sc.log.misled == 0 && sc.broken == nil; i++ {
		sc.log.behind(1+sc.rnd.Uint64N(20), sc.between(time.Second, 3*time.Second))
		sc.servers[sc.rnd.IntN(len(sc.servers))].link.core = sc.now + int64(sc.between(1200*time.Millisecond, 2*time.Second))
		if sc.run(3 * time.Second); i == 20 {
			sc.fail("no server asks where the log ends")
		}
	}
	sc.wantRoundsGoOn()
}

func insideAVoid(sc *scene) {
	sc.await(sc.flight())
	sc.awaitPhase("flying")
	round := sc.room.round
	sc.operator.act(lobby, wire.ActionVoid, nil)
	sc.until("a refund is queued, or the void came late", time.Minute, func() bool {
		for _, j := range sc.ledger.queue {
			if j.booking.Kind == wire.BookCancel {
				return true
			}
		}
		return sc.room.round > round
	})
	sc.killOwner()
}

func redisFlushed(sc *scene) {
	sc.flight()
	midFlight(sc)
	sc.redis.flush()
	sc.killOwner()
	sc.wantRoundsGoOn()
}

func sqlDown(sc *scene) {
	bets := sc.flight()
	sc.await(bets)
	sc.awaitPhase("flying")
	sc.ledger.downFor(time.Minute)
	rounds := sc.truth.rounds
	sc.until("rounds end without SQL", 59*time.Second, func() bool { return sc.truth.rounds >= rounds+2 })
	late := sc.players[0].command(sc.gateways[0], lobby, sc.players[0].key(), "bet", sc.room.round, `{"slot":1,"amount":100}`)
	sc.await([]*command{late})
	sc.wantRoundsGoOn()
}

func rollingRestart(sc *scene) {
	sc.operator.act(lobby, wire.ActionSet, []byte(`{"cap":108}`))
	sc.cfg.idle = false
	for _, p := range sc.players {
		p.stepLater()
	}
	rounds := sc.truth.rounds
	for i := 0; sc.broken == nil && (sc.truth.rounds < rounds+20 || i < len(sc.servers)+2); i++ {
		switch n := i % (len(sc.servers) + 2); {
		case n < len(sc.servers):
			s := sc.servers[n]
			s.leave()
			sc.until(s.name+" has left", 2*drainWithin, func() bool { return s.replica == nil })
			sc.run(sc.between(100*time.Millisecond, time.Second))
			s.start()
		case n == len(sc.servers):
			sc.gateways[i%2].restart()
		default:
			sc.ledger.downFor(sc.between(100*time.Millisecond, 2*time.Second))
		}
		sc.run(sc.between(time.Second, 4*time.Second))
	}
	if sc.truth.voids > 0 {
		sc.fail("%d rounds were voided", sc.truth.voids)
	}
}

func anotherSecret(sc *scene) {
	sc.flight()
	sc.servers[0].kill()
	sc.servers[0].rules = foreignRules.begin(sc.rnd)
	sc.servers[0].start()
	midFlight(sc)
	sc.killOwner() // it would be the best candidate
	sc.wantRoundsGoOn()
	if sc.servers[0].replica.Halted() == nil {
		sc.fail("a server with another secret goes on")
	}
}

func steppedClock(sc *scene) {
	sc.await(sc.flight())
	sc.awaitPhase("flying")
	left, from := sc.remaining(sc.room.ends), sc.now
	for range 4 {
		sc.log.offset += int64(sc.between(-5*time.Second, 5*time.Second))
		sc.run(left / 8)
	}
	round := sc.room.round
	sc.until("it crashes", time.Minute, func() bool { return sc.room.phase == "crashed" || sc.room.round > round })
	// A step takes 300 ms at most, forwards, and what passed between two records, backwards.
	if took := time.Duration(sc.now - from); took < left-4*300*time.Millisecond || took > left+4*400*time.Millisecond && sc.cfg.loss == 0 {
		sc.fail("the flight took %v, and should have taken %v", took, left)
	}
	sc.wantRoundsGoOn()
}

func sameCommandTwice(sc *scene) {
	sc.flight()
	p := sc.players[0]
	sc.awaitPhase("flying")
	c := p.command(sc.gateways[0], lobby, p.key(), "bet", sc.room.round+1, `{"slot":0,"amount":500}`)
	sc.run(sc.between(0, 3*time.Millisecond))
	p.send(sc.gateways[1], c)
	sc.until("both are answered", time.Minute, func() bool { return len(c.answers) > 1 || sc.cfg.loss > 0 && len(c.answers) > 0 })
	if !c.answer.OK && sc.cfg.loss == 0 {
		sc.fail("the bet is refused: %v", c.answer.Error)
	}
}

func wholeBalanceTwice(sc *scene) {
	p := sc.players[0]
	sc.awaitPhase("betting")
	round := sc.room.round
	sc.until("the next round opens", 2*time.Minute, func() bool { return sc.room.round > round && sc.room.phase == "betting" })
	var both []*command
	for slot := range 2 {
		args := fmt.Sprintf(`{"slot":%d,"amount":%d}`, slot, grant)
		both = append(both, p.command(sc.gateways[slot], lobby, p.key(), "bet", sc.room.round, args))
	}
	sc.await(both)
	a, b := both[0].answer, both[1].answer
	if a.OK && b.OK {
		sc.fail("both bets of the whole balance are taken")
	}
	if sc.cfg.loss == 0 && (a.OK == b.OK || a.Error != nil && a.Error.Code != wire.CodeInsufficientFunds || b.Error != nil && b.Error.Code != wire.CodeInsufficientFunds) {
		sc.fail("of two bets of the whole balance one is to be taken: %v, %v", a.Error, b.Error)
	}
}

func answerLost(sc *scene) {
	sc.cfg.loss = 0.4
	bets := sc.flight()
	sc.await(bets)
	for i, c := range bets {
		sc.players[i/2].send(sc.gateways[i%2], c)
	}
	again := func() bool {
		for _, c := range bets {
			if len(c.answers) < 2 {
				return false
			}
		}
		return true
	}
	sc.cfg.loss = 0.1
	sc.run(20 * time.Second)
	sc.cfg.loss = 0
	if !again() {
		for i, c := range bets {
			sc.players[i/2].send(sc.gateways[i%2], c)
		}
	}
	sc.until("each is answered again", time.Minute, again)
}

func afterTheWindow(sc *scene) {
	bets := sc.flight()
	sc.await(bets)
	stakes := len(sc.ledger.bets)
	clear(sc.log.seen)
	for i, c := range bets {
		sc.players[i/2].send(sc.gateways[(i+1)%2], c)
	}
	sc.until("each is answered again", time.Minute, func() bool {
		for _, c := range bets {
			if len(c.answers) < 2 && sc.cfg.loss == 0 {
				return false
			}
		}
		return true
	})
	sc.run(5 * time.Second)
	if n := len(sc.ledger.bets); n != stakes && sc.cfg.loss == 0 { // else one of them may be late
		sc.fail("there were %d stakes, and are %d", stakes, n)
	}
}
