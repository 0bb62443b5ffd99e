package loadtest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"tickcast/wire"
)

// tamper decides what a client gets instead of a message from the server: the
// same, another, none or several; "close 3001" closes the connection. n counts the client's messages of that type.
type tamper func(kind string, n int, b []byte) [][]byte

// proxy is a gateway in front of the stage's first one. Its first connection is
// tampered with, all others are relayed as they are.
//
// Updates and ticks are tampered with once every bot has joined, from the first
// update on that came behind the last join: such an update goes to all of them, so
// that each is compared, however slow the machine is.
type proxy struct {
	url  string
	bots int64
	f    tamper

	conns atomic.Int64
	joins atomic.Int64  // joined messages that were relayed
	floor atomic.Uint64 // highest position of those
	after atomic.Int64  // messages to the first connection since the first that was changed
}

func newProxy(t testing.TB, st *stage, bots int, f tamper) *proxy {
	t.Helper()
	p := &proxy{bots: int64(bots), f: f}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/guest", st.guest)
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		p.relay(w, r, st.urls[0], p.conns.Add(1) == 1)
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	p.url = "ws" + strings.TrimPrefix(srv.URL, "http") + "/ws"
	return p
}

// noteJoin is called before a joined message is passed on.
func (p *proxy) noteJoin(b []byte) {
	var j wire.Joined
	if json.Unmarshal(b, &j) == nil {
		for old := p.floor.Load(); old < j.Position.Seq && !p.floor.CompareAndSwap(old, j.Position.Seq); {
			old = p.floor.Load()
		}
	}
	p.joins.Add(1)
}

// everybodyGets reports whether all bots are sent what comes with or behind seq.
func (p *proxy) everybodyGets(seq uint64) bool {
	return p.joins.Load() >= p.bots && seq > p.floor.Load()
}

func (p *proxy) relay(w http.ResponseWriter, r *http.Request, url string, tampered bool) {
	down, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer down.CloseNow()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	up, _, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		return
	}
	defer up.CloseNow()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		defer up.CloseNow()
		for {
			_, b, err := down.Read(ctx)
			if err != nil || up.Write(ctx, websocket.MessageText, b) != nil {
				return
			}
		}
	})
	defer down.CloseNow()
	seen := map[string]int{}
	joined := false // whether the client was let into a room
	armed := false  // whether updates and ticks are tampered with
	for {
		_, b, err := up.Read(ctx)
		if err != nil {
			return
		}
		h, err := readHead(b)
		if err != nil {
			return
		}
		kind := string(h.kind)
		ofRoom := kind == wire.TypeUpdate || kind == wire.TypeTick
		if ofRoom && !joined {
			continue
		}
		list := one(b)
		if tampered && (!ofRoom || armed || p.everybodyGets(h.seq)) {
			armed = armed || ofRoom
			seen[kind]++
			list = p.f(kind, seen[kind], b)
			p.noteChange(list, b)
		}
		for _, out := range list {
			if code, ok := bytes.CutPrefix(out, []byte("close ")); ok {
				n, _ := strconv.Atoi(string(code))
				_ = down.Close(websocket.StatusCode(n), "as the test says")
				return
			}
			if bytes.Contains(out, []byte(`"type":"joined"`)) {
				joined = true
				p.noteJoin(out)
			}
			if down.Write(ctx, websocket.MessageText, out) != nil {
				return
			}
		}
	}
}

// noteChange counts from the first message that was changed.
func (p *proxy) noteChange(list [][]byte, b []byte) {
	if p.after.Load() > 0 || len(list) != 1 || !bytes.Equal(list[0], b) {
		p.after.Add(1)
	}
}

// onNth tampers with the n-th message of one type only.
func onNth(kind string, n int, f func(b []byte) [][]byte) tamper {
	return func(k string, i int, b []byte) [][]byte {
		if k == kind && i == n {
			return f(b)
		}
		return [][]byte{b}
	}
}

// edit changes a field of a message and encodes it again.
func edit(b []byte, f func(m map[string]any)) []byte {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var m map[string]any
	if err := d.Decode(&m); err != nil {
		panic(err)
	}
	f(m)
	return mustJSON(m)
}

func one(b []byte) [][]byte { return [][]byte{b} }

// damage is one way to tamper with what a bot receives, and the check that must
// find it.
type damage struct {
	name  string
	game  string
	check checkName
	f     tamper
}

// inTheEnd reports whether a check judges only when the bots have stopped, by
// what was missing or did not add up until then.
func (d *damage) inTheEnd() bool {
	return d.check == checkComplete || d.check == checkBooks || d.name == "answer lost"
}

// enough reports whether a swarm may stop: the check failed, or what it judges in
// the end has long been changed.
func (d *damage) enough(p *proxy, s *swarm) bool {
	if d.inTheEnd() {
		return p.after.Load() > 40
	}
	n, _ := s.check.check(d.check)
	return n > 0
}

// wantFound shows that the verdict rests on what the bots receive: the same
// honest stage, with messages to one bot of eight changed on their way. All swarms
// run at the same time, since they mostly wait.
func wantFound(t *testing.T, damages []damage) {
	t.Helper()
	reports := make([]*Report, len(damages))
	var wg sync.WaitGroup
	proxies := make([]*proxy, len(damages))
	for i, d := range damages {
		st := newStage(t, 1, map[string]string{"lobby": d.game})
		cfg := quick(st, 8)
		proxies[i] = newProxy(t, st, cfg.Bots, d.f)
		cfg.URLs = []string{proxies[i].url}
		cfg.Behaviour.ReconnectEvery, cfg.Behaviour.BetProbability = -1, 1
		cfg.Settle = time.Second
		if d.inTheEnd() {
			cfg.Settle = 4 * time.Second // the other bots must have all
		}
		wg.Go(func() {
			reports[i] = playUntil(t, cfg, io.Discard, func(s *swarm) bool { return d.enough(proxies[i], s) })
		})
	}
	wg.Wait()
	for i, d := range damages {
		r := reports[i]
		if r == nil {
			t.Fatalf("%s: no report", d.name)
		}
		if proxies[i].after.Load() == 0 {
			t.Errorf("%s: the proxy changed nothing", d.name)
		}
		e := r.check(d.check).Examples
		if r.Passed() || r.check(d.check).Passed || len(e) == 0 || e[0].Detail == "" {
			t.Errorf("%s: the check %s passed, or gives no example", d.name, d.check)
			_ = r.WriteText(t.Output())
		}
	}
}

func TestTamperedFramesAreFound(t *testing.T) {
	t.Parallel()
	var held []byte
	wantFound(t, []damage{
		{"update altered", gameCrash, checkContent, onNth(wire.TypeUpdate, 5, func(b []byte) [][]byte {
			return one(bytes.Replace(b, []byte(`"e":"`), []byte(`"e":"x`), 1))
		})},
		{"update altered by a space", gameCrash, checkContent, onNth(wire.TypeUpdate, 5, func(b []byte) [][]byte { return one(append(b, ' ')) })},
		{"update dropped", gameCrash, checkOrder, onNth(wire.TypeUpdate, 5, func([]byte) [][]byte { return nil })},
		{"update doubled", gameCrash, checkOrder, onNth(wire.TypeUpdate, 5, func(b []byte) [][]byte { return [][]byte{b, b} })},
		{"updates reordered", gameCrash, checkOrder, func(k string, i int, b []byte) [][]byte {
			switch {
			case k == wire.TypeUpdate && i == 5:
				held = bytes.Clone(b)
				return nil
			case k == wire.TypeUpdate && i == 6:
				return [][]byte{b, held}
			}
			return one(b)
		}},
		{"feed stops, ticks go on", gameCrash, checkComplete, func(k string, i int, b []byte) [][]byte {
			if k == wire.TypeUpdate && i > 5 {
				return nil
			}
			return one(b)
		}},
		{"tick back in time", gameCrash, checkClock, onNth(wire.TypeTick, 9, func(b []byte) [][]byte {
			return one(edit(b, func(m map[string]any) { m["t"] = 1 }))
		})},
		{"tick behind the next update", gameCrash, checkClock, misplaceTick()},
		{"epoch back", gameCrash, checkClock, onNth(wire.TypeTick, 9, func(b []byte) [][]byte {
			return one(edit(b, func(m map[string]any) { m["epoch"] = 0 }))
		})},
	})
}

func TestTamperedResultsAreFound(t *testing.T) {
	t.Parallel()
	wantFound(t, []damage{
		{"answer lost", gameCrash, checkAnswers, onNth(wire.TypeAnswer, 1, func([]byte) [][]byte { return nil })},
		{"answer doubled", gameCrash, checkAnswers, onNth(wire.TypeAnswer, 1, func(b []byte) [][]byte { return [][]byte{b, b} })},
		{"answer to another key", gameCrash, checkAnswers, onNth(wire.TypeAnswer, 1, func(b []byte) [][]byte {
			return [][]byte{b, edit(b, func(m map[string]any) { m["key"] = "of-somebody-else" })}
		})},
		{"balance off by one", gameCrash, checkBooks, func(k string, i int, b []byte) [][]byte {
			if k == wire.TypeBalance && i > 1 {
				return one(edit(b, func(m map[string]any) {
					n, _ := m["amount"].(json.Number).Int64()
					m["amount"] = n + 1
				}))
			}
			return one(b)
		}},
		{"stake changed", gameCrash, checkRules, func(k string, i int, b []byte) [][]byte {
			if r := bytes.Replace(b, []byte(`"stake":`), []byte(`"stake":1`), 1); k == wire.TypeAnswer {
				return one(r)
			}
			return one(b)
		}},
		{"join at another position", gameCrash, checkOrder, onNth(wire.TypeJoined, 1, func(b []byte) [][]byte {
			return one(edit(b, func(m map[string]any) { m["position"] = map[string]any{"log": "log-lobby", "seq": 0} }))
		})},
		{"recovered from nothing", gameCrash, checkRecovery, onNth(wire.TypeJoined, 1, func(b []byte) [][]byte {
			return one(edit(b, func(m map[string]any) { m["recovered"] = true }))
		})},
		{"no JSON", gameCrash, checkProtocol, onNth(wire.TypeTick, 3, func(b []byte) [][]byte { return [][]byte{b, []byte(`{"type":`)} })},
		{"points taken away", gameRace, checkRules, func(k string, i int, b []byte) [][]byte {
			if k == wire.TypeAnswer && i > 3 {
				return one(edit(b, func(m map[string]any) {
					if r, ok := m["result"].(map[string]any); ok {
						r["points"] = 1
					}
				}))
			}
			return one(b)
		}},
	})
}

// TestUntouchedProxyPasses shows that the failures above are not the proxy's.
func TestUntouchedProxyPasses(t *testing.T) {
	t.Parallel()
	st := newStage(t, 1, map[string]string{"lobby": gameCrash})
	c := quick(st, 8)
	c.URLs = []string{newProxy(t, st, c.Bots, func(_ string, _ int, b []byte) [][]byte { return one(b) }).url}
	wantPassed(t, runUntil(t, c, func(s *swarm) bool { return s.now() > 3*time.Second && s.judged.Load() > 0 && s.allCompared() }))
}

// TestServerMovesBotsAround shows that a bot does what a gateway asks for, and
// that none of it is a failure.
func TestServerMovesBotsAround(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		count string
		again int64 // joins that follow from it
		pass  bool
		f     tamper
	}{
		{"move", countMoveAsked, 1, true, onNth(wire.TypeTick, 5, func(b []byte) [][]byte {
			return [][]byte{b, []byte(`{"type":"move","within_ms":50}`)}
		})},
		{"retry and shutdown", "connections closed with 3001", 1, true, onNth(wire.TypeTick, 5, func(b []byte) [][]byte {
			return [][]byte{b, []byte(`{"type":"retry","after_ms":100}`), []byte("close 3001")}
		})},
		{"lost without a word", "connections that broke", 1, true, onNth(wire.TypeTick, 5, func([]byte) [][]byte { return one([]byte("close 0")) })},
		{"kicked", "connections closed with 3503", 0, false, onNth(wire.TypeTick, 5, func([]byte) [][]byte { return one([]byte("close 3503")) })},
		{"skip and snapshot", countDegraded, 1, true, skipTo()},
		{"temporary join error", countRefused + "join unavailable", 0, true, refuseJoin},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			st := newStage(t, 1, map[string]string{"lobby": gameCrash})
			cfg := quick(st, 4)
			p := newProxy(t, st, cfg.Bots, c.f)
			cfg.URLs = []string{p.url}
			cfg.Behaviour.ReconnectEvery = -1
			r := runUntil(t, cfg, func(s *swarm) bool {
				return s.check.get(c.count) > 0 && p.joins.Load() >= p.bots+c.again && s.judged.Load() > 0 && s.allCompared()
			})
			if r.Passed() != c.pass {
				t.Errorf("passed: %t", r.Passed())
			}
			refused, _ := strings.CutPrefix(c.count, countRefused)
			if r.Counts[c.count]+r.Refusals[refused] != 1 {
				t.Errorf("%s: counted %v %v", c.count, r.Counts, r.Refusals)
			}
		})
	}
}

// TestBotsAskedToMoveGoElsewhere: who asks admits nobody any more.
func TestBotsAskedToMoveGoElsewhere(t *testing.T) {
	urls := []string{"ws://a/ws", "ws://b/ws", "ws://c/ws"}
	s, err := newSwarm(Config{URLs: urls, Rooms: []string{"lobby"}, Bots: 1}.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	b := s.bots[0]
	b.receive(newLink(b, urls[1], 0), []byte(`{"type":"move","within_ms":50}`), 0)
	for range 100 {
		if u := b.otherURL(); u == urls[1] {
			t.Fatalf("asked to move by %s, it goes there", u)
		}
	}
}

// skipTo leaves out three updates, says so, and goes on with a snapshot.
func skipTo() tamper {
	var from uint64
	var view json.RawMessage
	return func(kind string, n int, b []byte) [][]byte {
		h, _ := readHead(b)
		switch {
		case kind == wire.TypeJoined:
			var j wire.Joined
			if json.Unmarshal(b, &j) == nil {
				view = j.Snapshot
			}
		case kind == wire.TypeUpdate && n == 4:
			from = h.seq
			return nil
		case kind == wire.TypeUpdate && n == 5:
			return nil
		case kind == wire.TypeUpdate && n == 6:
			return [][]byte{
				mustJSON(wire.Skip{Type: wire.TypeSkip, Room: "lobby", From: from, To: h.seq}),
				mustJSON(wire.Joined{Type: wire.TypeJoined, Room: "lobby", Position: wire.Position{Log: "log-lobby", Seq: h.seq}, Epoch: 1, Source: wire.SourceSnapshot, Snapshot: view}),
			}
		}
		return one(b)
	}
}

// refuseJoin answers the first join with a temporary error, and keeps back what
// the stage sends of the room until the second.
func refuseJoin(kind string, n int, b []byte) [][]byte {
	if kind != wire.TypeJoined || n != 1 {
		return one(b)
	}
	var j wire.Joined
	if err := json.Unmarshal(b, &j); err != nil {
		return one(b)
	}
	return one(mustJSON(wire.ErrorMessage{
		Type: wire.TypeError, ID: j.ID, Room: j.Room, Error: *wire.Errorf(wire.CodeUnavailable, "not yet"),
	}))
}

// misplaceTick lets one tick name the first update that the client got, though at
// least two more have come since.
func misplaceTick() tamper {
	var first uint64
	done := false
	return func(kind string, _ int, b []byte) [][]byte {
		h, _ := readHead(b)
		switch {
		case kind == wire.TypeUpdate && first == 0:
			first = h.seq
		case kind == wire.TypeTick && first > 0 && h.seq >= first+2 && !done:
			done = true
			return one(edit(b, func(m map[string]any) { m["seq"] = first }))
		}
		return one(b)
	}
}
