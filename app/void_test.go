package app_test

import (
	"fmt"
	"testing"

	"tickcast/internal/testkit"
	"tickcast/wire"
)

// soars is a crash point behind 5x that leaves an operator eight seconds.
const soars = 800

// TestVoidInFlight: an operator voids a round behind a cash-out at 5x, and its owner is
// killed in the middle of giving back the other bets.
func TestVoidInFlight(t *testing.T) {
	t.Parallel()
	t.Run("a void after a 5x cash-out leaves that win", func(t *testing.T) {
		m := startMoments(t, "betting_ms=10000", "crashed_ms=100")
		r := m.soaring()
		m.ann.begin("bet", r.Round, betOf{Amount: 1000, Auto: 500}).wantOK(nil)
		m.ann.begin("bet", r.Round, betOf{Slot: 1, Amount: 2000}).wantOK(nil)
		m.everybodyBets(r, 0)
		m.reading(r, 501)
		again := m.killAtRecord(wire.KindResult, `"cancel/`)
		m.void()
		again()
		m.wantSettled()

		ofRound := fmt.Sprintf(`FROM bets b JOIN ends e ON e.bet = b.id JOIN transfers t ON t.id = e.transfer WHERE b.round = %d`, r.Round)
		m.wantRows("ends of bets in the round", 2*bettors+2, `SELECT COUNT(*) `+ofRound)
		m.wantRows("the win is left", 1, `SELECT COUNT(*) `+ofRound+` AND b.player = 'ann' AND e.kind = 'payout' AND e.centi = 500 AND t.amount = 5000`)
		m.wantRows("stakes that came back", 2*bettors+1, `SELECT COUNT(*) `+ofRound+` AND e.kind = 'cancel' AND t.kind = 'cancel' AND t.amount = b.stake`)
		m.wantRows("who won has the win", 104_000, `SELECT balance FROM accounts WHERE id = 'ann'`)
		m.wantRows("the others have what they had", bettors, `SELECT COUNT(*) FROM accounts WHERE kind = 'player' AND id <> 'ann' AND balance = 100000`)
		wantSame(t, append([]*recorder{m.watch, m.ann}, m.crowd...)...)
		m.wantNoDifference()
	})
}

// soaring voids rounds until one begins that soars, and returns that.
func (m *moments) soaring() recordedRound {
	m.t.Helper()
	for last := uint64(0); ; m.void() {
		var now recordedRound
		testkit.Eventually(m.t, "another round", deadline, func() bool {
			now, _ = m.watch.now()
			return now.Phase == "betting" && now.Round > last
		})
		if last = now.Round; m.point(now) >= soars {
			return now
		}
	}
}

// void has an operator void the round that is on.
func (m *moments) void() {
	m.t.Helper()
	m.run("rooms", "void", m.room, "--api", m.gateways[0].internal)
	m.rounds++
}
