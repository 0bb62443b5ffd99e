package server_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"tickcast/wire"
)

func (c *client) command(key, op, args string) {
	c.t.Helper()
	c.send(`{"type":"cmd","room":"lobby","key":%q,"op":%q,"round":17,"args":%s}`, key, op, args)
}

// P4.1, P4.2, P4.8: a command stands in the log as its player's, without any time of the
// client's, and its answer comes back byte for byte.
func TestCommand(t *testing.T) {
	w, _, g := lobby(t)
	c, other := g.player("ann"), g.player("bob")
	c.join("lobby")
	other.join("lobby")
	c.command("k-17-0", "bet", `{"slot":0}`)
	if a := c.want("the answer", wire.TypeAnswer); !a.is("ok") || a.str("key") != "k-17-0" || a.str("room") != "lobby" || a.sub("result").text != `{"op":"bet","round":17}` {
		t.Fatal(a.text)
	}
	w.owner.locked(func() {
		got := w.owner.logged[0]
		if got.Player != "ann" || got.Name != "The ann" || got.Gateway != g.ID() || got.Guest || string(got.Args) != `{"slot":0}` || got.Round != 17 {
			t.Errorf("in the log: %+v", got)
		}
	})
	other.send(`{"type":"ping","id":1}`)
	other.want("nobody else hears of it", wire.TypePong)
}

// P4.2, P4.7: refusals of the room are passed on.
func TestCommandRefused(t *testing.T) {
	w, _, g := lobby(t)
	w.owner.judge = func(string, wire.Command) (json.RawMessage, *wire.Error) {
		return nil, wire.Errorf(wire.CodeWrongPhase, "not now")
	}
	c := g.player("ann")
	c.join("lobby")
	c.command("k", "bet", `{}`)
	c.wantRefusal("refused", wire.CodeWrongPhase)
}

// P4.3: the same command on other connections and gateways is one record and the
// same answer.
func TestCommandAgain(t *testing.T) {
	w, _, g := lobby(t)
	g2 := w.gateway()
	g2.knows("lobby")
	first, second, third := g.player("ann"), g.player("ann"), g2.player("ann")
	var texts []string
	for _, c := range []*client{first, first, second, third} {
		if c != first || len(texts) == 0 {
			c.join("lobby")
		}
		c.command("k", "bet", `{"slot":0}`)
		texts = append(texts, c.want("an answer", wire.TypeAnswer).text)
	}
	for _, text := range texts {
		if text != texts[0] {
			t.Errorf("answers differ: %s and %s", text, texts[0])
		}
	}
	if n := w.owner.records(); n != 1 {
		t.Errorf("%d records", n)
	}
	first.command("k", "bet", `{"slot":1}`)
	first.want("another body is another record, for the room to judge", wire.TypeAnswer)
	if n := w.owner.records(); n != 2 {
		t.Errorf("%d records", n)
	}
}

// P4.2: two connections that wait for the same command are both answered, each once.
func TestCommandOnTwoConnections(t *testing.T) {
	w, _, g := lobby(t)
	w.owner.locked(func() {
		w.owner.judge = func(string, wire.Command) (json.RawMessage, *wire.Error) { return nil, nil }
	})
	a, b := g.player("ann"), g.player("ann")
	for _, c := range []*client{a, b} {
		c.join("lobby")
		c.command("k", "bet", `{}`)
		c.command("k", "bet", `{}`)
	}
	eventually(t, "it is in the log", func() bool { return w.owner.records() == 1 })
	for _, c := range []*client{a, b} { // so that both wait
		c.send(`{"type":"ping","id":1}`)
		c.want("all was read", wire.TypePong)
	}
	w.owner.locked(func() { w.owner.answer("lobby", w.owner.logged[0], json.RawMessage(`{}`), nil) })
	for _, c := range []*client{a, b} {
		c.want("the answer", wire.TypeAnswer)
		c.send(`{"type":"ping","id":2}`)
		c.want("and no other", wire.TypePong)
	}
}

// P4.2: a lost answer is asked for.
func TestAnswerIsAskedFor(t *testing.T) {
	w, _, g := lobby(t)
	w.owner.locked(func() { w.owner.mute = true })
	c := g.player("ann")
	c.join("lobby")
	c.command("k", "bet", `{}`)
	if a := c.want("the answer", wire.TypeAnswer); !a.is("ok") {
		t.Fatal(a.text)
	}
	if w.owner.asks(wire.AskAnswer) == 0 {
		t.Error("the answer came by itself")
	}
}

// P4.2: an answer that the room did not keep is made anew by another record.
func TestAnswerThatWasNotKept(t *testing.T) {
	w, _, g := lobby(t)
	n := 0
	w.owner.forgets = true
	w.owner.judge = func(string, wire.Command) (json.RawMessage, *wire.Error) {
		if n++; n == 1 {
			return nil, nil
		}
		return nil, wire.Errorf(wire.CodeStaleRound, "over")
	}
	c := g.player("ann")
	c.join("lobby")
	c.command("k", "bet", `{}`)
	c.wantRefusal("by the second record", wire.CodeStaleRound)
	w.owner.locked(func() {
		if len(w.owner.logged) != 2 || w.owner.logged[0].BodyHash() != w.owner.logged[1].BodyHash() {
			t.Errorf("in the log: %+v", w.owner.logged)
		}
	})
}

// P4.4, P4.5: a client that lost its connection before the answer sends the same
// command again and gets it; it was done once.
func TestCommandAfterReconnect(t *testing.T) {
	w, _, g := lobby(t)
	w.owner.locked(func() { w.owner.mute = true })
	c := g.player("ann")
	c.join("lobby")
	c.command("k", "bet", `{}`)
	eventually(t, "it is in the log", func() bool { return w.owner.records() == 1 })
	_ = c.ws.CloseNow()
	again := g.player("ann")
	again.join("lobby")
	again.command("k", "bet", `{}`)
	if a := again.want("the answer", wire.TypeAnswer); !a.is("ok") {
		t.Fatal(a.text)
	}
	if n := w.owner.records(); n != 1 {
		t.Errorf("%d records", n)
	}
}

// P4.6: sixteen commands wait, the seventeenth is busy; an answer makes room.
func TestBusy(t *testing.T) {
	w, _, g := lobby(t)
	w.owner.judge = func(string, wire.Command) (json.RawMessage, *wire.Error) { return nil, nil }
	c := g.player("ann")
	c.join("lobby")
	for i := range wire.MaxCommandsInFlight {
		c.command(fmt.Sprintf("k%d", i), "bet", `{}`)
	}
	c.command("one-more", "bet", `{}`)
	if a := c.wantRefusal("one more", wire.CodeBusy); a.str("key") != "one-more" || !a.sub("error").is("temporary") {
		t.Fatal(a.text)
	}
	eventually(t, "all are in the log, in order", func() bool { return w.owner.records() == wire.MaxCommandsInFlight })
	w.owner.locked(func() {
		for i, l := range w.owner.logged {
			if l.Key != fmt.Sprintf("k%d", i) {
				t.Errorf("record %d is %s", i, l.Key)
			}
		}
		w.owner.answer("lobby", w.owner.logged[0], json.RawMessage(`{}`), nil)
	})
	c.want("one is answered", wire.TypeAnswer)
	c.command("one-more", "bet", `{}`)
	c.send(`{"type":"ping","id":1}`)
	c.want("there is room", wire.TypePong)
}

// P4.10: the cashier needs no join and is in the player's own partition.
func TestCashier(t *testing.T) {
	w := newWorld(t)
	g := w.gateway()
	c := g.player("ann")
	c.send(`{"type":"cmd","room":"_","key":"k","op":"refill"}`)
	if a := c.want("the answer", wire.TypeAnswer); !a.is("ok") || a.str("room") != wire.CashierRoom {
		t.Fatal(a.text)
	}
	s, err := w.owner.js.Stream(t.Context(), wire.PartitionStream(wire.PartitionOf("ann", partitions)))
	if err != nil {
		t.Fatal(err)
	}
	subject := wire.CommandSubject(wire.PartitionOf("ann", partitions), wire.CashierRoom)
	if _, err := s.GetLastMsgForSubject(t.Context(), subject); err != nil {
		t.Errorf("nothing on %s: %v", subject, err)
	}
}

// P5.1, P5.2, P5.3, P5.4: lines are stored, come to everybody in order, and to who joins
// later; too many, and those of the muted, are refused.
func TestChat(t *testing.T) {
	w, _, g := lobby(t)
	g2 := w.gateway()
	g2.knows("lobby")
	a, b := g.player("ann"), g2.player("bob")
	a.join("lobby")
	b.join("lobby")
	for i := range 5 {
		a.send(`{"type":"chat","id":%d,"room":"lobby","text":"line %d ä"}`, i+1, i)
	}
	last := int64(0)
	for i := range 5 {
		x, y := a.want("the line", wire.TypeChat), b.want("the line", wire.TypeChat)
		if x.text != y.text || x.str("text") != fmt.Sprintf("line %d ä", i) || x.num("id") <= last || x.str("player") != "ann" || x.str("name") != "The ann" || x.num("at") == 0 {
			t.Fatalf("%s and %s", x.text, y.text)
		}
		last = x.num("id")
	}
	a.send(`{"type":"chat","id":6,"room":"lobby","text":"too many"}`)
	if e := a.wantError("the sixth within 10 s", wire.CodeRateLimited); e.num("id") != 6 {
		t.Fatal(e.text)
	}
	elsewhere := g.player("ann")
	elsewhere.join("lobby")
	elsewhere.send(`{"type":"chat","id":7,"room":"lobby","text":"too many"}`)
	elsewhere.wantError("on another connection of the player", wire.CodeRateLimited)
	w.owner.sanction(wire.Sanction{Player: "bob", MutedUntil: time.Now().Add(time.Hour).UnixMilli()})
	eventually(t, "bob is muted", func() bool {
		b.send(`{"type":"chat","id":7,"room":"lobby","text":"hello"}`)
		o := b.next("the answer")
		return o.str("code") == string(wire.CodeMuted)
	})
	g3 := w.gateway()
	g3.knows("lobby")
	var lines []wire.ChatLine
	o := g3.player("cid").join("lobby")
	if err := json.Unmarshal(o.fields["chat"], &lines); err != nil || len(lines) < 5 || lines[0].Text != "line 0 ä" || lines[0].Type != "" || lines[0].Room != "" {
		t.Fatalf("chat of joined: %s", o.fields["chat"])
	}
	o = g.player("dan").join("lobby")
	if err := json.Unmarshal(o.fields["chat"], &lines); err != nil || lines[4].Text != "line 4 ä" {
		t.Fatalf("chat of joined where the lines were heard: %s", o.fields["chat"])
	}
}

// P5.3: at most 100 lines, the newest.
func TestChatShowsTheNewest(t *testing.T) {
	w, _, g := lobby(t)
	nc := w.connect("gateway")
	for i := range 130 {
		if _, err := nc.Request(wire.ChatSubject("lobby"), encodeJSON(wire.ChatRecord{Player: "p", Name: "P", Text: fmt.Sprint(i)}), deadline); err != nil {
			t.Fatal(err)
		}
	}
	var lines []wire.ChatLine
	o := g.player("ann").join("lobby")
	if err := json.Unmarshal(o.fields["chat"], &lines); err != nil || len(lines) != 100 || lines[0].Text != "30" || lines[99].Text != "129" {
		t.Fatalf("%d lines: %s", len(lines), o.fields["chat"])
	}
}
