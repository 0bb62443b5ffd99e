package app

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// asked is what an operator API was asked.
type asked struct {
	method, path, key, operator string
	body                        map[string]any
}

// operatorAPI answers everything with one answer, after those that come first.
type operatorAPI struct {
	status int
	answer string
	first  []string // with status 503

	mu  sync.Mutex
	got []asked // guarded by mu
}

func (a *operatorAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := asked{method: r.Method, path: r.URL.EscapedPath(), key: r.Header.Get("Authorization"), operator: r.Header.Get("X-Operator")}
	if b, _ := io.ReadAll(r.Body); len(b) > 0 {
		_ = json.Unmarshal(b, &q.body)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.got = append(a.got, q)
	if n := len(a.got); n <= len(a.first) {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, a.first[n-1])
		return
	}
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.answer)
}

// command runs a command line against an API that gives one answer.
func (a *operatorAPI) command(t *testing.T, args ...string) (code int, out string) {
	t.Helper()
	s := httptest.NewServer(a)
	defer s.Close()
	t.Setenv("TICKCAST_OPERATOR_KEY", goodSecret)
	var b bytes.Buffer
	code = Main(t.Context(), append(args, "--api", s.URL, "--as", "alice"), &b, &b)
	return code, b.String()
}

func TestOperatorCommands(t *testing.T) {
	for _, c := range []struct {
		line, method, path, body string
	}{
		{
			"rooms create vip --game race --name VIP --paused --set running_ms=9000 --set salt_source=x", "POST", "/api/rooms",
			`{"id":"vip","game":"race","name":"VIP","paused":true,"settings":{"running_ms":9000,"salt_source":"x"}}`,
		},
		{"rooms create plain", "POST", "/api/rooms", `{"id":"plain","game":"crash"}`},
		{"rooms start vip", "POST", "/api/rooms/vip/start", `{}`},
		{"rooms pause vip", "POST", "/api/rooms/vip/pause", `{}`},
		{"rooms resume vip", "POST", "/api/rooms/vip/resume", `{}`},
		{"rooms void vip", "POST", "/api/rooms/vip/void", `{}`},
		{"rooms close vip", "POST", "/api/rooms/vip/close", `{}`},
		{"rooms set vip min_stake=1000 rtp_bp=9900", "PATCH", "/api/rooms/vip/settings", `{"min_stake":1000,"rtp_bp":9900}`},
		{"players credit a@b 2.5 --reason prize", "POST", "/api/players/a@b/credit", `{"amount":250,"reason":"prize"}`},
		{"wallet done payout/1 --reason seen", "POST", "/api/wallet/done", `{"id":"payout/1","reason":"seen"}`},
		{"players mute bob --end", "POST", "/api/players/bob/mute", `{"until":0,"reason":""}`},
	} {
		api := &operatorAPI{status: 200, answer: "{}"}
		if code, out := api.command(t, strings.Fields(c.line)...); code != 0 || len(api.got) != 1 {
			t.Errorf("%s: exit code %d, %d requests: %s", c.line, code, len(api.got), out)
			continue
		}
		got, want := api.got[0], map[string]any{}
		if err := json.Unmarshal([]byte(c.body), &want); err != nil {
			t.Fatal(err)
		}
		gotBody, _ := json.Marshal(got.body)
		wantBody, _ := json.Marshal(want)
		if got.method != c.method || got.path != c.path || !bytes.Equal(gotBody, wantBody) {
			t.Errorf("%s: %s %s %s, want %s %s %s", c.line, got.method, got.path, gotBody, c.method, c.path, wantBody)
		}
		if got.key != "Bearer "+goodSecret || got.operator != "alice" {
			t.Errorf("%s: key %q, operator %q", c.line, got.key, got.operator)
		}
	}
}

func TestCreateManyRooms(t *testing.T) {
	api := &operatorAPI{status: 200, answer: "{}"}
	code, out := api.command(t, "rooms", "create", "many-[5-204]", "--game", "race", "--set", "tick_ms=1000")
	if code != 0 || out != "200 rooms were created\n" {
		t.Fatalf("exit code %d: %s", code, out)
	}
	made := map[any]bool{}
	for _, q := range api.got {
		settings, _ := q.body["settings"].(map[string]any)
		if q.path != "/api/rooms" || q.body["game"] != "race" || settings["tick_ms"] != 1000.0 {
			t.Errorf("%s %v", q.path, q.body)
		}
		made[q.body["id"]] = true
	}
	if len(api.got) != 200 || len(made) != 200 || !made["many-5"] || !made["many-204"] {
		t.Errorf("%d requests for %d rooms", len(api.got), len(made))
	}

	api = &operatorAPI{status: 409, answer: `{"error":{"code":"room_exists","message":"it exists"}}`}
	code, out = api.command(t, "rooms", "create", "many-[0-9999]")
	if code != 1 || !strings.Contains(out, "create room many-") || !strings.Contains(out, "it exists") || len(api.got) > 2*roomsAtOnce {
		t.Errorf("exit code %d after %d requests: %s", code, len(api.got), out)
	}
}

func TestSanctionLastsFromNow(t *testing.T) {
	api := &operatorAPI{status: 200, answer: "{}"}
	before := time.Now()
	if code, out := api.command(t, "players", "kick", "bob", "--for", "1h"); code != 0 {
		t.Fatal(out)
	}
	until, _ := api.got[0].body["until"].(float64)
	if at := time.UnixMilli(int64(until)); at.Before(before.Add(time.Hour-time.Second)) || at.After(time.Now().Add(time.Hour)) {
		t.Errorf("kicked until %v", at)
	}
}

func TestRoomsList(t *testing.T) {
	api := &operatorAPI{status: 200, answer: `{"rooms":[{"id":"lobby","game":"crash","name":"Lobby","state":"running","partition":3,"created":1767225600000,"players":12}]}`}
	code, out := api.command(t, "rooms", "list")
	want := "ROOM   GAME   STATE    PLAYERS  PARTITION  CREATED              NAME\n" +
		"lobby  crash  running  12       3          2026-01-01 00:00:00  Lobby\n"
	if code != 0 || out != want {
		t.Errorf("exit code %d:\n%s", code, out)
	}
	if code, out = api.command(t, "rooms", "list", "--json"); code != 0 || !strings.Contains(out, `"players":12`) {
		t.Errorf("exit code %d:\n%s", code, out)
	}
}

func TestRefusedAction(t *testing.T) {
	for _, c := range []struct {
		status       int
		answer, want string
	}{
		{409, `{"error":{"code":"room_exists","message":"room \"vip\" exists"}}`, `room "vip" exists (room_exists)`},
		{200, `{"error":{"code":"bad_args","message":"no"}}`, "no (bad_args)"},
		{502, `<html>`, "502 Bad Gateway"},
		{200, `<html>`, "read answer of the operator API"},
	} {
		api := &operatorAPI{status: c.status, answer: c.answer}
		if code, out := api.command(t, "rooms", "create", "vip"); code != 1 || !strings.Contains(out, c.want) || strings.Contains(out, goodSecret) {
			t.Errorf("exit code %d: %s, want %q", code, out, c.want)
		}
	}
}

// TestRefusedCommandLine wants an error before anything is asked.
func TestRefusedCommandLine(t *testing.T) {
	for line, want := range map[string]string{
		"rooms create VIP":                "is not a room ID",
		"rooms create a[2-1]":             "is no range",
		"rooms create vip --set a":        "is not of the form name=value",
		"rooms set vip a=1 a=2":           "given twice",
		"rooms set vip":                   "requires at least 2 arg",
		"players credit bob 1.234":        "is not an amount",
		"players credit bob -5":           "unknown shorthand flag",
		"players credit bob 0":            "is not an amount",
		"players credit bob 1.":           "is not an amount",
		"players credit bob 1.-5":         "is not an amount",
		"players mute bob --for 0s":       "over zero",
		"players mute bob --for 1h --end": "none of the others can be",
	} {
		api := &operatorAPI{status: 200, answer: "{}"}
		if code, out := api.command(t, strings.Fields(line)...); code != 1 || !strings.Contains(out, want) || len(api.got) != 0 {
			t.Errorf("%s: exit code %d, %d requests: %s, want %q", line, code, len(api.got), out, want)
		}
	}
}

// TestUnknownFlag wants the flag named that was meant, of the command that was given.
func TestUnknownFlag(t *testing.T) {
	for line, want := range map[string]string{
		"--lisen :1":                `unknown flag "--lisen": the nearest one is "--listen"`,
		"gateway --redis-uri=x":     `unknown flag "--redis-uri": the nearest one is "--redis-url"`,
		"rooms create vip --nam=x":  `unknown flag "--nam": the nearest one is "--name"`,
		"rooms create vip --apis=x": `unknown flag "--apis": the nearest one is "--api"`,
		"version --hlp":             `unknown flag "--hlp": the nearest one is "--help"`,
		"version -x":                "unknown shorthand flag",
		"serve --partitions=many":   "--partitions",
	} {
		var out bytes.Buffer
		if code := Main(t.Context(), strings.Fields(line), &out, &out); code != 1 || !strings.Contains(out.String(), want) {
			t.Errorf("%s: exit code %d: %s, want %q", line, code, &out, want)
		}
	}
}

// TestFirstRoomsAreAskedForAgain has the first tries fail as they do on a busy machine.
func TestFirstRoomsAreAskedForAgain(t *testing.T) {
	const unavailable, exists, bad = `{"error":{"code":"unavailable"}}`, `{"error":{"code":"room_exists"}}`, `{"error":{"code":"bad_args"}}`
	for _, c := range []struct {
		first []string
		last  string
		tries int
		ok    bool
	}{
		{nil, `{}`, 1, true},
		{[]string{unavailable, unavailable}, `{}`, 3, true},
		{[]string{unavailable}, exists, 2, true}, // the first one was done after all
		{nil, bad, 1, false},
	} {
		api := &operatorAPI{status: 200, answer: c.last, first: c.first}
		s := httptest.NewServer(api)
		client := newOperatorClient(s.URL, goodSecret, "first-start")
		err := makeRoom(t.Context(), slog.New(slog.DiscardHandler), client, roomRequest{ID: "lobby", Game: "crash"})
		s.Close()
		if (err == nil) != c.ok || len(api.got) != c.tries {
			t.Errorf("%v, then %s: %v after %d tries, want %d", c.first, c.last, err, len(api.got), c.tries)
		}
	}
}

func TestUnknownCommand(t *testing.T) {
	for line, want := range map[string]string{
		"swram":         `unknown command "swram": the nearest one is "swarm"`,
		"rooms lsit":    `unknown command "lsit": the nearest one is "list"`,
		"players kik x": `unknown command "kik": the nearest one is "kick"`,
		"room start":    `unknown command "start" for "tickcast room"`,
	} {
		var out bytes.Buffer
		if code := Main(t.Context(), strings.Fields(line), &out, &out); code != 1 || !strings.Contains(out.String(), want) {
			t.Errorf("%s: exit code %d: %s, want %q", line, code, &out, want)
		}
	}
}

func TestTokenIsSigned(t *testing.T) {
	t.Setenv("TICKCAST_JWT_SECRET", goodSecret)
	var out bytes.Buffer
	if code := Main(t.Context(), []string{"token", "alice", "--name", "Alice"}, &out, &out); code != 0 || strings.Count(out.String(), ".") != 2 {
		t.Errorf("exit code %d: %s", code, &out)
	}
	for _, args := range [][]string{{"token", "a.b"}, {"token", "alice", "--life", "-1h"}, {"token"}} {
		out.Reset()
		if code := Main(t.Context(), args, &out, &out); code != 1 {
			t.Errorf("%v: exit code %d: %s", args, code, &out)
		}
	}
}

func TestLocalURL(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:9090": "http://127.0.0.1:9090", "0.0.0.0:1": "http://127.0.0.1:1", ":2": "http://127.0.0.1:2",
		"[::]:3": "http://127.0.0.1:3", "[::1]:4": "http://[::1]:4", "box:5": "http://box:5",
	} {
		if got := localURL(address); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
}
