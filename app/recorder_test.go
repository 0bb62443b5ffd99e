package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"tickcast/internal/testkit"
	edge "tickcast/server"
	"tickcast/wire"
)

// recorder is a player in one room, by the protocol and nothing else: he goes to the next
// gateway when his connection breaks, resumes where he was, sends a command again until
// it is answered, and keeps everything he is told.
type recorder struct {
	t            testing.TB // Static, as the next three.
	room, player string
	token        string

	mu      sync.Mutex // guards the rest
	sockets []string   // addresses of gateways
	away    bool       // he connects to none
	ws      *websocket.Conn
	log     string
	seq     uint64              // newest update
	first   uint64              // the update before the first that is kept
	base    json.RawMessage     // the snapshot there
	updates []string            // behind first
	sources map[wire.Source]int // from where it resumed, how often
	mayMiss bool                // the next join may bring a snapshot instead of the updates
	wrong   string              // what was against the protocol, first
	answers map[string]string   // by key
	round   recordedRound
	clock   int64               // newest game time, µs
	hooks   map[string]recorded // what to do when an update contains a text, once
	keys    int
}

// recordedJoin is what a client is told when it joins.
type recordedJoin struct {
	WasRecovering bool `json:"was_recovering"`
	Recovered     bool
	Source        wire.Source
	Position      wire.Position
	Snapshot      json.RawMessage
}

// recorded is told of an update, mostly on the connection's goroutine.
type recorded func(update string)

// recordedRound is what is known of the round.
type recordedRound struct {
	UUID     string
	Phase    string
	Round    uint64
	Start    int64 // µs
	Centi    int64
	Settings struct {
		BettingMS int64 `json:"betting_ms"`
		RTPBP     int64 `json:"rtp_bp"`
		Cap       int64
	}
	Fairness struct {
		Chain uint32
		Index uint64
		Salt  string
	}
}

// record has a player join a room through the first of some gateways.
func (d *deployment) record(player, room string, gateways ...*server) *recorder {
	d.t.Helper()
	token, err := edge.SignToken([]byte(testSecret), wire.Player{ID: player, Name: player}, time.Now().Add(time.Hour))
	if err != nil {
		d.t.Fatal(err)
	}
	r := &recorder{
		t: d.t, room: room, player: player, token: token,
		sources: map[wire.Source]int{}, answers: map[string]string{}, hooks: map[string]recorded{},
	}
	for _, g := range gateways {
		r.sockets = append(r.sockets, g.socket()+"/ws")
		testkit.Eventually(d.t, "the gateway knows the room", deadline, func() bool {
			_, list := g.get(g.public + "/api/rooms")
			return strings.Contains(list, `"`+room+`"`)
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	d.t.Cleanup(func() {
		cancel()
		<-ended
	})
	go func() {
		defer close(ended)
		r.stay(ctx)
	}()
	testkit.Eventually(d.t, player+" is in the room", deadline, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.log != ""
	})
	return r
}

// stay connects to one gateway after the other.
func (r *recorder) stay(ctx context.Context) {
	pause := time.NewTicker(50 * time.Millisecond)
	defer pause.Stop()
	for i := 0; ctx.Err() == nil; i++ {
		r.mu.Lock()
		socket, away := r.sockets[i%len(r.sockets)], r.away
		r.mu.Unlock()
		if !away {
			r.connect(ctx, socket)
		}
		select {
		case <-ctx.Done():
		case <-pause.C:
		}
	}
}

func (r *recorder) connect(ctx context.Context, socket string) {
	dial, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	ws, _, err := websocket.Dial(dial, socket, nil)
	if err != nil {
		return
	}
	defer func() { _ = ws.CloseNow() }()
	ws.SetReadLimit(-1)
	join := map[string]any{"type": "join", "id": 1, "room": r.room}
	r.mu.Lock()
	if r.log != "" {
		join["position"] = wire.Position{Log: r.log, Seq: r.seq}
	}
	r.mu.Unlock()
	for _, m := range []any{map[string]any{"type": "hello", "protocol": 1, "token": r.token}, join} {
		if say(ctx, ws, m) != nil {
			return
		}
	}
	for joined := false; ; {
		_, b, err := ws.Read(ctx)
		if err != nil {
			break
		}
		var refused bool
		if joined, refused = r.hear(b, joined); refused {
			break
		}
		r.mu.Lock()
		if joined {
			r.ws = ws
		}
		away := r.away
		r.mu.Unlock()
		if away { // since this connection was begun
			break
		}
	}
	r.mu.Lock()
	r.ws = nil
	r.mu.Unlock()
}

// stayAway ends the connection and begins none until it is told otherwise.
func (r *recorder) stayAway(away bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.away = away
	if r.ws != nil {
		_ = r.ws.CloseNow()
	}
}

// goTo has the next connection be to a gateway.
func (r *recorder) goTo(g *server) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sockets = []string{g.socket() + "/ws"}
}

func say(ctx context.Context, ws *websocket.Conn, message any) error {
	b, err := json.Marshal(message)
	if err != nil {
		return err
	}
	return ws.Write(ctx, websocket.MessageText, b)
}

// hear takes in a message. It returns whether the room is joined behind it, and whether
// the join was refused.
func (r *recorder) hear(b []byte, joined bool) (is, refused bool) {
	var m struct {
		recordedJoin
		Type, Room, Key, Code string
		Seq                   uint64
		T                     int64
		Events                []json.RawMessage
		ID                    uint64
	}
	if err := json.Unmarshal(b, &m); err != nil {
		r.fault("no JSON: %s", b)
		return joined, false
	}
	r.mu.Lock()
	r.clock = max(r.clock, m.T)
	r.mu.Unlock()
	switch m.Type {
	case wire.TypeJoined:
		r.onJoined(m.recordedJoin)
		return true, false
	case wire.TypeError:
		return joined, m.ID == 1
	case wire.TypeUpdate:
		r.onUpdate(m.Seq, string(b), m.Events)
	case wire.TypeAnswer:
		r.mu.Lock()
		if was, ok := r.answers[m.Key]; ok && was != string(b) {
			r.wrong = fmt.Sprintf("two answers to %s: %s and %s", m.Key, was, b)
		}
		if !strings.Contains(string(b), `"code":"unavailable"`) {
			r.answers[m.Key] = string(b)
		}
		r.mu.Unlock()
	case wire.TypePing:
		r.mu.Lock()
		ws := r.ws
		r.mu.Unlock()
		if ws != nil {
			_ = say(context.Background(), ws, map[string]any{"type": "pong", "id": m.ID}) // a broken connection is noticed by reading
		}
	}
	return joined, false
}

func (r *recorder) fault(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.wrong == "" {
		r.wrong = fmt.Sprintf(format, args...)
	}
}

func (r *recorder) onJoined(j recordedJoin) {
	r.mu.Lock()
	defer r.mu.Unlock()
	again, whole := r.log != "", len(j.Snapshot) > 0
	if again { // the first join resumes nothing
		r.sources[j.Source]++
	}
	if j.WasRecovering != again || j.Recovered == whole || j.Recovered == (j.Source == wire.SourceSnapshot) {
		r.wrong = fmt.Sprintf("joined with a position: %t, it is told %t; recovered: %t, from %s, a snapshot: %t", again, j.WasRecovering, j.Recovered, j.Source, whole)
	}
	switch p := j.Position; {
	case !again:
		r.log, r.first, r.seq, r.base = p.Log, p.Seq, p.Seq, j.Snapshot
	case r.mayMiss && whole && p.Log == r.log && p.Seq > r.seq:
		r.first, r.seq, r.base, r.updates, r.mayMiss = p.Seq, p.Seq, j.Snapshot, nil, false
	case whole || p != wire.Position{Log: r.log, Seq: r.seq}:
		r.wrong = fmt.Sprintf("at update %d of %s it resumed at %v, recovered: %t, from %s", r.seq, r.log, p, j.Recovered, j.Source)
	}
	if whole {
		_ = json.Unmarshal(j.Snapshot, &r.round) // of another game it has fewer fields
	}
}

func (r *recorder) onUpdate(seq uint64, text string, events []json.RawMessage) {
	r.mu.Lock()
	if seq != r.seq+1 && r.wrong == "" {
		r.wrong = fmt.Sprintf("update %d came behind %d", seq, r.seq)
	}
	r.seq = seq
	r.updates = append(r.updates, text)
	for _, e := range events {
		var kind struct{ E string }
		if json.Unmarshal(e, &kind) == nil && (kind.E == "phase" || kind.E == "void") {
			_ = json.Unmarshal(e, &r.round) // fields that the event does not have stay
		}
		if kind.E == "void" {
			r.round.Phase = "crashed"
		}
	}
	var due []recorded
	for part, hook := range r.hooks {
		if strings.Contains(text, part) {
			due = append(due, hook)
			delete(r.hooks, part)
		}
	}
	r.mu.Unlock()
	for _, hook := range due {
		hook(text)
	}
}

// when has something done as soon as an update with a text comes, once.
func (r *recorder) when(text string, do recorded) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hooks[text] = do
}

// at has something done as soon as a phase of a round is told, at once if it has been.
func (r *recorder) at(phase string, round uint64, do recorded) {
	text := fmt.Sprintf(`"phase":%q,"round":%d,`, phase, round)
	r.mu.Lock()
	i := slices.IndexFunc(r.updates, func(u string) bool { return strings.Contains(u, text) })
	if i < 0 {
		r.hooks[text] = do
		r.mu.Unlock()
		return
	}
	update := r.updates[i]
	r.mu.Unlock()
	do(update)
}

// now is the round as it is known, and the newest game time, µs.
func (r *recorder) now() (recordedRound, int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.round, r.clock
}

// await waits until the room is in a phase, and returns the round.
func (r *recorder) await(phase string) recordedRound {
	r.t.Helper()
	var now recordedRound
	testkit.Eventually(r.t, "the phase "+phase, deadline, func() bool {
		now, _ = r.now()
		return now.Phase == phase
	})
	return now
}

// begin sends a command; answer waits for its answer.
func (r *recorder) begin(op string, round uint64, args any) *sentCommand {
	r.mu.Lock()
	r.keys++
	c := &sentCommand{r: r, key: fmt.Sprint("k", r.keys), message: map[string]any{
		"type": "cmd", "room": r.room, "key": fmt.Sprint("k", r.keys), "op": op, "round": round, "args": args,
	}}
	r.mu.Unlock()
	c.send()
	return c
}

// sentCommand is a command on its way.
type sentCommand struct {
	r       *recorder
	key     string
	message map[string]any
	sent    time.Time
}

func (c *sentCommand) send() {
	c.r.mu.Lock()
	ws := c.r.ws
	c.r.mu.Unlock()
	c.sent = time.Now()
	if ws != nil {
		_ = say(context.Background(), ws, c.message) // sent again if it got lost
	}
}

// answer sends the command again until it is answered.
func (c *sentCommand) answer() string {
	c.r.t.Helper()
	var text string
	testkit.Eventually(c.r.t, "an answer to "+c.r.player+"'s "+c.key, deadline, func() bool {
		c.r.mu.Lock()
		text = c.r.answers[c.key]
		c.r.mu.Unlock()
		if text == "" && time.Since(c.sent) > time.Second {
			c.send()
		}
		return text != ""
	})
	return text
}

// wantOK wants the command to be accepted, and reads its result.
func (c *sentCommand) wantOK(result any) {
	c.r.t.Helper()
	var a struct {
		OK     bool
		Result json.RawMessage
	}
	text := c.answer()
	if err := json.Unmarshal([]byte(text), &a); err != nil || !a.OK {
		c.r.t.Fatalf("%s: %v: %s", c.r.player, c.message, text)
	}
	if result != nil {
		if err := json.Unmarshal(a.Result, result); err != nil {
			c.r.t.Fatal(err)
		}
	}
}

// wantSame wants recorders of a room to have unbroken sequences that agree.
func wantSame(t testing.TB, all ...*recorder) {
	t.Helper()
	known := map[uint64]string{}
	for _, r := range all {
		r.mu.Lock()
		if r.wrong != "" {
			t.Errorf("%s: %s", r.player, r.wrong)
		}
		for i, text := range r.updates {
			seq := r.first + 1 + uint64(i)
			if was, ok := known[seq]; ok && was != text {
				t.Errorf("update %d is\n%s\nand\n%s", seq, was, text)
			}
			known[seq] = text
		}
		r.mu.Unlock()
	}
}
