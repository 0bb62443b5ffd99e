package loadtest

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"tickcast/wire"
)

// player drives one bot at its table as a server would, without a network.
type player struct {
	t *testing.T
	b *bot
	l *link
	n uint64 // last update
}

// newPlayer seats a bot in a room that plays game, in the given phase.
func newPlayer(t *testing.T, game, phase string) *player {
	s := testSwarm(t, Config{Rooms: []string{"lobby"}, Behaviour: Behaviour{BetProbability: -1, SecondBetProbability: -1, AutoProbability: -1, CancelProbability: -1}})
	p := &player{t: t, b: s.bots[0], l: testLink(s.bots[0])}
	p.says(`{"type":"welcome","protocol":1,"session":"s","gateway":"g","player":{"id":"p","name":"p"}}`)
	p.says(`{"type":"balance","amount":10000,"version":1}`)
	p.says(`{"type":"joined","id":%d,"room":"lobby","source":"snapshot","position":{"log":"l","seq":0},"epoch":1,"snapshot":
		{"game":%q,"phase":%q,"round":7,"settings":{"rtp_bp":9900,"cap":1000,"max_win":1000000,"min_stake":100,"max_taps_per_s":50}}}`, p.b.ids, game, phase)
	return p
}

func (p *player) says(format string, args ...any) {
	p.t.Helper()
	raw := fmt.Appendf(nil, format, args...)
	h, err := readHead(raw)
	if err != nil {
		p.t.Fatal(err)
	}
	p.b.mu.Lock()
	p.b.dispatch(p.l, h, raw, time.Second)
	p.b.after = nil // there is nobody to send to
	p.b.mu.Unlock()
}

func (p *player) event(format string, args ...any) {
	p.t.Helper()
	p.n++
	p.says(`{"type":"update","room":"lobby","seq":%d,"t":%d,"events":[%s]}`, p.n, p.n, fmt.Sprintf(format, args...))
}

// bets places a bet on slot 0 of round 7 and has it booked.
func (p *player) bets(stake, auto int64) *bet {
	p.t.Helper()
	t := p.b.seats[0].table.(*crashTable)
	b := &bet{betPlace: betPlace{7, 0}, stake: stake, auto: auto}
	cmd := t.ask(command{op: opBet, round: 7, stake: stake, auto: auto}, `{}`)
	t.bets[b.betPlace] = b
	p.says(`{"type":"answer","room":"lobby","key":%q,"ok":true,"result":{"slot":0,"stake":%d,"auto":%d,"round":7,"balance":%d,"version":2}}`, cmd.key, stake, auto, 10000-stake)
	return b
}

// asks sends a command for the bet and gives it the answer.
func (p *player) asks(op string, b *bet, answer string) {
	p.t.Helper()
	t := p.b.seats[0].table.(*crashTable)
	switch op {
	case opCashOut:
		t.cashOut(b, 0)
	case opCancel:
		t.cancel(b, 0)
	}
	if b.asking == nil {
		p.t.Fatalf("the bot did not ask for %s", op)
	}
	p.says(`{"type":"answer","room":"lobby","key":%q,%s}`, b.asking.key, answer)
}

const (
	flying  = `{"e":"phase","phase":"flying","round":7,"start":1}`
	crashed = `{"e":"phase","phase":"crashed","round":7,"start":1,"end":2,"centi":%d}`
)

// betCase is a bet's life and what the bot must make of it.
type betCase struct {
	name    string
	want    string // findings
	balance int64  // expected in the end, -1 when it cannot be known
	do      func(p *player)
}

func judgeBets(t *testing.T, cases []betCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := newPlayer(t, gameCrash, phaseBetting)
			c.do(p)
			wantFindings(t, c.name, p.b.s.check.findings, c.want)
			if p.b.openBets() {
				t.Error("the bet has no end")
			}
			if p.b.books.unsure != (c.balance < 0) || (c.balance >= 0 && p.b.books.expected != c.balance) {
				t.Errorf("expects a balance of %d (unsure %t), want %d", p.b.books.expected, p.b.books.unsure, c.balance)
			}
		})
	}
}

func TestBetsThatFlyAreJudged(t *testing.T) {
	judgeBets(t, []betCase{
		{"lost", "", 9000, func(p *player) { p.bets(1000, 0); p.event(flying); p.event(crashed, 200) }},
		{"cashed out", "", 10500, func(p *player) {
			b := p.bets(1000, 0)
			p.event(flying)
			p.asks(opCashOut, b, `"ok":true,"result":{"slot":0,"round":7,"centi":150,"payout":1500}`)
			p.event(crashed, 150)
		}},
		{"too late", "", 9000, func(p *player) {
			b := p.bets(1000, 0)
			p.event(flying)
			p.asks(opCashOut, b, `"ok":false,"error":{"code":"too_late","message":"m"}`)
			p.event(crashed, 150)
		}},
		{"paid above the crash point", "rules 1", 10500, func(p *player) {
			b := p.bets(1000, 0)
			p.event(flying)
			p.asks(opCashOut, b, `"ok":true,"result":{"slot":0,"round":7,"centi":150,"payout":1500}`)
			p.event(crashed, 149)
		}},
		{"paid wrongly", "rules 1", 10501, func(p *player) {
			b := p.bets(1000, 0)
			p.event(flying)
			p.asks(opCashOut, b, `"ok":true,"result":{"slot":0,"round":7,"centi":150,"payout":1501}`)
			p.event(crashed, 200)
		}},
		{"target at the crash point", "", 11000, func(p *player) { p.bets(1000, 200); p.event(flying); p.event(crashed, 200) }},
		{"target over the crash point", "", 9000, func(p *player) { p.bets(1000, 201); p.event(flying); p.event(crashed, 200) }},
		{"target told exactly", "", 11000, func(p *player) {
			p.bets(1000, 200)
			p.event(flying)
			p.says(`{"type":"notice","room":"lobby","event":{"e":"out","slot":0,"round":7,"centi":200,"payout":2000,"auto":true}}`)
			p.event(crashed, 300)
		}},
		{"target paid below", "rules 1", 10990, func(p *player) {
			p.bets(1000, 200)
			p.event(flying)
			p.says(`{"type":"notice","room":"lobby","event":{"e":"out","slot":0,"round":7,"centi":199,"payout":1990,"auto":true}}`)
			p.event(crashed, 300)
		}},
		{"target paid though never reached", "rules 2", 11000, func(p *player) {
			p.bets(1000, 200)
			p.event(flying)
			p.says(`{"type":"notice","room":"lobby","event":{"e":"out","slot":0,"round":7,"centi":200,"payout":2000,"auto":true}}`)
			p.event(crashed, 199)
		}},
		{"paid after it was lost", "rules 1", 9000, func(p *player) {
			p.bets(1000, 0)
			p.event(flying)
			p.event(crashed, 300)
			p.says(`{"type":"notice","room":"lobby","event":{"e":"out","slot":0,"round":7,"centi":200,"payout":2000}}`)
		}},
		{"lost after it was paid", "rules 1", 11000, func(p *player) {
			p.bets(1000, 200)
			p.event(flying)
			p.event(crashed, 300)
			p.says(`{"type":"notice","room":"lobby","event":{"e":"lost","slot":0,"round":7,"stake":1000}}`)
		}},
	})
}

func TestBetsThatEndOtherwiseAreJudged(t *testing.T) {
	judgeBets(t, []betCase{
		{"at the cap", "", 19000, func(p *player) { p.bets(1000, 0); p.event(flying); p.event(crashed, 1000) }},
		{"limited, unknown how", "", -1, func(p *player) { p.bets(500_000, 0); p.event(flying); p.event(crashed, 900) }},
		{"cancelled", "", 10000, func(p *player) {
			b := p.bets(1000, 0)
			p.asks(opCancel, b, `"ok":true,"result":{"slot":0,"round":7}`)
			p.event(crashed, 900)
		}},
		{"cancel says no bet", "rules 1", 9000, func(p *player) {
			b := p.bets(1000, 0)
			p.asks(opCancel, b, `"ok":false,"error":{"code":"no_bet","message":"m"}`)
			p.event(crashed, 900)
		}},
		{"voided", "", 10000, func(p *player) { p.bets(1000, 0); p.event(flying); p.event(`{"e":"void","round":7}`) }},
		{"cashed out, then voided", "", 10500, func(p *player) {
			b := p.bets(1000, 0)
			p.event(flying)
			p.asks(opCashOut, b, `"ok":true,"result":{"slot":0,"round":7,"centi":150,"payout":1500}`)
			p.event(`{"e":"void","round":7}`)
		}},
		{"voided with a target", "", -1, func(p *player) { p.bets(1000, 200); p.event(flying); p.event(`{"e":"void","round":7}`) }},
		{"two ends of a round", "rules 1", 9000, func(p *player) { p.bets(1000, 0); p.event(crashed, 200); p.event(crashed, 201) }},
		{"answer without result or error", "answers 1", 9000, func(p *player) {
			b := p.bets(1000, 0)
			p.event(flying)
			p.asks(opCashOut, b, `"ok":false`)
			p.event(crashed, 200)
		}},
	})
}

func TestCommandsHaveOneAnswer(t *testing.T) {
	ok := func(key, result string) *wire.Answer {
		return &wire.Answer{Room: "lobby", Key: key, OK: true, Result: json.RawMessage(result)}
	}
	no := func(key string, code wire.Code) *wire.Answer {
		return &wire.Answer{Room: "lobby", Key: key, Error: wire.Errorf(code, "no")}
	}
	for _, c := range []struct {
		name string
		want string
		do   func(c *commands, cmd *command)
	}{
		{"answered", "", func(c *commands, _ *command) { c.onAnswer(ok("k", "{}")) }},
		{"not answered", "answers 1", func(*commands, *command) {}},
		{"answered twice", "answers 1", func(c *commands, _ *command) { c.onAnswer(ok("k", "{}")); c.onAnswer(ok("k", "{}")) }},
		{"sent twice, answered twice", "", func(c *commands, cmd *command) {
			c.sent(cmd, nil, 0)
			c.onAnswer(ok("k", `{"a":1}`))
			c.onAnswer(ok("k", `{ "a": 1 }`))
		}},
		{"sent twice, answered once", "", func(c *commands, cmd *command) { c.sent(cmd, nil, 0); c.onAnswer(ok("k", "{}")) }},
		{"sent twice, answered differently", "answers 1", func(c *commands, cmd *command) {
			c.sent(cmd, nil, 0)
			c.onAnswer(ok("k", `{"a":1}`))
			c.onAnswer(ok("k", `{"a":2}`))
		}},
		{"sent twice, refused and done", "answers 1", func(c *commands, cmd *command) {
			c.sent(cmd, nil, 0)
			c.onAnswer(no("k", wire.CodeTooLate))
			c.onAnswer(ok("k", `{}`))
		}},
		{"temporary, then definite", "", func(c *commands, cmd *command) {
			c.onAnswer(no("k", wire.CodeUnavailable))
			c.sent(cmd, nil, 0)
			c.onAnswer(ok("k", `{}`))
		}},
		{"temporary, asked again, silence", "answers 1", func(c *commands, cmd *command) {
			c.onAnswer(no("k", wire.CodeUnavailable))
			c.sent(cmd, nil, 0)
		}},
		{"temporary only", "", func(c *commands, _ *command) { c.onAnswer(no("k", wire.CodeBusy)) }},
		{"nobody asked", "answers 1", func(c *commands, _ *command) { c.onAnswer(ok("k", "{}")); c.onAnswer(ok("other", "{}")) }},
		{"ok with an error", "answers 1", func(c *commands, _ *command) {
			a := no("k", wire.CodeTooLate)
			a.OK = true
			c.onAnswer(a)
		}},
		{"sent again just before the end", "", func(c *commands, cmd *command) { c.sent(cmd, nil, 59*time.Second) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			check := newChecker(time.Now())
			cs := &commands{check: check}
			cmd := &command{room: "lobby", key: "k", op: opBet}
			cs.add(cmd)
			cs.sent(cmd, nil, 0)
			c.do(cs, cmd)
			cs.finish(59500*time.Millisecond, time.Second)
			wantFindings(t, c.name, check.findings, c.want)
		})
	}
}

func TestBooks(t *testing.T) {
	check := newChecker(time.Now())
	b := &books{check: check}
	b.tell(1000, 5)
	b.change(-300)
	if b.agrees() {
		t.Error("agrees before the balance was told")
	}
	b.tell(700, 7)
	b.tell(1000, 6) // overtaken
	if !b.agrees() || check.get(countOldBalance) != 1 {
		t.Errorf("%+v", b)
	}
	b.finish(false)
	wantFindings(t, "books that agree", check.findings, "")
	b.tell(701, 7)
	wantFindings(t, "one version, two amounts", check.findings, "books 1")
	b.change(1)
	b.finish(false)
	wantFindings(t, "books that do not agree", check.findings, "books 2")
	b.finish(true)
	wantFindings(t, "open bets", check.findings, "books 2")
}

func TestRaceIsJudged(t *testing.T) {
	for _, c := range []struct {
		name, want, points, result string
	}{
		{"honest", "", `{"points":3}`, `{"player":"p","points":3}`},
		{"points of more taps than sent", "rules 2", `{"points":4}`, `{"player":"p","points":4}`},
		{"points below the tap", "rules 1", `{"points":2}`, `{"player":"p","points":3}`},
		{"result below the answer", "rules 1", `{"points":3}`, `{"player":"p","points":2}`},
		{"not in the result", "rules 1", `{"points":3}`, `{"player":"q","points":9}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPlayer(t, gameRace, "gathering")
			p.event(`{"e":"phase","phase":"running","round":7,"start":1,"end":2}`)
			r := p.b.seats[0].table.(*raceTable)
			r.flying++
			r.sent = 3
			cmd := r.ask(command{op: opTap, round: 7, taps: 3}, `{"n":3}`)
			p.says(`{"type":"answer","room":"lobby","key":%q,"ok":true,"result":%s}`, cmd.key, c.points)
			p.event(`{"e":"phase","phase":"finished","round":7,"start":1,"end":2,"players":1,"top":[%s]}`, c.result)
			wantFindings(t, c.name, p.b.s.check.findings, c.want)
		})
	}
}

func TestPointsAtAJoin(t *testing.T) {
	const answered = 5 * time.Second
	for _, c := range []struct {
		name, want, you string
		asked           time.Duration
	}{
		{"as answered", "", `{"points":3,"round":7}`, answered + 1},
		{"answered points are missing", "rules 1", `{"points":2,"round":7}`, answered + 1},
		{"an answer overtook the join", "", `{"points":2,"round":7}`, answered},
		{"more than was sent", "rules 1", `{"points":5,"round":7}`, answered},
		{"another round", "", `{"points":9,"round":6}`, answered + 1},
		{"none", "", `null`, answered + 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPlayer(t, gameRace, "gathering")
			p.event(`{"e":"phase","phase":"running","round":7,"start":1,"end":2}`)
			r := p.b.seats[0].table.(*raceTable)
			r.sent, r.acked, r.ackedAt = 4, 3, answered
			r.onYou(json.RawMessage(c.you), c.asked)
			wantFindings(t, c.name, p.b.s.check.findings, c.want)
		})
	}
}
