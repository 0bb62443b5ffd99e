package bench

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws/wsutil"

	"tickcast/internal/testkit"
)

// table is a room with one player, whose commands the test answers.
type table struct {
	*testing.T
	players
	conn net.Conn
}

// newTable seats a player in a room whose snapshot names a phase.
func newTable(t *testing.T, game, phase string) *table {
	t.Helper()
	f := newFeeder(t)
	d := Dialect{Messages: [][]string{{`{"type":"hello"}`, `{"type":"join"}`}}}
	p, err := startPlayers(t.Context(), program(t, "players"), crowd{dir: t.TempDir(), port: f.port, connections: 1}, "room", game, d)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	tb := &table{t, p, f.accept()}
	tb.wantMessage("hello")
	tb.wantMessage("join")
	tb.tell(`{"type":"joined","room":"room","snapshot":{"phase":%q,"round":7}}`, phase)
	ready(t, p.client)
	return tb
}

func (tb *table) tell(format string, args ...any) {
	tb.Helper()
	send(tb.T, tb.conn, textFrame(fmt.Sprintf(format, args...)))
}

// message is what a player sends.
type message struct {
	Type, Key, Op string
	Round         uint64
	Args          json.RawMessage
}

func (tb *table) wantMessage(kind string) (m message) {
	tb.Helper()
	_ = tb.conn.SetReadDeadline(time.Now().Add(deadline))
	b, err := wsutil.ReadClientText(tb.conn)
	if err != nil {
		tb.Fatalf("no %s: %v", kind, err)
	}
	if err := json.Unmarshal(b, &m); err != nil || m.Type != kind {
		tb.Fatalf("%s, %v; want a message %s", b, err, kind)
	}
	return m
}

func (tb *table) wantCommand(op, args string, round uint64) message {
	tb.Helper()
	m := tb.wantMessage("cmd")
	if m.Op != op || string(m.Args) != args || m.Round != round {
		tb.Fatalf("%+v with %s; want %s %s in round %d", m, m.Args, op, args, round)
	}
	return m
}

func (tb *table) accept(key string) {
	tb.Helper()
	tb.tell(`{"type":"answer","room":"room","key":%q,"ok":true,"result":{}}`, key)
}

func (tb *table) refuse(key, code string) {
	tb.Helper()
	tb.tell(`{"type":"answer","room":"room","key":%q,"ok":false,"error":{"code":%q,"message":"no"}}`, key, code)
}

func (tb *table) do(err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// counted waits until the players have counted what ok wants.
func (tb *table) counted(what string, ok func(PlayersReport) bool) (r PlayersReport) {
	tb.Helper()
	testkit.Eventually(tb.T, what, deadline, func() (done bool) {
		var err error
		r, err = tb.report(tb.Context())
		tb.do(err)
		return ok(r)
	})
	return r
}

func TestPlayersHaveOneCommandOnItsWay(t *testing.T) {
	tb := newTable(t, "race", "running")
	tb.do(tb.tap(0))
	first := tb.wantCommand("tap", `{"n":1}`, 7)
	tb.accept(first.Key)
	second := tb.wantCommand("tap", `{"n":2}`, 7)
	if first.Key == second.Key {
		t.Fatalf("two commands with the key %s", first.Key)
	}
	tb.refuse(second.Key, "too_fast")
	tb.wantCommand("tap", `{"n":3}`, 7)
	r := tb.counted("two answers", func(r PlayersReport) bool { return r.Tap.Answered == 2 })
	if r.Tap.Sent != 3 || r.Tap.OK != 1 || r.Refused["too_fast"] != 1 || r.Outstanding != 1 {
		t.Errorf("%+v", r)
	}
}

func TestPlayersNoticeWrongAnswers(t *testing.T) {
	for _, c := range []struct {
		why     string
		keys    func(first, second string) []string
		doubled uint64
		stray   uint64
	}{
		{"the answer twice", func(first, _ string) []string { return []string{first} }, 1, 0},
		{"no number", func(string, string) []string { return []string{"key"} }, 0, 1},
		{"another player's", func(string, string) []string { return []string{"1-1"} }, 0, 1},
		{"a command that was never sent", func(string, string) []string { return []string{"0-9"} }, 0, 1},
		{"all of them", func(first, _ string) []string { return []string{"0-0", first, "key", first} }, 2, 2},
	} {
		t.Run(c.why, func(t *testing.T) {
			tb := newTable(t, "race", "running")
			tb.do(tb.tap(0))
			first := tb.wantCommand("tap", `{"n":1}`, 7)
			tb.accept(first.Key)
			second := tb.wantCommand("tap", `{"n":2}`, 7)
			for _, key := range c.keys(first.Key, second.Key) {
				tb.accept(key)
			}
			r := tb.counted("the wrong answers", func(r PlayersReport) bool { return r.Doubled+r.Stray == c.doubled+c.stray })
			if r.Doubled != c.doubled || r.Stray != c.stray || r.Outstanding != 1 || r.Fault() == "" {
				t.Errorf("%d doubled, %d stray, fault %q; want %d, %d: %+v", r.Doubled, r.Stray, r.Fault(), c.doubled, c.stray, r)
			}
		})
	}
}

// TestPlayersCountFromWhenACommandWasDue keeps the first answer back: the commands that were due meanwhile waited
// as well, though they were not sent.
func TestPlayersCountFromWhenACommandWasDue(t *testing.T) {
	const late = 200 * time.Millisecond
	tb := newTable(t, "race", "running")
	tb.do(tb.tap(100))
	first := tb.wantCommand("tap", `{"n":1}`, 7)
	began := time.Now() // the first command was due before, the other nine within 100 ms of it
	testkit.Eventually(t, "the answer is late", deadline, func() bool { return time.Since(began) >= late })
	tb.accept(first.Key)
	for n := 2; n <= 10; n++ {
		tb.accept(tb.wantCommand("tap", fmt.Sprintf(`{"n":%d}`, n), 7).Key)
	}
	r := tb.counted("ten answers", func(r PlayersReport) bool { return r.Tap.Answered >= 10 })
	if r.Tap.P50 < late/2 {
		t.Errorf("half of the answers took less than %v of at least %v", r.Tap.P50, late/2)
	}
}

func TestPlayersBetAndCashOut(t *testing.T) {
	for _, under := range []string{"betting", "crashed"} { // way when they are told to play: too late to bet in, or over
		t.Run(under, func(t *testing.T) {
			began := time.Now()
			tb := newTable(t, "crash", under)
			tb.do(tb.bet(1))
			tb.counted("that they play, before what comes on the socket", func(PlayersReport) bool { return true })
			if under == "betting" {
				tb.enter("flying", 7)
				tb.enter("crashed", 7)
			}
			tb.enter("betting", 8)
			tb.accept(tb.wantCommand("bet", `{"slot":0,"amount":100}`, 8).Key)
			second := tb.wantCommand("bet", `{"slot":1,"amount":100}`, 8)
			tb.enter("locked", 8)
			tb.accept(second.Key)
			tb.enter("flying", 8)
			tb.accept(tb.wantCommand("cashout", `{"slot":0}`, 8).Key)
			late := tb.wantCommand("cashout", `{"slot":1}`, 8)
			tb.enter("crashed", 8)
			tb.wantRound(8)
			tb.enter("betting", 9) // which was not asked for
			tb.refuse(late.Key, "too_late")
			tb.do(tb.rest(t.Context()))
			r := tb.counted("four answers", func(r PlayersReport) bool { return r.Bet.Answered+r.Cashout.Answered == 4 })
			if r.Bet.Sent != 2 || r.Bet.OK != 2 || r.Cashout.OK != 1 || r.Refused["too_late"] != 1 || r.Fault() != "" {
				t.Errorf("%+v, fault %q", r, r.Fault())
			}
			if took := time.Since(began); r.Bet.Span <= 0 || r.Cashout.Span <= 0 || r.Bet.Span > took || r.Cashout.Span > took {
				t.Errorf("no time for bets or cash-outs, or more than %v: %+v", took, r)
			}
		})
	}
}

// enter has the room begin a phase.
func (tb *table) enter(phase string, round int) {
	tb.Helper()
	tb.tell(`{"type":"update","seq":1,"events":[{"e":"phase","phase":%q,"round":%d}]}`, phase, round)
}

// wantRound wants a round to be the next one that the players say is over.
func (tb *table) wantRound(round uint64) {
	tb.Helper()
	var over struct{ Round uint64 }
	tb.do(tb.hear(tb.Context(), "round", &over))
	if over.Round != round {
		tb.Fatalf("round %d is over, not %d", over.Round, round)
	}
}

func TestPlayersEndWithAConnection(t *testing.T) {
	tb := newTable(t, "race", "gathering")
	_ = tb.conn.Close()
	if err := tb.rounds(t.Context(), 1); err == nil || !strings.Contains(err.Error(), "the connection of a player ended") {
		t.Errorf("%v", err)
	}
}
