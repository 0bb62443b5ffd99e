package sim

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"tickcast/internal/linear"
	"tickcast/room/crash"
	"tickcast/room/race"
	"tickcast/wire"
)

// player bets, cashes out and cancels, on any gateway, and asks again for answers that
// do not come.
type player struct {
	w    *world
	name string
	keys int
	sent []*command
	bets map[seat]uint64 // confirmed bets: the round
	open int             // commands without an answer

	taps, scored map[heat]int64 // as often as he has tapped, and as he was told
}

type seat struct {
	room string
	slot int
}

// command is one command of a player, however often it is sent.
type command struct {
	wire     wire.Command
	room     string
	id       answerID
	slot     int
	invoked  int64
	acked    bool // it is in the log for certain
	answers  []json.RawMessage
	answer   wire.Answer // the first
	answered int64
}

func newPlayer(w *world, i int) *player {
	p := &player{w: w, name: fmt.Sprint("player-", i), bets: map[seat]uint64{}, taps: map[heat]int64{}, scored: map[heat]int64{}}
	p.stepLater()
	return p
}

func (p *player) stepLater() {
	p.w.after(p.w.between(200*time.Millisecond, 1500*time.Millisecond), func() {
		if !p.w.cfg.idle {
			p.step()
			p.stepLater()
		}
	})
}

// step does what a player might at this moment.
func (p *player) step() {
	g := p.w.gateways[p.w.rnd.IntN(len(p.w.gateways))]
	room := roomName(p.w.rnd.IntN(p.w.cfg.rooms))
	c, slot := g.copyOf(room), p.w.rnd.IntN(2)
	switch n := p.w.rnd.IntN(100); {
	case n < 5 && len(p.sent) > 0: // a second tab, or an old command
		old := p.sent[len(p.sent)-1-p.w.rnd.IntN(min(len(p.sent), 12))]
		for _, g := range p.w.gateways {
			p.send(g, old)
		}
	case n < 7 && len(p.sent) > 0: // the same key with another body
		old := p.sent[len(p.sent)-1]
		p.command(g, old.room, old.wire.Key, old.wire.Op, old.wire.Round+1, string(old.wire.Args))
	case n < 9 && len(p.sent) > 0: // the key of another player
		other := p.w.players[p.w.rnd.IntN(len(p.w.players))]
		if len(other.sent) > 0 {
			old := other.sent[len(other.sent)-1]
			p.command(g, old.room, old.wire.Key, old.wire.Op, old.wire.Round, string(old.wire.Args))
		}
	case n < 11:
		p.command(g, wire.CashierRoom, p.key(), "refill", 0, "")
	case c.phase == "running":
		p.tap(g, room, c.round)
	case c.phase == "betting" && n < 75:
		p.bet(g, room, c.round, slot)
	case c.phase == "betting" && n < 85:
		p.command(g, room, p.key(), "cancel", c.round, slotArgs(slot))
	case c.phase == "flying" && n < 25:
		p.bet(g, room, c.round+1, slot)
	case c.phase == "flying" || c.phase == "crashed": // too late if it has crashed
		if p.bets[seat{room, 1 - slot}] == c.round {
			slot = 1 - slot
		}
		p.command(g, room, p.key(), "cashout", c.round, slotArgs(slot))
	}
}

func slotArgs(slot int) string { return fmt.Sprintf(`{"slot":%d}`, slot) }

func (p *player) key() string {
	p.keys++
	return "k" + strconv.Itoa(p.keys)
}

// bet places a bet that the account may or may not cover, now and then with a target.
func (p *player) bet(g *gateway, room string, round uint64, slot int) *command {
	amount := int64(100 * (1 + p.w.rnd.IntN(40)))
	if p.w.rnd.IntN(20) == 0 {
		amount = grant
	}
	auto := ""
	if p.w.rnd.IntN(3) == 0 {
		auto = fmt.Sprintf(`,"auto":%d`, 101+p.w.rnd.IntN(60))
	}
	return p.command(g, room, p.key(), "bet", round, fmt.Sprintf(`{"slot":%d,"amount":%d%s}`, slot, amount, auto))
}

// heat is a round of a race.
type heat struct {
	room  string
	round uint64
}

// tap tells how often a player has tapped in this round, which now and then is too often.
func (p *player) tap(g *gateway, room string, round uint64) {
	h := heat{room, round}
	p.command(g, room, p.key(), "tap", round, fmt.Sprintf(`{"n":%d}`, p.taps[h]+1+p.w.rnd.Int64N(6)))
}

// command sends a command, unless this very one was sent already.
func (p *player) command(g *gateway, room, key, op string, round uint64, args string) *command {
	c := &command{room: room, invoked: p.w.now, wire: wire.Command{
		Player: p.name, Name: p.name, Guest: true, Key: key, Op: op, Round: round, Args: []byte(args),
	}}
	body := c.wire.BodyHash()
	c.id = answerID{p.name, room, key, string(body[:])}
	if p.w.truth.expects[c.id] {
		return nil
	}
	p.w.truth.expects[c.id] = true
	p.w.truth.keyless[c.id] = op == "tap"
	var tapped struct{ N int64 }
	_ = json.Unmarshal(c.wire.Args, &struct{ Slot *int }{&c.slot})
	_ = json.Unmarshal(c.wire.Args, &tapped)
	p.taps[heat{room, round}] = max(p.taps[heat{room, round}], tapped.N)
	p.sent = append(p.sent, c)
	p.open++
	p.send(g, c)
	return c
}

// send sends a command, and again while it has no answer.
func (p *player) send(g *gateway, c *command) {
	g.submit(p, c)
	if p.w.cfg.broken == givesUp {
		return
	}
	p.w.after(p.w.between(2*time.Second, 5*time.Second), func() {
		if c.answers == nil {
			p.send(p.w.gateways[p.w.rnd.IntN(len(p.w.gateways))], c)
		}
	})
}

// answered takes an answer: the fold's, and the same each time.
func (p *player) answered(c *command, answer json.RawMessage) {
	p.w.note(p.name, answer)
	p.w.truth.answered(c.id, answer)
	c.answers = append(c.answers, answer)
	if len(c.answers) > 1 {
		return
	}
	p.open--
	c.answered = p.w.now
	if err := json.Unmarshal(answer, &c.answer); err != nil {
		p.w.fail("%s gets an answer that is no JSON: %v", p.name, err)
	}
	if !c.answer.OK {
		return
	}
	var result struct{ Centi, Balance, Version, Points int64 }
	_ = json.Unmarshal(c.answer.Result, &result)
	switch c.wire.Op {
	case "bet":
		p.bets[seat{c.room, c.slot}] = c.wire.Round
		p.w.history.reads = append(p.w.history.reads, linear.Operation{
			Account: p.name, Kind: linear.Read, Outcome: linear.Done, Invoke: c.invoked, Return: p.w.now, Balance: result.Balance, Version: result.Version,
		})
	case "tap":
		h := heat{c.room, c.wire.Round}
		p.scored[h] = max(p.scored[h], result.Points)
	case "cashout":
		if p.w.truth.rooms[c.room].over(result.Centi, c.wire.Round) {
			p.w.fail("%s is paid %d hundredths of round %d of %s, which crashed before", p.name, result.Centi, c.wire.Round, c.room)
		}
	}
}

// betID is the ID of the bet that a command makes, written again from its definition.
func (c *command) betID(uuid string) string {
	h := sha256.Sum256([]byte(uuid + "|" + c.wire.Player + "|" + strconv.FormatUint(c.wire.Round, 10) + "|" + c.wire.Key))
	return hex.EncodeToString(h[:16])
}

// operatorNode is where answers to the operator go.
const operatorNode = "api"

// operator makes the rooms and looks after them.
type operator struct {
	w    *world
	link link
	n    int
	done map[string]wire.Answer
}

func newOperator(w *world) *operator {
	o := &operator{w: w, link: link{w: w}, done: map[string]wire.Answer{}}
	for i := range w.cfg.rooms {
		o.act(roomName(i), wire.ActionCreate, encode(wire.CreateArgs{
			UUID: fmt.Sprintf("0190a000-0000-7000-8000-%012d", i), Game: w.gameOf(i), Name: roomName(i), Settings: json.RawMessage(o.settings(i)),
		}))
	}
	return o
}

// gameOf is what a room is: the last ones are races.
func (w *world) gameOf(i int) string {
	if i >= w.cfg.rooms-w.cfg.races {
		return race.Name
	}
	return crash.KindName
}

func roomName(i int) string { return fmt.Sprint("lobby-", i) }

// settings are those of a room: the configured ones, or some with short rounds, of which some fly far.
func (o *operator) settings(i int) string {
	if o.w.cfg.settings != "" {
		return o.w.cfg.settings
	}
	rnd := o.w.rnd
	if o.w.gameOf(i) == race.Name {
		return fmt.Sprintf(`{"gathering_ms":%d,"running_ms":%d,"finished_ms":%d,"max_taps_per_s":%d,"tick_ms":%d}`,
			100+rnd.IntN(500), 300+rnd.IntN(1500), 100+rnd.IntN(200), 1+rnd.IntN(30), 50+rnd.IntN(950))
	}
	limit := 101 + rnd.IntN(12)
	switch n := rnd.IntN(100); {
	case n < 40:
		limit = 105 + rnd.IntN(50)
	case n < 55:
		limit = 150 + rnd.IntN(250)
	case n < 57:
		limit = 100_000
	}
	return fmt.Sprintf(`{"betting_ms":%d,"lock_ms":%d,"crashed_ms":%d,"cap":%d,"tick_ms":%d}`,
		150+rnd.IntN(600), 100+rnd.IntN(200), 100+rnd.IntN(200), limit, 50+rnd.IntN(950))
}

// act performs an action, in the log for certain.
func (o *operator) act(room, op string, args []byte) (id string) {
	o.n++
	id = fmt.Sprint("action-", o.n)
	m := message{kind: wire.KindAction, room: room, id: id, data: encode(wire.Action{ID: id, Operator: "op", ReplyTo: operatorNode, Op: op, Args: args})}
	var try func(ack)
	try = func(a ack) {
		if a.err != nil {
			o.w.log.publish(&o.link, m, 2*time.Second, try)
		}
	}
	try(ack{err: errNoAnswer})
	return id
}

func (o *operator) answered(list []wire.RoutedAnswer) {
	for _, a := range list {
		var answer wire.Answer
		_ = json.Unmarshal(a.Answer, &answer)
		o.done[a.Key] = answer
	}
}
