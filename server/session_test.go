package server_test

import (
	"testing"

	"tickcast/wire"
)

// P1.1, P1.7, P2.2, P2.5, P2.7, P3.1, P3.2, P3.3, P3.5, P3.7, P3.11.
func TestPlayerJoinsAndFollows(t *testing.T) {
	w := newWorld(t)
	r := w.owner.create("lobby")
	for range 3 {
		w.owner.update(r, false)
	}
	r.you["ann"] = []byte(`{"bets":[]}`)
	g := w.gateway()
	g.knows("lobby")

	c := g.dial()
	welcome := c.hello(token(t, "ann"), "")
	if welcome.str("gateway") != g.ID() || welcome.is("resumed") || welcome.str("session") == "" ||
		welcome.num("protocol") != 1 || welcome.num("ping_ms") != 25000 || welcome.sub("player").str("name") != "The ann" {
		t.Fatalf("welcome: %s", welcome.text)
	}
	if b := c.want("the balance follows", wire.TypeBalance); b.num("amount") != 100_000 || b.num("version") != 1 {
		t.Fatalf("balance: %s", b.text)
	}
	joined := c.join("lobby")
	p := joined.sub("position")
	if joined.is("recovered") || p.num("seq") != 3 || p.str("log") != "log-lobby" || joined.sub("snapshot").num("n") != 3 ||
		joined.sub("you").text != `{"bets":[]}` || joined.num("t") != 60_000 || joined.num("players") != 1 || string(joined.fields["chat"]) != "[]" {
		t.Fatalf("joined: %s", joined.text)
	}
	body := w.owner.update(r, false)
	if u := c.want("the update", wire.TypeUpdate); u.text != string(body) {
		t.Fatalf("update changed on its way: %s, said %s", u.text, body)
	}
	w.owner.tick(r)
	if k := c.want("the tick", wire.TypeTick); k.num("seq") != 4 {
		t.Fatalf("tick: %s", k.text)
	}
	if n := c.until("the number of players", wire.TypePresence); n.num("players") != 1 {
		t.Fatalf("presence: %s", n.text)
	}
	other := g.player("bob")
	if j := other.join("lobby"); j.num("players") != 2 || string(j.fields["you"]) != "null" {
		t.Fatalf("joined: %s", j.text)
	}
}
