package sim

import (
	"encoding/json"
	"slices"
	"time"

	"tickcast/wire"
)

// powerCut takes the tail off the log, in half of the runs with all room servers. Who had
// folded the tail must say that it is gone.
func powerCut(moment func(*scene)) func(*scene) {
	return func(sc *scene) {
		bets := sc.flight()
		moment(sc)
		sc.cutPower(sc.between(20*time.Millisecond, time.Second), sc.between(darkFrom, darkTo))
		witnesses := false
		for _, s := range sc.servers {
			if sc.chance(0.5) {
				s.kill()
				sc.at(sc.log.silent+int64(sc.between(0, 3*time.Second)), s.start)
			} else {
				witnesses = witnesses || s.strayed()
			}
		}
		sc.await(bets)
		rounds := sc.truth.rounds
		sc.until("rounds go on", 2*time.Minute, func() bool { return sc.truth.rounds >= rounds+2 })
		if witnesses && sc.truth.told == 0 {
			sc.fail("nobody says that the log has lost its tail")
		}
	}
}

// lostTwice cuts the power again soon: who begins the fold again meets what was said of the
// first time.
func lostTwice(sc *scene) {
	sc.flight()
	midFlight(sc)
	for range 2 {
		told, witnesses := sc.truth.told, false
		sc.cutPower(sc.between(20*time.Millisecond, time.Second), sc.between(darkFrom, darkTo))
		for _, s := range sc.servers {
			witnesses = witnesses || s.strayed()
		}
		if witnesses {
			sc.until("an owner says that the log has lost its tail", time.Minute, func() bool { return sc.truth.told > told })
		}
		sc.run(sc.between(1100*time.Millisecond, 2*time.Second)) // the log keeps what was said
	}
}

// wordLost cuts the power again at once, so that the log loses the record that says so of the first
// time, and with it the voids of rounds. Their seeds may be out by then: the ledger has archived
// the rounds, and is the only witness when all servers die.
func wordLost(sc *scene) {
	sc.flight()
	midFlight(sc)
	told := sc.truth.told
	sc.cutPower(sc.between(20*time.Millisecond, time.Second), sc.between(darkFrom, darkTo))
	if !slices.ContainsFunc(sc.servers, (*server).strayed) {
		return
	}
	sc.until("an owner says that the log has lost its tail", time.Minute, func() bool { return sc.truth.told > told })
	sc.run(sc.between(0, 30*time.Millisecond))
	sc.cutPower(sc.between(30*time.Millisecond, 100*time.Millisecond), sc.between(darkFrom, darkTo))
	if sc.chance(0.5) {
		sc.run(time.Duration(sc.log.silent-sc.now) + sc.between(0, 20*time.Millisecond))
		for _, s := range sc.servers {
			s.kill()
			sc.at(sc.now+int64(sc.between(0, time.Second)), s.start)
		}
	}
	round, claim := sc.room.round, sc.log.lastClaim
	told = sc.truth.told
	speaks := func(s *server) bool { return s.replica != nil && s.replica.Owns() }
	sc.until("an owner goes on", time.Minute, func() bool {
		return sc.truth.told > told || sc.log.lastClaim > claim && slices.ContainsFunc(sc.servers, speaks)
	})
	archived := sc.ledger.newest[sc.room.uuid] >= round
	flies := sc.room.round == round && sc.room.open && sc.truth.part.Now() < sc.room.ends
	sc.until("the round is over", time.Minute, func() bool { return sc.room.round > round })
	if archived && flies && sc.truth.told == told {
		sc.fail("round %d flies to its end, and its seed is in the archive", round)
	}
}

// seenByGateways cuts the power when nobody bets, and all room servers die. What the next owner says in the place of
// what gateways have is lost on the way, as often as not. In half of the runs the newest claim is in the lost tail, too.
func seenByGateways(sc *scene) {
	rounds := sc.truth.rounds
	sc.until("a round is over", 2*time.Minute, func() bool { return sc.truth.rounds > rounds })
	sc.run(sc.between(0, 3*time.Second))
	if sc.chance(0.5) {
		sc.killOwner()
		sc.awaitOwner()
		sc.run(sc.between(0, 500*time.Millisecond))
	}
	sc.cutPower(sc.between(100*time.Millisecond, time.Second), sc.between(darkFrom, darkTo))
	sc.redis.flush()
	for _, s := range sc.servers {
		s.kill()
		sc.at(sc.log.silent+int64(sc.between(0, time.Second)), s.start)
	}
	sc.at(sc.log.silent, func() { sc.cfg.loss = 0.4 })
	for _, g := range sc.gateways {
		g.link.core += int64(sc.between(0, 5*time.Second))
	}
	sc.run(sc.between(8*time.Second, 15*time.Second))
	sc.cfg.loss = 0
	sc.run(2 * putRightWithin)
}

// bookedLate cuts the power when stakes wait for the ledger, and players leave, so that nobody
// sends their bets again. When the ledger goes on, rounds that do not know them could have
// been played. In half of the runs it answers questions meanwhile.
func bookedLate(sc *scene) {
	bets := sc.flight()
	if sc.ledger.late = sc.now + int64(time.Hour); sc.chance(0.5) {
		sc.ledger.downFor(time.Hour)
	}
	sc.until("stakes are queued", time.Minute, func() bool {
		return slices.ContainsFunc(sc.ledger.queue, func(j *job) bool { return j.booking.Kind == wire.BookStake && !j.done })
	})
	sc.cutPower(sc.between(200*time.Millisecond, time.Second), sc.between(darkFrom, darkTo))
	for _, c := range bets {
		c.answers = []json.RawMessage{}
	}
	for _, g := range sc.gateways {
		g.restart()
	}
	sc.run(sc.between(10*time.Second, 40*time.Second))
	sc.ledger.late = sc.now
	sc.ledger.downFor(0)
	rounds := sc.truth.rounds
	sc.until("rounds go on", 2*time.Minute, func() bool { return sc.truth.rounds >= rounds+2 })
}
