package web_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/chromedp/chromedp"

	"tickcast/wire"
)

// log waits until the client has logged what is wanted, and nothing else.
func (p *peer) log(why string, want ...string) {
	p.t.Helper()
	p.tab.until(why, fmt.Sprintf("log.length >= %d", len(want)))
	if got := eval[[]string](p.tab, why, `log.splice(0)`); !slices.Equal(got, want) {
		p.t.Fatalf("%s: the page saw\n%q, want\n%q", why, got, want)
	}
}

func TestClientResumesByPosition(t *testing.T) {
	p := newPeer(t, `follow('lobby'); client.connect()`)
	c := p.next("first connection")
	if m := c.welcome("P2.1"); m.Token != "token-1" || m.Session != "" || m.Protocol != 1 {
		t.Fatalf("first hello: %+v", m)
	}
	if m := c.joined("first join", false, wire.Position{Log: "L", Seq: 40}); m.Position != nil {
		t.Fatalf("first join names a position: %+v", m)
	}
	c.send(update(41))
	c.send(update(42))
	p.log("updates in order", "snapshot 40", "update 41", "update 42")

	c.hangUp(wire.CloseShutdown)
	c = p.next("P6.5: 3001 advises to come back")
	if m := c.welcome("second hello"); m.Session != "s1" {
		t.Fatalf("the session is not resumed: %+v", m)
	}
	m := c.joined("second join", true, wire.Position{Log: "L", Seq: 42})
	if m.Position == nil || *m.Position != (wire.Position{Log: "L", Seq: 42}) {
		t.Fatalf("P3.1: the join names position %+v", m.Position)
	}
	c.send(update(43))
	p.log("P3.2: no snapshot, then what was missed", "you", "update 43")
}

func TestClientTakesASnapshotOfAnotherLog(t *testing.T) {
	p := newPeer(t, `follow('lobby'); client.connect()`)
	c := p.next("first connection")
	c.welcome("hello")
	c.joined("join", false, wire.Position{Log: "L", Seq: 40})
	p.log("snapshot", "snapshot 40")
	c.hangUp(1001)
	c = p.next("1001 advises to come back")
	c.welcome("hello")
	c.joined("join", false, wire.Position{Log: "M", Seq: 2})
	c.send(update(3))
	p.log("P3.12: another log begins again", "snapshot 2", "update 3")
}

func TestClientDropsAConnectionWithAGap(t *testing.T) {
	p := newPeer(t, `follow('lobby'); client.connect()`)
	c := p.next("first connection")
	c.welcome("hello")
	c.joined("join", false, wire.Position{Log: "L", Seq: 40})
	c.send(update(41))
	c.send(update(41))
	c.send(update(43))
	c.wantClosed("P3.3: a gap ends the connection")
	p.log("a doubled update is taken once, nothing behind the gap is", "snapshot 40", "update 41")
	c = p.next("and brings the client back")
	c.welcome("hello")
	m := c.joined("join", true, wire.Position{Log: "L", Seq: 41})
	if m.Position == nil || m.Position.Seq != 41 {
		t.Fatalf("resumes at %+v", m.Position)
	}
	c.send(update(42))
	c.send(update(43))
	p.log("nothing is missing", "you", "update 42", "update 43")
}

func TestClientMovesWithoutABreak(t *testing.T) {
	p := newPeer(t, `follow('lobby'); client.connect()`)
	old := p.next("first connection")
	old.welcome("hello")
	old.joined("join", false, wire.Position{Log: "L", Seq: 40})
	old.send(`{"type":"move","within_ms":50}`)
	c := p.next("P6.3: a second socket")
	if m := c.welcome("hello on it"); m.Session != "s1" {
		t.Fatalf("the session is not taken along: %+v", m)
	}
	old.send(update(41)) // the old socket still counts
	join := c.want("join on it", wire.TypeJoin)
	p.log("so far", "snapshot 40", "update 41")
	b, _ := json.Marshal(wire.Joined{Type: wire.TypeJoined, ID: join.ID, Room: "lobby", Recovered: true, Position: *join.Position, Epoch: 1, Players: 1})
	c.send(string(b))
	old.wantClosed("the old socket is let go")
	for seq := join.Position.Seq + 1; seq <= 43; seq++ {
		c.send(update(seq))
	}
	p.log("each update once", "you", "update 42", "update 43")
	if got := eval[string](p.tab, "state", `states.join(' ')`); got != "connecting online" {
		t.Fatalf("states %q: the player noticed", got)
	}
}

func TestClientIgnoresAnOlderSnapshotWhenItMoves(t *testing.T) {
	p := newPeer(t, `follow('lobby'); client.connect()`)
	old := p.next("first connection")
	old.welcome("hello")
	old.joined("join", false, wire.Position{Log: "L", Seq: 40})
	old.send(update(41))
	old.send(update(42))
	p.log("so far", "snapshot 40", "update 41", "update 42")
	old.send(`{"type":"move","within_ms":10}`)
	c := p.next("a second socket")
	c.welcome("hello")
	join := c.want("join on it", wire.TypeJoin)
	old.send(update(43))
	old.send(update(44))
	p.log("the old socket goes on", "update 43", "update 44")
	b, _ := json.Marshal(wire.Joined{Type: wire.TypeJoined, ID: join.ID, Room: "lobby", Position: wire.Position{Log: "L", Seq: 43}, Epoch: 1, Players: 1, Snapshot: json.RawMessage(`{}`)})
	c.send(string(b))
	old.wantClosed("the old socket is let go")
	c.send(update(44))
	c.send(update(45))
	p.log("what is known is not taken back", "you", "update 45")
}

// P3.12: a log that lost its tail uses the numbers again. Where nobody but a gateway noticed, it has its name still.
func TestClientTakesBackALostTail(t *testing.T) {
	for _, resumes := range []bool{false, true} {
		t.Run(fmt.Sprintf("resumes: %t", resumes), func(t *testing.T) {
			p := newPeer(t, `follow('lobby'); client.connect()`)
			c := p.next("connection")
			c.welcome("hello")
			c.joined("join", false, wire.Position{Log: "L", Seq: 40})
			c.send(update(41))
			c.send(update(42))
			if resumes {
				p.log("so far", "snapshot 40", "update 41", "update 42")
				c.hangUp(wire.CloseSlow)
				c = p.next("second connection")
				c.welcome("hello")
				c.joined("from a position that the log does not have", false, wire.Position{Log: "L", Seq: 41})
			} else {
				c.send(`{"type":"joined","room":"lobby","recovered":false,"position":{"log":"L","seq":41},"epoch":1,"t":5,"snapshot":{},"players":1}`)
			}
			c.send(update(42))
			c.send(update(43))
			want := []string{"snapshot 41", "update 42", "update 43"}
			if !resumes {
				want = append([]string{"snapshot 40", "update 41", "update 42"}, want...)
			}
			p.log("numbers are used again", want...)
		})
	}
}

func TestClientRepeatsACommandUnderItsKey(t *testing.T) {
	p := newPeer(t, `follow('lobby'); client.connect()`)
	c := p.next("first connection")
	c.welcome("hello")
	c.joined("join", false, wire.Position{Log: "L", Seq: 0})
	p.log("joined", "snapshot 0")
	eval[chromedp.Void](p.tab, "bet", `void (window.answer = client.command('lobby', 'bet', {round: 7, args: {slot: 0, amount: 1000}}).catch((e) => e))`)
	first := c.want("the command", wire.TypeCmd)
	c.hangUp(wire.CloseSlow)
	c = p.next("second connection")
	c.welcome("hello")
	c.joined("nothing is sent before the room is joined", true, wire.Position{Log: "L", Seq: 0})
	second := c.want("P4.4: the command again", wire.TypeCmd)
	if first.Key != second.Key || string(first.Args) != string(second.Args) || first.Round != second.Round {
		t.Fatalf("P4.3: first %+v, then %+v", first, second)
	}
	c.send(`{"type":"answer","room":"lobby","key":"` + first.Key + `","ok":false,"error":{"code":"unavailable","message":"","temporary":true}}`)
	third := c.want("P4.5: not known yet, asked again", wire.TypeCmd)
	if third.Key != first.Key {
		t.Fatalf("another key: %+v", third)
	}
	c.send(`{"type":"answer","room":"lobby","key":"` + first.Key + `","ok":true,"result":{"slot":0,"stake":1000}}`)
	c.send(`{"type":"answer","room":"lobby","key":"` + first.Key + `","ok":false,"error":{"code":"conflict","message":""}}`)
	if got := eval[int](p.tab, "result", `answer.then((r) => r.stake)`); got != 1000 {
		t.Fatalf("answer: stake %d", got)
	}
	p.log("events of the recovery", "you")
}

func TestClientRejectsARefusedCommand(t *testing.T) {
	p := newPeer(t, `follow('lobby'); client.connect()`)
	c := p.next("connection")
	c.welcome("hello")
	c.joined("join", false, wire.Position{Log: "L", Seq: 0})
	p.tab.until("joined", `client.live('lobby')`)
	eval[chromedp.Void](p.tab, "cash out", `void (window.answer = client.command('lobby', 'cashout', {round: 7, args: {slot: 0}}).catch((e) => e))`)
	m := c.want("the command", wire.TypeCmd)
	c.send(`{"type":"answer","room":"lobby","key":"` + m.Key + `","ok":false,"error":{"code":"too_late","message":"it crashed"}}`)
	if got := eval[string](p.tab, "error", `answer.then((e) => e.code + ' ' + e.message + ' ' + e.temporary)`); got != "too_late it crashed false" {
		t.Fatalf("rejected with %q", got)
	}
}

func TestClientStaysAwayWhenTold(t *testing.T) {
	p := newPeer(t, `client.connect()`)
	c := p.next("connection")
	c.want("hello", wire.TypeHello)
	c.send(`{"type":"error","code":"invalid_token","message":"bad signature"}`)
	c.hangUp(wire.CloseInvalidToken)
	p.tab.until("P6.5: 3500 ends it", `client.status.state === 'ended'`)
	if got := eval[string](p.tab, "why", `client.status.code + ' ' + client.status.error.code`); got != "3500 invalid_token" {
		t.Fatalf("ended with %q", got)
	}
	eval[chromedp.Void](p.tab, "wake", `void client.wake()`)
	if got := eval[string](p.tab, "state", `client.status.state`); got != "ended" {
		t.Fatalf("it came back: %s", got)
	}
}

func TestClientTakesAFreshTokenAfterExpiry(t *testing.T) {
	p := newPeer(t, `client.connect()`)
	c := p.next("connection")
	c.welcome("hello")
	c.hangUp(wire.CloseExpired)
	c = p.next("3005 advises to come back")
	if m := c.welcome("hello"); m.Token != "token-2-fresh" {
		t.Fatalf("token %q", m.Token)
	}
}

func TestClientWaitsAsLongAsTheServerSays(t *testing.T) {
	p := newPeer(t, `client.connect()`)
	c := p.next("connection")
	c.want("hello", wire.TypeHello)
	c.send(`{"type":"retry","after_ms":123456}`)
	c.hangUp(wire.CloseOverCapacity)
	p.tab.until("waiting", `client.status.state === 'waiting'`)
	eval[chromedp.Void](p.tab, "wake", `void client.wake()`)
	if got := eval[float64](p.tab, "P6.4", `client.status.state === 'waiting' && client.status.retryIn`); got != 123456 {
		t.Fatalf("waits %v ms", got)
	}
}

func TestClientAnswersPingsWithWhatItApplied(t *testing.T) {
	p := newPeer(t, `follow('lobby'); client.connect()`)
	c := p.next("connection")
	c.welcome("hello")
	c.joined("join", false, wire.Position{Log: "L", Seq: 40})
	c.send(update(41))
	c.send(`{"type":"ping","id":9,"now":1}`)
	m := c.want("P6.1", wire.TypePong)
	if m.ID != 9 || m.Applied["lobby"] != 41 {
		t.Fatalf("pong %+v", m)
	}
}

func TestClientSkipsToASnapshot(t *testing.T) {
	p := newPeer(t, `follow('lobby'); client.connect()`)
	c := p.next("connection")
	c.welcome("hello")
	c.joined("join", false, wire.Position{Log: "L", Seq: 40})
	c.send(`{"type":"skip","room":"lobby","from":41,"to":90}`)
	c.send(`{"type":"joined","room":"lobby","recovered":false,"position":{"log":"L","seq":90},"epoch":1,"t":5,"snapshot":{},"players":1}`)
	c.send(update(91))
	p.log("P3.10", "snapshot 40", "skip 41-90", "snapshot 90", "update 91")
}

func TestClientLeavesAndIsLeft(t *testing.T) {
	p := newPeer(t, `follow('lobby'); follow('race'); client.connect()`)
	c := p.next("connection")
	c.welcome("hello")
	c.joined("join", false, wire.Position{Log: "L", Seq: 40})
	c.joined("join", false, wire.Position{Log: "R", Seq: 7})
	p.log("both", "snapshot 40", "snapshot 7")
	eval[chromedp.Void](p.tab, "leave", `client.leave('lobby')`)
	m := c.want("P3.8", wire.TypeLeave)
	if m.Room != "lobby" {
		t.Fatalf("leave %+v", m)
	}
	c.send(update(41)) // crossed the leave on its way
	c.send(`{"type":"left","id":1,"room":"lobby"}`)
	c.send(`{"type":"left","room":"race"}`)
	p.log("an operator closed the other", "left", "left")
	if got := eval[int](p.tab, "rooms", `client.rooms.size`); got != 0 {
		t.Fatalf("%d rooms", got)
	}
}

func TestClientKeepsTheNewestBalance(t *testing.T) {
	p := newPeer(t, `client.on('balance', (b) => log.push('balance ' + b.amount)); client.connect()`)
	c := p.next("connection")
	c.welcome("hello")
	c.send(`{"type":"balance","amount":100000,"version":0}`)
	c.send(`{"type":"balance","amount":99000,"version":7}`)
	c.send(`{"type":"balance","amount":100000,"version":6}`)
	c.send(`{"type":"balance","amount":98000,"version":8}`)
	p.log("P2.7", "balance 100000", "balance 99000", "balance 98000")
}
