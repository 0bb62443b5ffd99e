package operator_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"tickcast/bus"
	"tickcast/internal/testkit"
	"tickcast/server/operator"
	"tickcast/wire"
)

const (
	key        = "the operator's key, long enough"
	partitions = 2
	deadline   = 20 * time.Second
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// desk is an API with a real NATS and a peer that answers as owner of all
// partitions and as ledger worker.
type desk struct {
	t    *testing.T
	api  *operator.API
	http *httptest.Server
	room *nats.Conn

	mu      sync.Mutex
	seen    []action
	refuse  *wire.Error
	mute    bool // answers are kept, not said
	answers map[string]json.RawMessage
	queries []wire.LedgerQuery
}

type action struct {
	subject string
	wire.Action
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	// nats-server 2.15 has a data race when a stream's first sync comes while the stream is being made.
	e, err := bus.StartEmbedded(bus.EmbeddedConfig{StoreDir: t.TempDir(), SyncInterval: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Shutdown)
	connect := func(r bus.Role) *nats.Conn {
		nc, err := e.Connect(r, "test")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		return nc
	}
	d := &desk{t: t, room: connect(bus.RoleRoom), answers: map[string]json.RawMessage{}}
	if err := bus.EnsureStreams(t.Context(), d.room, bus.Layout{Partitions: partitions}); err != nil {
		t.Fatal(err)
	}
	for p := range partitions {
		d.subscribe(d.room, wire.FeedSubject(p), d.record)
		d.subscribe(d.room, wire.AskSubject(p), d.ask)
	}
	d.subscribe(connect(bus.RoleLedger), wire.LedgerQuerySubject, d.query)
	console := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `"console"`) })
	d.api, err = operator.New(operator.Config{ID: "op", Conn: connect(bus.RoleOperator), Partitions: partitions, Key: key, Hosts: []string{"ops.internal"}, Console: console})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.api.Run(ctx) }()
	d.http = httptest.NewServer(d.api.Handler())
	t.Cleanup(func() {
		d.http.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	testkit.Eventually(t, "the API is ready", deadline, func() bool { return d.api.Ready() == "" })
	return d
}

func (d *desk) subscribe(nc *nats.Conn, subject string, h nats.MsgHandler) {
	d.t.Helper()
	if _, err := nc.Subscribe(subject, h); err != nil {
		d.t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		d.t.Fatal(err)
	}
}

// record answers an action in the log.
func (d *desk) record(m *nats.Msg) {
	subject := strings.SplitN(m.Subject, ".", 3)[2]
	kind, _, room, _ := wire.ParseLogSubject(subject)
	var a wire.Action
	if kind != wire.KindAction || json.Unmarshal(m.Data, &a) != nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen = append(d.seen, action{subject, a})
	answer, _ := json.Marshal(wire.Answer{Type: wire.TypeAnswer, Room: room, Key: a.ID, OK: d.refuse == nil, Error: d.refuse})
	d.answers[a.ID] = answer
	if !d.mute {
		list, _ := json.Marshal([]wire.RoutedAnswer{{Room: room, Key: a.ID, Answer: answer}})
		_ = d.room.Publish(wire.AnswerSubject(a.ReplyTo), list)
	}
}

func (d *desk) ask(m *nats.Msg) {
	var a wire.Ask
	_ = json.Unmarshal(m.Data, &a)
	d.mu.Lock()
	defer d.mu.Unlock()
	reply := wire.AskReply{Answer: d.answers[a.Key], View: json.RawMessage(`{"game":"crash","settings":{"cap":5},"next_settings":null}`)}
	if a.Room == "nowhere" {
		reply = wire.AskReply{Error: wire.Errorf(wire.CodeUnknownRoom, "no")}
	}
	b, _ := json.Marshal(reply)
	_ = m.Respond(b)
}

func (d *desk) query(m *nats.Msg) {
	var q wire.LedgerQuery
	_ = json.Unmarshal(m.Data, &q)
	d.mu.Lock()
	d.queries = append(d.queries, q)
	d.mu.Unlock()
	_ = m.Respond([]byte(`{"data":{"op":"` + q.Op + `"}}`))
}

// call asks the API as an operator would. edit may change the request.
func (d *desk) call(method, path, body string, edit func(*http.Request)) (int, string) {
	d.t.Helper()
	r, err := http.NewRequestWithContext(d.t.Context(), method, d.http.URL+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	if edit != nil {
		edit(r)
	}
	res, err := d.http.Client().Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

func (d *desk) want(why, method, path, body string, status int, text string) {
	d.t.Helper()
	got, b := d.call(method, path, body, nil)
	if got != status || !strings.Contains(b, text) {
		d.t.Fatalf("%s: %d %s, want %d with %s", why, got, b, status, text)
	}
}

func (d *desk) last() action {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.seen[len(d.seen)-1]
}

// Each action is a record where it belongs, with who did it.
func TestActions(t *testing.T) {
	d := newDesk(t)
	for _, c := range []struct{ method, path, body, room, op, args string }{
		{"POST", "/api/rooms", `{"id":"vip","game":"race","name":"VIP","paused":true,"settings":{"x":1}}`, "vip", "create", `"game":"race","name":"VIP","paused":true,"settings":{"x":1}`},
		{"POST", "/api/rooms/vip/start", ``, "vip", "start", ``},
		{"POST", "/api/rooms/vip/pause", `{}`, "vip", "pause", ``},
		{"POST", "/api/rooms/vip/resume", `{}`, "vip", "resume", ``},
		{"POST", "/api/rooms/vip/void", `{}`, "vip", "void", ``},
		{"POST", "/api/rooms/vip/close", `{}`, "vip", "close", ``},
		{"PATCH", "/api/rooms/vip/settings", `{"cap":1000}`, "vip", "set", `{"cap":1000}`},
		{"POST", "/api/players/ann/credit", `{"amount":500,"reason":"prize"}`, "_", "credit", `{"player":"ann","amount":500,"reason":"prize"}`},
		{"POST", "/api/players/ann/mute", `{"until":0}`, "_", "mute", `{"player":"ann"}`},
		{"POST", "/api/players/a@b/kick", `{"until":99}`, "_", "kick", `{"player":"a@b","until":99}`},
	} {
		status, text := d.call(c.method, c.path, c.body, func(r *http.Request) { r.Header.Set("X-Operator", "alice") })
		if status != http.StatusOK || !strings.Contains(text, `"ok":true`) {
			t.Fatalf("%s %s: %d %s", c.method, c.path, status, text)
		}
		a := d.last()
		player := strings.Split(c.path, "/")[3:]
		p := wire.PartitionOf(c.room, partitions)
		if c.room == wire.CashierRoom {
			p = wire.PartitionOf(player[0], partitions)
		}
		if a.subject != wire.ActionSubject(p, c.room) || a.Op != c.op || a.Operator != "alice" || a.At == 0 || !strings.Contains(string(a.Args), c.args) {
			t.Errorf("%s %s: %s %+v %s", c.method, c.path, a.subject, a.Action, a.Args)
		}
	}
	d.want("no name", "POST", "/api/rooms/vip/start", "", http.StatusOK, "")
	if a := d.last(); a.Operator != "operator" {
		t.Errorf("operator %q", a.Operator)
	}
	d.want("for a time", "POST", "/api/players/ann/kick", `{"seconds":3600}`, http.StatusOK, "")
	var args wire.PlayerArgs
	if err := json.Unmarshal(d.last().Args, &args); err != nil || time.Until(time.UnixMilli(args.Until)) < 50*time.Minute {
		t.Errorf("until %d", args.Until)
	}
}

// An answer that was lost is asked for; a refusal is passed on with its status.
func TestAnswers(t *testing.T) {
	d := newDesk(t)
	d.mute = true
	d.want("asked for", "POST", "/api/rooms/vip/start", "", http.StatusOK, `"ok":true`)
	for code, status := range map[wire.Code]int{
		wire.CodeNoRoom: http.StatusNotFound, wire.CodeRoomExists: http.StatusConflict, wire.CodeAlreadyRunning: http.StatusConflict,
		wire.CodeBadSettings: http.StatusBadRequest,
	} {
		d.mu.Lock()
		d.mute, d.refuse = false, wire.Errorf(code, "no")
		d.mu.Unlock()
		d.want("refused", "POST", "/api/rooms/vip/start", "", status, string(code))
	}
}

func TestBadRequests(t *testing.T) {
	d := newDesk(t)
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", "/api/rooms", `{"id":"V.I.P"}`, http.StatusBadRequest},
		{"POST", "/api/rooms", `{"id":"vip","uuid":"x"}`, http.StatusBadRequest},
		{"POST", "/api/rooms", `{"id":"vip","nmae":"x"}`, http.StatusBadRequest},
		{"POST", "/api/rooms", `{"id":"vip"} {}`, http.StatusBadRequest},
		{"POST", "/api/rooms", `[`, http.StatusBadRequest},
		{"POST", "/api/rooms", `{"id":"` + strings.Repeat("x", 20<<10) + `"}`, http.StatusBadRequest},
		{"POST", "/api/rooms/_/start", ``, http.StatusBadRequest},
		{"POST", "/api/rooms/vip/fly", ``, http.StatusNotFound},
		{"PATCH", "/api/rooms/vip/settings", `{}`, http.StatusBadRequest},
		{"PATCH", "/api/rooms/vip/settings", `[]`, http.StatusBadRequest},
		{"POST", "/api/players/a.b/credit", `{"amount":100}`, http.StatusBadRequest},
		{"POST", "/api/players/ann/praise", `{}`, http.StatusNotFound},
		{"POST", "/api/players/ann/mute", `{}`, http.StatusBadRequest},
		{"POST", "/api/players/ann/kick", `{"until":1,"seconds":1}`, http.StatusBadRequest},
		{"POST", "/api/players/ann/kick", `{"seconds":-1}`, http.StatusBadRequest},
		{"GET", "/api/audit?limit=1000", ``, http.StatusBadRequest},
		{"GET", "/api/nothing", ``, http.StatusNotFound},
	} {
		if status, text := d.call(c.method, c.path, c.body, nil); status != c.status || !strings.Contains(text, `{"error":{"code":`) {
			t.Errorf("%s %s %.40s: %d %.200s, want %d", c.method, c.path, c.body, status, text, c.status)
		}
	}
	status, _ := d.call("POST", "/api/rooms/vip/start", "", func(r *http.Request) { r.Header.Set("X-Operator", strings.Repeat("x", 65)) })
	if status != http.StatusBadRequest {
		t.Errorf("a long name: %d", status)
	}
	if len(d.seen) != 0 {
		t.Errorf("%d actions are in the log", len(d.seen))
	}
}

// Without the key, under a foreign name, or from another origin nothing is told.
func TestGuard(t *testing.T) {
	d := newDesk(t)
	host := strings.TrimPrefix(d.http.URL, "http://")
	for _, c := range []struct {
		name, path, key, host, origin, cookie string
		status                                int
	}{
		{name: "good", path: "/api/rooms", key: "Bearer " + key, status: http.StatusOK},
		{name: "same origin", path: "/api/rooms", key: "Bearer " + key, origin: "http://" + host, status: http.StatusOK},
		{name: "a configured name", path: "/api/rooms", key: "Bearer " + key, host: "OPS.internal:1", status: http.StatusOK},
		{name: "localhost", path: "/api/rooms", key: "Bearer " + key, host: "localhost:1", status: http.StatusOK},
		{name: "IPv6", path: "/api/rooms", key: "Bearer " + key, host: "[::1]:1", status: http.StatusOK},
		{name: "the page is open", path: "/console", status: http.StatusOK},
		{name: "no key", path: "/api/rooms", status: http.StatusUnauthorized},
		{name: "no key, no such path", path: "/api/nothing", status: http.StatusUnauthorized},
		{name: "wrong key", path: "/api/rooms", key: "Bearer " + key + "x", status: http.StatusUnauthorized},
		{name: "not a bearer", path: "/api/rooms", key: key, status: http.StatusUnauthorized},
		{name: "a cookie", path: "/api/rooms", cookie: "key=" + key, status: http.StatusUnauthorized},
		{name: "profiles", path: "/debug/pprof/cmdline", status: http.StatusUnauthorized},
		{name: "profiles with key", path: "/debug/pprof/cmdline", key: "Bearer " + key, status: http.StatusOK},
		{name: "a rebound name", path: "/api/rooms", key: "Bearer " + key, host: "evil.test", status: http.StatusMisdirectedRequest},
		{name: "a rebound name for the page", path: "/console", host: "evil.test", status: http.StatusMisdirectedRequest},
		{name: "another origin", path: "/api/rooms", key: "Bearer " + key, origin: "http://evil.test", status: http.StatusForbidden},
		{name: "no origin", path: "/api/rooms", key: "Bearer " + key, origin: "null", status: http.StatusForbidden},
	} {
		status, text := d.call("GET", c.path, "", func(r *http.Request) {
			r.Header.Del("Authorization")
			for name, value := range map[string]string{"Authorization": c.key, "Origin": c.origin, "Cookie": c.cookie} {
				if value != "" {
					r.Header.Set(name, value)
				}
			}
			if c.host != "" {
				r.Host = c.host
			}
		})
		if status != c.status {
			t.Errorf("%s: %d %s, want %d", c.name, status, text, c.status)
		}
	}
	for _, cfg := range []operator.Config{{}, {ID: "op"}, {ID: "op", Conn: d.room, Key: "short"}, {ID: "o.p", Conn: d.room, Key: key}} {
		if _, err := operator.New(cfg); err == nil {
			t.Errorf("accepted: %+v", cfg)
		}
	}
}

// What the console shows.
func TestViews(t *testing.T) {
	d := newDesk(t)
	publish := func(subject string, v any) {
		b, _ := json.Marshal(v)
		if err := d.room.Publish(subject, b); err != nil {
			t.Fatal(err)
		}
	}
	say := func() {
		publish(wire.NodeSubject("room", "r1"), wire.NodeInfo{ID: "r1", Role: "room", Partitions: []wire.PartitionInfo{{Partition: 0, Owner: true, Epoch: 7, Seq: 50}, {Partition: 1, Lag: 3}}})
		publish(wire.NodeSubject("room", "r2"), wire.NodeInfo{ID: "r2", Role: "room", Partitions: []wire.PartitionInfo{{Partition: 0, Owner: true, Epoch: 5, Seq: 40}}})
		publish(wire.NodeSubject("room", "r3"), wire.NodeInfo{ID: "r1", Role: "room", Version: "a lie"})
	}
	testkit.Eventually(t, "the nodes are there", deadline, func() bool {
		say()
		_, text := d.call("GET", "/api/nodes", "", nil)
		return strings.Contains(text, `"id":"r1"`) && strings.Contains(text, `"id":"r2"`)
	})
	if _, text := d.call("GET", "/api/nodes", "", nil); strings.Contains(text, "a lie") {
		t.Errorf("a node spoke for another: %s", text)
	}
	say()
	_, text := d.call("GET", "/api/partitions", "", nil)
	var got struct {
		Partitions []struct {
			Partition int
			Owner     string
			Epoch     uint64
			Replicas  []json.RawMessage
		}
	}
	if err := json.Unmarshal([]byte(text), &got); err != nil || len(got.Partitions) != 2 || got.Partitions[0].Owner != "r1" || got.Partitions[0].Epoch != 7 || len(got.Partitions[0].Replicas) != 2 || got.Partitions[1].Owner != "" {
		t.Errorf("partitions: %s", text)
	}
	d.want("streams", "GET", "/api/log", "", http.StatusOK, `{"name":"P1","messages":0`)
	d.want("settings", "GET", "/api/rooms/vip/settings", "", http.StatusOK, `{"next_settings":null,"settings":{"cap":5}}`)
	d.want("settings of nothing", "GET", "/api/rooms/nowhere/settings", "", http.StatusNotFound, "unknown_room")
	d.want("audit", "GET", "/api/audit?limit=7&before=c", "", http.StatusOK, `{"op":"audit"}`)
	d.mu.Lock()
	if q := d.queries[0]; q.Limit != 7 || q.Before != "c" {
		t.Errorf("asked %+v", q)
	}
	d.mu.Unlock()
	d.want("sessions", "GET", "/api/sessions", "", http.StatusOK, `{"op":"sessions"}`)
	d.want("ledger", "GET", "/api/ledger", "", http.StatusOK, `{"op":"health"}`)
	d.want("no rooms yet", "GET", "/api/rooms", "", http.StatusOK, `{"rooms":[]}`)
}
