package server

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"tickcast/server/internal/rest"
	"tickcast/wire"
)

const (
	// maxBodyBytes bounds the body of a request.
	maxBodyBytes = 1024
	// topScores is the length of a leaderboard.
	topScores = 100
)

// routes is the public listener (section 9 of the protocol).
func (g *Gateway) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ws", g.serveSocket)
	mux.HandleFunc("GET /api/rooms", g.getRooms)
	mux.HandleFunc("GET /api/rooms/{id}", g.getRoom)
	mux.HandleFunc("GET /api/rooms/{id}/rounds", g.getRounds)
	mux.HandleFunc("GET /api/leaderboards/{game}", g.getLeaderboard)
	mux.HandleFunc("GET /api/me", g.getMe)
	mux.HandleFunc("GET /api/me/bets", g.getBets)
	mux.HandleFunc("POST /api/guest", g.postGuest)
	mux.HandleFunc("POST /api/login", g.postLogin)
	mux.HandleFunc("GET /api/info", g.getInfo)
	mux.HandleFunc("/api/", func(w http.ResponseWriter, _ *http.Request) {
		rest.ErrorStatus(w, http.StatusNotFound, wire.Errorf(wire.CodeBadMessage, "there is nothing here"))
	})
	mux.Handle("/", g.cfg.Pages)
	return mux
}

// listedRoom is a room of the directory with its connections.
type listedRoom struct {
	wire.RoomInfo
	Players int `json:"players"`
}

func (g *Gateway) listed(info wire.RoomInfo, own map[string]int) listedRoom {
	return listedRoom{RoomInfo: info, Players: g.presence.total(info.ID, own[info.ID])}
}

func (g *Gateway) getRooms(w http.ResponseWriter, _ *http.Request) {
	own := g.feeds.counts()
	rooms := []listedRoom{}
	for _, info := range g.directory.list() {
		rooms = append(rooms, g.listed(info, own))
	}
	rest.OK(w, map[string]any{"rooms": rooms})
}

func (g *Gateway) getRoom(w http.ResponseWriter, r *http.Request) {
	if info, ok := g.openRoom(w, r); ok {
		rest.OK(w, g.listed(info, g.feeds.counts()))
	}
}

// openRoom looks up the room in the path, or answers with the error.
func (g *Gateway) openRoom(w http.ResponseWriter, r *http.Request) (wire.RoomInfo, bool) {
	id := r.PathValue("id")
	if e := checkRoom(id); e != nil {
		rest.Error(w, e)
		return wire.RoomInfo{}, false
	}
	info, ok := g.directory.room(id)
	if !ok {
		e := g.directory.refusal(id)
		rest.Error(w, e)
	}
	return info, ok
}

func (g *Gateway) getRounds(w http.ResponseWriter, r *http.Request) {
	info, ok := g.openRoom(w, r)
	if !ok {
		return
	}
	page := wire.RoundPage{}
	if g.page(w, r, wire.LedgerQuery{Op: wire.QueryRounds, Room: info.ID}, &page) {
		if page.Rounds == nil {
			page.Rounds = []wire.RoundRecord{}
		}
		rest.OK(w, page)
	}
}

func (g *Gateway) getBets(w http.ResponseWriter, r *http.Request) {
	who, ok := g.bearer(w, r, time.Now())
	if !ok {
		return
	}
	page := wire.BetPage{}
	if g.page(w, r, wire.LedgerQuery{Op: wire.QueryBets, Player: who.ID}, &page) {
		if page.Bets == nil {
			page.Bets = []wire.PlacedBet{}
		}
		rest.OK(w, page)
	}
}

// page asks the ledger for the page that the request's query names. It answers
// with the error and reports false if there is none.
func (g *Gateway) page(w http.ResponseWriter, r *http.Request, q wire.LedgerQuery, v any) bool {
	if e := rest.Page(r.URL.Query(), &q); e != nil {
		rest.Error(w, e)
		return false
	}
	return g.fromLedger(w, r, q, v)
}

func (g *Gateway) fromLedger(w http.ResponseWriter, r *http.Request, q wire.LedgerQuery, v any) bool {
	err := g.peer.Ledger(r.Context(), q, v)
	if err == nil {
		return true
	}
	var e *wire.Error
	if !errors.As(err, &e) {
		g.cfg.Log.Warn("the ledger could not be asked", "op", q.Op, "err", err)
		e = wire.Errorf(wire.CodeUnavailable, "the ledger cannot be asked at the moment")
	}
	rest.Error(w, e)
	return false
}

func (g *Gateway) getLeaderboard(w http.ResponseWriter, r *http.Request) {
	game, day := r.PathValue("game"), r.URL.Query().Get("day")
	if _, err := time.Parse(time.DateOnly, day); day != "" && err != nil || !wire.ValidRoomID(game) {
		rest.Error(w, wire.Errorf(wire.CodeBadArgs, "the path names a game, and day is YYYY-MM-DD"))
		return
	}
	if day == "" {
		day = "all"
	}
	board := game + ":" + day
	scores := []wire.Score{}
	if c := g.cfg.Cache; c != nil {
		top, err := c.Top(r.Context(), board, topScores)
		if err != nil {
			g.metrics.cacheErrors.Inc()
		} else if len(top) > 0 {
			scores = top
		}
	}
	if len(scores) == 0 && !g.fromLedger(w, r, wire.LedgerQuery{Op: wire.QueryLeaderboard, Board: board, Limit: topScores}, &scores) {
		return
	}
	if scores == nil {
		scores = []wire.Score{}
	}
	rest.OK(w, map[string]any{"scores": scores})
}

// bearer checks the request's token, or answers with the error.
func (g *Gateway) bearer(w http.ResponseWriter, r *http.Request, now time.Time) (identity, bool) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	who, err := g.keys.verify(token, now)
	if err != nil {
		w.Header().Set("WWW-Authenticate", "Bearer")
		rest.Error(w, wire.Errorf(wire.CodeInvalidToken, "%v", err))
		return identity{}, false
	}
	return who, true
}

func (g *Gateway) getMe(w http.ResponseWriter, r *http.Request) {
	who, ok := g.bearer(w, r, time.Now())
	if !ok {
		return
	}
	b, err := g.balances.of(r.Context(), who.Player)
	if err != nil {
		g.cfg.Log.Warn("a balance could not be looked up", "err", err)
		rest.Error(w, wire.Errorf(wire.CodeUnavailable, "the ledger cannot be asked at the moment"))
		return
	}
	rest.OK(w, map[string]any{
		"player":  who.Player,
		"balance": map[string]int64{"amount": b.Amount, "version": b.Version},
	})
}

// postGuest makes a player out of nothing, or renews a guest's token (P2.4).
func (g *Gateway) postGuest(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	if !g.cfg.Guests {
		rest.Error(w, wire.Errorf(wire.CodeGuestsOff, "guests are not admitted here"))
		return
	}
	if !g.guests.allow(limitKey(clientAddress(r, g.cfg.TrustedProxies)), now) {
		w.Header().Set("Retry-After", "1")
		rest.Error(w, wire.Errorf(wire.CodeRateLimited, "too many guests from this address"))
		return
	}
	var ask struct {
		Name string `json:"name"`
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	if err != nil || len(body) > 0 && json.Unmarshal(body, &ask) != nil {
		rest.Error(w, wire.Errorf(wire.CodeBadMessage, `the body is empty or {"name":"…"}`))
		return
	}
	p := newGuest()
	if r.Header.Get("Authorization") != "" {
		who, ok := g.bearer(w, r, now.Add(-guestRenewal))
		if !ok {
			return
		}
		if !who.Guest {
			rest.Error(w, wire.Errorf(wire.CodeInvalidToken, "the token is not a guest's"))
			return
		}
		p = who.Player
	}
	if ask.Name != "" {
		p.Name = ask.Name
	}
	if !wire.ValidText(p.Name, wire.MaxNameBytes) {
		rest.Error(w, wire.Errorf(wire.CodeBadText, "name is 1 to %d bytes of text", wire.MaxNameBytes))
		return
	}
	g.giveToken(w, p, now.Add(guestTokenLife))
}

// postLogin gives a player whom the operator's wallet knows a token (P9.7).
func (g *Gateway) postLogin(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	if !g.guests.allow(limitKey(clientAddress(r, g.cfg.TrustedProxies)), now) {
		w.Header().Set("Retry-After", "1")
		rest.Error(w, wire.Errorf(wire.CodeRateLimited, "too many logins from this address"))
		return
	}
	var ask struct {
		Token string `json:"token"`
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	if err != nil || json.Unmarshal(body, &ask) != nil || ask.Token == "" {
		rest.Error(w, wire.Errorf(wire.CodeBadMessage, `the body is {"token":"…"} of at most %d bytes`, maxBodyBytes))
		return
	}
	var p wire.Player
	if !g.fromLedger(w, r, wire.LedgerQuery{Op: wire.QueryLogin, Token: ask.Token}, &p) {
		return
	}
	g.giveToken(w, p, now.Add(loginTokenLife))
}

// giveToken answers with a token that speaks for a player until a moment.
func (g *Gateway) giveToken(w http.ResponseWriter, p wire.Player, until time.Time) {
	token, err := SignToken(g.cfg.Secret, p, until)
	if err != nil {
		g.cfg.Log.Error("a token could not be made", "player", p.ID, "err", err)
		rest.ErrorStatus(w, http.StatusInternalServerError, wire.Errorf(wire.CodeUnavailable, "no token could be made"))
		return
	}
	rest.OK(w, map[string]any{"token": token, "player": p})
}

func newGuest() wire.Player {
	id := randomID()
	return wire.Player{ID: "guest-" + id, Name: "Guest " + id[:4], Guest: true}
}

func (g *Gateway) getInfo(w http.ResponseWriter, _ *http.Request) {
	rest.OK(w, map[string]any{"version": g.cfg.Version, "guests": g.cfg.Guests, "gateway": g.cfg.ID})
}
