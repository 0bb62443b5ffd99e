package loadtest

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/golang-jwt/jwt/v5"

	"tickcast/wire"
)

// stage is a small honest server of the protocol, with several gateways in front
// of one authority. It plays both games, some fifty times faster than real ones,
// so that a test of seconds sees many rounds.
type stage struct {
	t      testing.TB
	urls   []string
	kill   func(gateway int) // as a process dies
	secret []byte

	mu       sync.Mutex
	rooms    map[string]*stageRoom
	balances map[string]*stageBalance
	sessions map[string]string // session to player
	conns    map[*stageConn]bool
	ids      int
}

type stageBalance struct{ amount, version int64 }

const stageStep = 10 * time.Millisecond

// newStage starts the authority with its rooms (name to game) and gateways.
func newStage(t testing.TB, gateways int, rooms map[string]string) *stage {
	t.Helper()
	st := &stage{
		t: t, secret: []byte("a secret of this test only"), rooms: map[string]*stageRoom{},
		balances: map[string]*stageBalance{}, sessions: map[string]string{}, conns: map[*stageConn]bool{},
	}
	for id, game := range rooms {
		st.rooms[id] = newStageRoom(st, id, game)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(stageStep)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				st.mu.Lock()
				for _, r := range st.rooms {
					r.advance(stageStep)
				}
				st.mu.Unlock()
			}
		}
	})
	var servers []*httptest.Server
	st.kill = func(i int) {
		_ = servers[i].Listener.Close()
		st.mu.Lock()
		defer st.mu.Unlock()
		for c := range st.conns {
			if c.gateway == "gw"+strconv.Itoa(i) {
				c.cut()
			}
		}
	}
	for i := range gateways {
		mux := http.NewServeMux()
		mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) { st.serve(w, r, "gw"+strconv.Itoa(i)) })
		mux.HandleFunc("POST /api/guest", st.guest)
		srv := httptest.NewServer(mux)
		servers = append(servers, srv)
		st.urls = append(st.urls, "ws"+strings.TrimPrefix(srv.URL, "http")+"/ws")
		t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	}
	t.Cleanup(func() { cancel(); wg.Wait() })
	return st
}

func (st *stage) guest(w http.ResponseWriter, _ *http.Request) {
	st.mu.Lock()
	st.ids++
	id := "g" + strconv.Itoa(st.ids)
	st.mu.Unlock()
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": id, "guest": true}).SignedString(st.secret)
	if err != nil {
		st.t.Error(err)
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"token": token})
}

// balance of a player; st.mu is held.
func (st *stage) balance(player string) *stageBalance {
	b := st.balances[player]
	if b == nil {
		b = &stageBalance{amount: wire.GrantAmount}
		st.balances[player] = b
	}
	return b
}

// book changes a balance and tells the player's connections. st.mu is held.
func (st *stage) book(player string, delta int64) {
	b := st.balance(player)
	b.amount += delta
	b.version++
	st.tell(player, wire.Balance{Type: wire.TypeBalance, Amount: b.amount, Version: b.version})
}

func (st *stage) tell(player string, m any) {
	for c := range st.conns {
		if c.player == player {
			c.send(mustJSON(m))
		}
	}
}

// stageConn is one connection to a gateway. Fields are guarded by stage.mu.
type stageConn struct {
	player  string
	session string
	gateway string
	cut     func() // loses the connection
	rooms   map[string]bool
	out     chan []byte
}

func (c *stageConn) send(b []byte) {
	select {
	case c.out <- b:
	default: // the test's connections are read all the time
		panic("stage: a client does not read")
	}
}

func (st *stage) serve(w http.ResponseWriter, r *http.Request, gateway string) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer conn.CloseNow()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	c := &stageConn{gateway: gateway, cut: cancel, rooms: map[string]bool{}, out: make(chan []byte, 4096)}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case b := <-c.out:
				if conn.Write(ctx, websocket.MessageText, b) != nil {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	})
	defer wg.Wait()
	defer cancel()
	defer func() {
		st.mu.Lock()
		delete(st.conns, c)
		st.mu.Unlock()
	}()
	for {
		_, b, err := conn.Read(ctx)
		if err != nil {
			return
		}
		var m wire.ClientMessage
		if err := json.Unmarshal(b, &m); err != nil {
			return
		}
		st.mu.Lock()
		st.handle(c, &m, gateway)
		st.mu.Unlock()
	}
}

func (st *stage) handle(c *stageConn, m *wire.ClientMessage, gateway string) {
	switch m.Type {
	case wire.TypeHello:
		st.hello(c, m, gateway)
	case wire.TypeJoin:
		st.join(c, m)
	case wire.TypeCmd:
		st.command(c, m)
	case wire.TypePing:
		c.send(mustJSON(wire.Pong{Type: wire.TypePong, ID: m.ID}))
	case wire.TypeChat:
		st.ids++
		line := mustJSON(wire.ChatLine{Type: wire.TypeChat, Room: m.Room, ID: uint64(st.ids), Player: c.player, Text: m.Text})
		for other := range st.conns {
			if other.rooms[m.Room] {
				other.send(line)
			}
		}
	}
}

func (st *stage) hello(c *stageConn, m *wire.ClientMessage, gateway string) {
	claims := jwt.MapClaims{}
	if _, err := jwt.ParseWithClaims(m.Token, claims, func(*jwt.Token) (any, error) { return st.secret, nil }); err != nil {
		st.t.Errorf("token: %v", err)
		return
	}
	c.player, _ = claims.GetSubject()
	resumed := m.Session != "" && st.sessions[m.Session] == c.player
	c.session = m.Session
	if !resumed {
		st.ids++
		c.session = "s" + strconv.Itoa(st.ids)
		st.sessions[c.session] = c.player
	}
	st.conns[c] = true
	c.send(mustJSON(wire.Welcome{
		Type: wire.TypeWelcome, Protocol: wire.ProtocolVersion, Session: c.session, Resumed: resumed,
		Gateway: gateway, Player: wire.Player{ID: c.player, Guest: true}, PingMS: 25000,
	}))
	b := st.balance(c.player)
	c.send(mustJSON(wire.Balance{Type: wire.TypeBalance, Amount: b.amount, Version: b.version}))
	c.send([]byte(`{"type":"ping","id":1,"now":0}`))
}

func (st *stage) join(c *stageConn, m *wire.ClientMessage) {
	r := st.rooms[m.Room]
	if r == nil {
		c.send(mustJSON(wire.ErrorMessage{Type: wire.TypeError, ID: m.ID, Room: m.Room, Error: *wire.Errorf(wire.CodeUnknownRoom, "no room %s", m.Room)}))
		return
	}
	j := wire.Joined{
		Type: wire.TypeJoined, ID: m.ID, Room: m.Room, Position: wire.Position{Log: r.log, Seq: r.seq}, Epoch: 1, Time: r.now.Microseconds(),
		WasRecovering: m.Position != nil, Source: wire.SourceRing,
	}
	if m.Position != nil && m.Position.Log == r.log && m.Position.Seq <= r.seq {
		j.Recovered, j.Position = true, *m.Position
	} else {
		r.cut()
		j.Position.Seq, j.Source, j.Snapshot = r.seq, wire.SourceSnapshot, r.view()
	}
	j.You = r.you(c.player)
	c.send(mustJSON(j))
	for _, u := range r.updates[j.Position.Seq:] {
		c.send(u)
	}
	c.rooms[m.Room] = true
}

func (st *stage) command(c *stageConn, m *wire.ClientMessage) {
	if m.Room == wire.CashierRoom {
		st.book(c.player, wire.GrantAmount)
		b := st.balance(c.player)
		c.send(answerTo(m, map[string]any{"amount": wire.GrantAmount, "balance": b.amount, "version": b.version}, nil))
		return
	}
	r := st.rooms[m.Room]
	key := c.player + " " + m.Key
	if a := r.answers[key]; a != nil {
		c.send(a)
		return
	}
	result, refusal := r.command(c.player, m)
	a := answerTo(m, result, refusal)
	r.answers[key] = a
	c.send(a)
}

func answerTo(m *wire.ClientMessage, result map[string]any, refusal *wire.Error) []byte {
	a := wire.Answer{Type: wire.TypeAnswer, Room: m.Room, Key: m.Key, OK: refusal == nil, Error: refusal}
	if refusal == nil {
		a.Result = mustJSON(result)
	}
	return mustJSON(a)
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}
