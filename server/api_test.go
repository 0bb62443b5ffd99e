package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"tickcast/cache"
	"tickcast/server"
	"tickcast/wire"
)

func wantStatus(t *testing.T, why string, got, want int, o object) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: status %d, want %d: %s", why, got, want, o.text)
	}
}

// P9.1.
func TestRoomsAPI(t *testing.T) {
	w, _, g := lobby(t)
	w.owner.create("other")
	g.knows("other")
	g.player("ann").join("lobby")
	status, o := g.get("/api/rooms", "")
	var rooms []object
	if err := json.Unmarshal(o.fields["rooms"], &rooms); err != nil || status != http.StatusOK || len(rooms) != 2 {
		t.Fatalf("%d %s", status, o.text)
	}
	if r := rooms[0]; r.str("id") != "lobby" || r.str("game") != "crash" || r.str("state") != "running" || r.num("players") != 1 || !r.has("uuid") || !r.has("partition") || !r.has("created") {
		t.Fatal(r.text)
	}
	status, o = g.get("/api/rooms/nowhere", "")
	if wantStatus(t, "unknown", status, http.StatusNotFound, o); o.sub("error").str("code") != string(wire.CodeUnknownRoom) {
		t.Fatal(o.text)
	}
	status, o = g.get("/api/rooms/No.Where", "")
	wantStatus(t, "no room ID", status, http.StatusBadRequest, o)
	status, o = g.get("/api/nothing", "")
	wantStatus(t, "no such path", status, http.StatusNotFound, o)
}

// P9.2.
func TestRoundsAPI(t *testing.T) {
	w, _, g := lobby(t)
	w.ledger.set(wire.QueryRounds, wire.RoundPage{Rounds: []wire.RoundRecord{{Game: "crash", Round: 3, Outcome: json.RawMessage(`{"centi":231}`)}}, Next: "c3"})
	status, o := g.get("/api/rooms/lobby/rounds?limit=1&before=c4", "")
	if wantStatus(t, "a page", status, http.StatusOK, o); o.str("next") != "c3" || !strings.Contains(o.text, `"outcome":{"centi":231}`) {
		t.Fatal(o.text)
	}
	if q := w.ledger.last(); q.Room != "lobby" || q.Limit != 1 || q.Before != "c4" {
		t.Fatalf("asked %+v", q)
	}
	for _, limit := range []string{"0", "101", "x", "-1"} {
		status, o := g.get("/api/rooms/lobby/rounds?limit="+limit, "")
		wantStatus(t, "limit "+limit, status, http.StatusBadRequest, o)
	}
}

// P9.3: from the cache, else from the ledger.
func TestLeaderboardAPI(t *testing.T) {
	w := newWorld(t)
	g := w.gateway()
	w.ledger.set(wire.QueryLeaderboard, []wire.Score{{Player: "old", Name: "Old", Points: 1}})
	status, o := g.get("/api/leaderboards/crash", "")
	if wantStatus(t, "from the ledger", status, http.StatusOK, o); !strings.Contains(o.text, `"player":"old"`) || w.ledger.last().Board != "crash:all" {
		t.Fatal(o.text)
	}
	err := w.cache.PutScores(t.Context(), "crash:2026-01-02", []cache.Score{{Score: wire.Score{Player: "ann", Name: "Ann", Points: 5}, Version: 1}})
	if err != nil {
		t.Fatal(err)
	}
	status, o = g.get("/api/leaderboards/crash?day=2026-01-02", "")
	if wantStatus(t, "from the cache", status, http.StatusOK, o); !strings.Contains(o.text, `{"player":"ann","name":"Ann","points":5}`) {
		t.Fatal(o.text)
	}
	for _, path := range []string{"crash?day=2026-13-01", "Crash!"} {
		status, o := g.get("/api/leaderboards/"+path, "")
		wantStatus(t, path, status, http.StatusBadRequest, o)
	}
}

// P9.4.
func TestMeAPI(t *testing.T) {
	w := newWorld(t)
	g := w.gateway()
	for _, path := range []string{"/api/me", "/api/me/bets"} {
		for _, tok := range []string{"", "a.b.c"} {
			status, o := g.get(path, tok)
			if wantStatus(t, path, status, http.StatusUnauthorized, o); o.sub("error").str("code") != string(wire.CodeInvalidToken) {
				t.Fatal(o.text)
			}
		}
	}
	status, o := g.get("/api/me", token(t, "ann"))
	if wantStatus(t, "me", status, http.StatusOK, o); o.sub("player").str("id") != "ann" || o.sub("balance").num("amount") != 100_000 || o.sub("balance").num("version") != 1 {
		t.Fatal(o.text)
	}
	if err := w.cache.PutBalance(t.Context(), "ann", 7, 9); err != nil {
		t.Fatal(err)
	}
	if _, o = g.get("/api/me", token(t, "ann")); o.sub("balance").num("amount") != 7 {
		t.Fatal(o.text)
	}
	status, o = g.get("/api/me/bets", token(t, "ann"))
	wantStatus(t, "no ledger", status, http.StatusServiceUnavailable, o)
	w.ledger.set(wire.QueryBets, wire.BetPage{Bets: []wire.PlacedBet{{ID: "b1"}}})
	status, o = g.get("/api/me/bets", token(t, "ann"))
	if wantStatus(t, "bets", status, http.StatusOK, o); w.ledger.last().Player != "ann" {
		t.Fatal(o.text)
	}
}

// P2.4, P9.5.
func TestGuestAPI(t *testing.T) {
	w := newWorld(t)
	g := w.gateway(func(c *server.Config) { c.GuestsPerSecond, c.GuestBurst = 0.001, 4 })
	status, o := g.call("POST", "/api/guest", "", `{"name":"Ännie"}`)
	p := o.sub("player")
	if wantStatus(t, "a guest", status, http.StatusOK, o); p.str("name") != "Ännie" || !p.is("guest") || p.str("id") == "" {
		t.Fatal(o.text)
	}
	c := g.dial()
	if welcome := c.hello(o.str("token"), ""); welcome.sub("player").text != p.text {
		t.Fatal(welcome.text)
	}
	c.want("his balance", wire.TypeBalance)
	if q := w.ledger.last(); !q.Guest {
		t.Fatalf("asked %+v", q)
	}
	status, o = g.call("POST", "/api/guest", "", "")
	if wantStatus(t, "without a name", status, http.StatusOK, o); o.sub("player").str("name") == "" {
		t.Fatal(o.text)
	}
	for _, body := range []string{`{"name":"` + strings.Repeat("x", 33) + `"}`, `{"name":7}`} {
		status, o = g.call("POST", "/api/guest", "", body)
		wantStatus(t, body, status, http.StatusBadRequest, o)
	}
	status, o = g.call("POST", "/api/guest", "", "")
	if wantStatus(t, "too many", status, http.StatusTooManyRequests, o); o.sub("error").str("code") != string(wire.CodeRateLimited) {
		t.Fatal(o.text)
	}
	more := w.gateway(func(*server.Config) {})
	token := func(p wire.Player, expires time.Time) string {
		s, err := server.SignToken(secret, p, expires)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	guest := wire.Player{ID: p.str("id"), Name: "Ännie", Guest: true}
	day := 24 * time.Hour
	for _, c := range []struct{ why, token, body, name string }{
		{"renewed", token(guest, time.Now().Add(day)), "", "Ännie"},
		{"renamed", token(guest, time.Now().Add(day)), `{"name":"Bob"}`, "Bob"},
		{"long away", token(guest, time.Now().Add(-170*day)), "", "Ännie"},
	} {
		status, o = more.call("POST", "/api/guest", c.token, c.body)
		if wantStatus(t, c.why, status, http.StatusOK, o); o.sub("player").str("name") != c.name || o.sub("player").str("id") != guest.ID {
			t.Errorf("%s: %s", c.why, o.text)
		}
		more.dial().hello(o.str("token"), "")
	}
	for why, bad := range map[string]string{
		"away too long": token(guest, time.Now().Add(-190*day)),
		"no guest":      token(wire.Player{ID: "ann", Name: "Ann"}, time.Now().Add(day)),
		"no token":      "x",
	} {
		status, o = more.call("POST", "/api/guest", bad, "")
		if wantStatus(t, why, status, http.StatusUnauthorized, o); o.sub("error").str("code") != string(wire.CodeInvalidToken) {
			t.Errorf("%s: %s", why, o.text)
		}
	}
	off := w.gateway(func(c *server.Config) { c.Guests = false })
	status, o = off.call("POST", "/api/guest", "", "")
	if wantStatus(t, "guests are off", status, http.StatusForbidden, o); o.sub("error").str("code") != string(wire.CodeGuestsOff) {
		t.Fatal(o.text)
	}
}

// P9.6, and the pages beside the API.
func TestInfoAndPages(t *testing.T) {
	pages := http.FileServerFS(fstest.MapFS{"index.html": {Data: []byte(`"the page"`)}})
	g := newWorld(t).gateway(func(c *server.Config) { c.Version, c.Pages = "v1", pages })
	status, o := g.get("/api/info", "")
	if wantStatus(t, "info", status, http.StatusOK, o); o.str("version") != "v1" || !o.is("guests") || o.str("gateway") != g.ID() {
		t.Fatal(o.text)
	}
	res, err := g.http.Client().Get(g.http.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatal(res.Status)
	}
}
