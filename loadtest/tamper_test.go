package loadtest

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"tickcast/wire"
)

// tamper decides what a client gets instead of a message from the server: the
// same, another, none or several. n counts the client's messages of that type.
type tamper func(kind string, n int, b []byte) [][]byte

// newProxy starts a gateway in front of the stage's first one. Its first
// connection is tampered with, all others are relayed as they are.
func newProxy(t testing.TB, st *stage, f tamper) string {
	t.Helper()
	var conns atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/guest", st.guest)
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		g := f
		if conns.Add(1) > 1 {
			g = func(_ string, _ int, b []byte) [][]byte { return [][]byte{b} }
		}
		relay(w, r, st.urls[0], g)
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(func() { srv.CloseClientConnections(); srv.Close() })
	return "ws" + strings.TrimPrefix(srv.URL, "http") + "/ws"
}

func relay(w http.ResponseWriter, r *http.Request, url string, f tamper) {
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
		seen[kind]++
		for _, out := range f(kind, seen[kind], b) {
			if down.Write(ctx, websocket.MessageText, out) != nil {
				return
			}
		}
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

// TestTamperedRunsFail shows that the verdict rests on what the bots receive: the
// same honest stage, with one message to one bot of eight changed on its way.
func TestTamperedRunsFail(t *testing.T) {
	t.Parallel()
	var held []byte
	for _, c := range []struct {
		name  string
		game  string
		check checkName
		f     tamper
	}{
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
		{"tick ahead of the next update", gameCrash, checkClock, onNth(wire.TypeTick, 9, func(b []byte) [][]byte {
			return one(edit(b, func(m map[string]any) { m["seq"] = 2 }))
		})},
		{"epoch back", gameCrash, checkClock, onNth(wire.TypeTick, 9, func(b []byte) [][]byte {
			return one(edit(b, func(m map[string]any) { m["epoch"] = 0 }))
		})},
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
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			st := newStage(t, 1, map[string]string{"lobby": c.game})
			cfg := quick(st, 8)
			cfg.URLs = []string{newProxy(t, st, c.f)}
			cfg.Behaviour.ReconnectEvery = -1
			cfg.Behaviour.BetProbability = 1
			cfg.Duration, cfg.Settle = 1500*time.Millisecond, 700*time.Millisecond
			r := run(t, cfg)
			if r.Passed() || r.check(c.check).Passed {
				t.Errorf("the check %s passed", c.check)
			}
			if e := r.check(c.check).Examples; len(e) == 0 || e[0].Detail == "" {
				t.Errorf("the check %s gives no example", c.check)
			}
		})
	}
}

// TestUntouchedProxyPasses shows that the failures above are not the proxy's.
func TestUntouchedProxyPasses(t *testing.T) {
	t.Parallel()
	st := newStage(t, 1, map[string]string{"lobby": gameCrash})
	c := quick(st, 8)
	c.URLs = []string{newProxy(t, st, func(_ string, _ int, b []byte) [][]byte { return one(b) })}
	wantPassed(t, run(t, c))
}
