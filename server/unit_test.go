package server

import (
	"context"
	"fmt"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/nats-io/nats.go"
	"pgregory.net/rapid"

	"tickcast/cache"
	"tickcast/fanout"
	"tickcast/server/internal/peer"
	"tickcast/wire"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// P2.1, P6.1: every path through a silent connection's life.
func TestLiveness(t *testing.T) {
	l := liveness{hello: 5 * time.Second, interval: 25 * time.Second, timeout: 8 * time.Second, opened: start}
	var awake time.Time
	step := func(why string, at time.Duration, want duty, wantWait time.Duration) {
		t.Helper()
		if got, wait := l.next(start.Add(at), awake); got != want || wait != wantWait {
			t.Fatalf("%s: duty %d after %v, want %d after %v", why, got, wait, want, wantWait)
		}
	}
	step("no hello yet", 2*time.Second, dutyNone, 3*time.Second)
	step("no hello in time", 5*time.Second, dutyStale, 0)
	awake = start.Add(7 * time.Second)
	step("perhaps it waits to be read", 7*time.Second, dutyNone, 5*time.Second)
	step("nothing was there", 12*time.Second, dutyStale, 0)
	l.heard(start.Add(4 * time.Second))
	l.greeted.Store(true)
	step("hello was said", 5*time.Second, dutyNone, 24*time.Second)
	step("silence", 29*time.Second, dutyPing, 8*time.Second)
	step("not yet over", 36*time.Second, dutyNone, time.Second)
	l.heard(start.Add(36500 * time.Millisecond))
	step("any message is an answer", 37*time.Second, dutyNone, 24500*time.Millisecond)
	step("silence again", 62*time.Second, dutyPing, 8*time.Second)
	step("no answer", 70*time.Second, dutyMute, 0)
	awake = start.Add(90 * time.Second)
	step("perhaps the answer waits to be read", 90*time.Second, dutyNone, 8*time.Second)
	step("none was there", 98*time.Second, dutyMute, 0)
}

// A due time within the wheel's turn is met within a step, never early.
func TestWheel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWheel()
		ctx, cancel := context.WithCancel(t.Context())
		var done sync.WaitGroup
		done.Go(func() { w.run(ctx) })
		begin := time.Now()
		for _, wait := range []time.Duration{1, time.Second, 5 * time.Second, 31 * time.Second} {
			done.Go(func() {
				met, visits := make(chan time.Time, 3), 0
				timer := &wheelTimer{visit: func(now time.Time) time.Duration {
					met <- now
					if visits++; visits < 2 {
						return wait
					}
					return 0
				}}
				w.add(timer, wait)
				for n := range 2 {
					late := (<-met).Sub(begin) - wait*time.Duration(n+1)
					if late < 0 || late > time.Duration(n+1)*2*wheelStep {
						t.Errorf("visit %d after %v is %v late", n, wait, late)
					}
				}
			})
		}
		gone := &wheelTimer{visit: func(time.Time) time.Duration { t.Error("visited after remove"); return 0 }}
		w.add(gone, time.Second)
		w.remove(gone)
		w.remove(gone)
		time.Sleep(2 * time.Minute)
		cancel()
		done.Wait()
	})
}

// A wheel knows since when it turns without having stood still.
func TestWheelThatStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWheel()
		ctx, cancel := context.WithCancel(t.Context())
		var done sync.WaitGroup
		done.Go(func() { w.run(ctx) })
		stand := func(d time.Duration) {
			t.Helper()
			moved := make(chan time.Time, 2)
			w.add(&wheelTimer{visit: func(time.Time) time.Duration { time.Sleep(d); moved <- time.Now(); return 0 }}, 1)
			w.add(&wheelTimer{visit: func(time.Time) time.Duration { moved <- w.awake; return 0 }}, 2*time.Second)
			until := <-moved
			if awake := <-moved; (d > stoodStill) != !awake.Before(until) || awake.Sub(until) > wheelStep {
				t.Errorf("it stood still for %v until %v, and is awake since %v", d, until, awake)
			}
		}
		stand(0)
		stand(stoodStill - wheelStep)
		stand(20 * time.Second)
		stand(0)
		cancel()
		done.Wait()
	})
}

// P1.6, P5.2: never more than the limit in any stretch of the window.
func TestWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := window{limit: rapid.IntRange(1, 5).Draw(t, "limit"), length: 10 * time.Second}
		now := start
		var allowed []time.Time
		for _, ms := range rapid.SliceOfN(rapid.IntRange(0, 6000), 1, 60).Draw(t, "pauses") {
			now = now.Add(time.Duration(ms) * time.Millisecond)
			within := 0
			for _, a := range allowed {
				if now.Sub(a) < w.length {
					within++
				}
			}
			if got := w.allow(now); got != (within < w.limit) {
				t.Fatalf("%d within the window, limit %d: allowed %v", within, w.limit, got)
			} else if got {
				allowed = append(allowed, now)
			}
		}
	})
}

// P6.7.
func TestConduct(t *testing.T) {
	c := newConduct(50, 100)
	count := map[verdict]int{}
	for range 1100 {
		count[c.arrived(start)]++
	}
	if count[verdictPass] != 100 || count[verdictLimited] != 900 || count[verdictFlood] != 100 {
		t.Errorf("at once: %v", count)
	}
	c = newConduct(50, 100)
	for i := range 3000 { // a minute at the rate that is allowed
		if v := c.arrived(start.Add(time.Duration(i) * 20 * time.Millisecond)); v != verdictPass {
			t.Fatalf("message %d: %d", i, v)
		}
	}
}

func TestKeyedLimiter(t *testing.T) {
	l := newKeyedLimiter(tokenBuckets(1, 2))
	for _, want := range []bool{true, true, false} {
		if l.allow("a", start) != want || !l.allow(fmt.Sprint("other", want), start) {
			t.Fatal("a bucket concerns another key")
		}
	}
	if !l.allow("a", start.Add(time.Second)) {
		t.Error("no new token after a second")
	}
	for i := range 2 * limitedKeys {
		l.allow(fmt.Sprint(i), start)
	}
	if l.used.Len() != limitedKeys || len(l.byKey) != limitedKeys {
		t.Errorf("%d keys are kept", l.used.Len())
	}
}

func TestClientAddress(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, c := range []struct{ peer, forwarded, want string }{
		{"1.2.3.4:5", "", "1.2.3.4"},
		{"1.2.3.4:5", "9.9.9.9", "1.2.3.4"},
		{"10.0.0.1:5", "9.9.9.9", "9.9.9.9"},
		{"10.0.0.1:5", "6.6.6.6, 9.9.9.9, 10.0.0.2", "9.9.9.9"},
		{"10.0.0.1:5", "6.6.6.6,  nonsense", "10.0.0.1"},
		{"10.0.0.1:5", "10.1.1.1", "10.1.1.1"},
		{"[::ffff:10.0.0.1]:5", "2001:db8::1", "2001:db8::1"},
		{"[fd00::1]:5", "[2001:db8::1]:443", "2001:db8::1"},
		{"nonsense", "9.9.9.9", "invalid IP"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.peer
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if got := clientAddress(r, trusted); got.String() != c.want {
			t.Errorf("%s forwarded for %q: %s, want %s", c.peer, c.forwarded, got, c.want)
		}
	}
	if a, b := limitKey(netip.MustParseAddr("2001:db8::1")), limitKey(netip.MustParseAddr("2001:db8::ffff")); a != b {
		t.Errorf("one /64 has the keys %s and %s", a, b)
	}
}

// P2.3.
func TestToken(t *testing.T) {
	current, previous, other := []byte(strings.Repeat("c", 32)), []byte(strings.Repeat("p", 32)), []byte(strings.Repeat("o", 32))
	keys := tokenKeys{current, previous}
	sign := func(key []byte, method jwt.SigningMethod, c jwt.MapClaims) string {
		s, err := jwt.NewWithClaims(method, c).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	exp := start.Add(time.Hour).Unix()
	for name, c := range map[string]struct {
		token string
		ok    bool
	}{
		"good":              {sign(current, jwt.SigningMethodHS256, jwt.MapClaims{"sub": "a:b@c+d-e_F1", "exp": exp, "name": "Ä"}), true},
		"without a name":    {sign(current, jwt.SigningMethodHS256, jwt.MapClaims{"sub": strings.Repeat("x", 64), "exp": exp}), true},
		"previous key":      {sign(previous, jwt.SigningMethodHS256, jwt.MapClaims{"sub": "a", "exp": exp}), true},
		"another key":       {sign(other, jwt.SigningMethodHS256, jwt.MapClaims{"sub": "a", "exp": exp}), false},
		"another algorithm": {sign(current, jwt.SigningMethodHS512, jwt.MapClaims{"sub": "a", "exp": exp}), false},
		"expired":           {sign(current, jwt.SigningMethodHS256, jwt.MapClaims{"sub": "a", "exp": start.Unix() - 1}), false},
		"no expiry":         {sign(current, jwt.SigningMethodHS256, jwt.MapClaims{"sub": "a"}), false},
		"not yet":           {sign(current, jwt.SigningMethodHS256, jwt.MapClaims{"sub": "a", "exp": exp, "nbf": exp - 10}), false},
		"no subject":        {sign(current, jwt.SigningMethodHS256, jwt.MapClaims{"exp": exp}), false},
		"subject with dot":  {sign(current, jwt.SigningMethodHS256, jwt.MapClaims{"sub": "a.b", "exp": exp}), false},
		"long name":         {sign(current, jwt.SigningMethodHS256, jwt.MapClaims{"sub": "a", "exp": exp, "name": strings.Repeat("x", 33)}), false},
		"name is a number":  {sign(current, jwt.SigningMethodHS256, jwt.MapClaims{"sub": "a", "exp": exp, "name": 7}), false},
		"empty":             {"", false},
		"rubbish":           {"a.b.c", false},
		"no signature":      {"eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIiwiZXhwIjo5OTk5OTk5OTk5OX0.", false},
	} {
		who, err := keys.verify(c.token, start)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if c.ok && (who.Name == "" || who.expires.Unix() != exp) {
			t.Errorf("%s: %+v", name, who)
		}
	}
	if _, err := (tokenKeys{current: current}).verify(sign(previous, jwt.SigningMethodHS256, jwt.MapClaims{"sub": "a", "exp": exp}), start); err == nil {
		t.Error("a key that was taken away is still good")
	}
	for _, p := range []wire.Player{{ID: "a b"}, {ID: "a", Name: strings.Repeat("x", 33)}} {
		if _, err := SignToken(current, p, start); err == nil {
			t.Errorf("signed for %+v", p)
		}
	}
}

// The scaling metric counts those who were turned away, for ten seconds.
func TestDemand(t *testing.T) {
	a := admission{most: 2}
	for i := range 5 {
		why, ok := a.enter(start.Add(time.Duration(i) * time.Second))
		if ok != (i < 2) || !ok && why != refusedFull {
			t.Fatalf("connection %d: %v %v", i, why, ok)
		}
	}
	for after, want := range map[time.Duration]int{4 * time.Second: 5, 11 * time.Second: 5, 12 * time.Second: 4, 13 * time.Second: 3, 14 * time.Second: 2, time.Hour: 2} {
		b := admission{most: 2, open: a.open, turned: a.turned, second: a.second}
		if got := b.demand(start.Add(after)); got != want {
			t.Errorf("demand after %v is %d, want %d", after, got, want)
		}
	}
	a.close()
	if why, ok := a.enter(start); ok || why != refusedDraining {
		t.Errorf("a draining gateway: %v %v", why, ok)
	}
}

// P3.11: counts of gateways that were not heard for three seconds are gone.
func TestPresence(t *testing.T) {
	p := newPresence("self")
	p.note(wire.Presence{Gateway: "g2", Rooms: map[string]int{"a": 3, "b": 1}}, start)
	p.note(wire.Presence{Gateway: "g3", Rooms: map[string]int{"a": 4}}, start.Add(2*time.Second))
	if n := p.total("a", 2); n != 9 {
		t.Errorf("total %d", n)
	}
	own := map[string]int{"a": 2}
	for _, c := range []struct {
		after time.Duration
		want  map[string]int
	}{
		{2 * time.Second, map[string]int{"a": 9}},
		{3 * time.Second, map[string]int{}},
		{4 * time.Second, map[string]int{"a": 6}},
		{6 * time.Second, map[string]int{"a": 2}},
	} {
		if got := p.changed(own, start.Add(c.after)); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("after %v: %v, want %v", c.after, got, c.want)
		}
	}
}

// Jobs of a key run in order and one at a time, whoever adds them, and wherever they are over.
func TestLanes(t *testing.T) {
	var work sync.WaitGroup
	l := newLanes()
	const keys, jobs = 8, 200
	var got [keys][]int
	for i := range jobs {
		for k := range keys {
			work.Add(1)
			l.do(fmt.Sprint(k), func(over func()) {
				finish := func() { got[k] = append(got[k], i); over(); work.Done() }
				if i%3 == 0 {
					finish()
				} else {
					go finish()
				}
			})
		}
	}
	work.Wait()
	for k := range keys {
		for i, n := range got[k] {
			if n != i {
				t.Fatalf("key %d: job %d ran as number %d", k, n, i)
			}
		}
		if len(got[k]) != jobs {
			t.Fatalf("key %d: %d jobs ran", k, len(got[k]))
		}
	}
	if len(l.byKey) != 0 {
		t.Errorf("%d keys are left", len(l.byKey))
	}
}

// P3.2: the copy may be replaced between a client's join and the room's first look at it; the reply
// is still one to the client's request.
func TestJoinMeetsReset(t *testing.T) {
	var w joins
	m := &member{}
	w.again(m)
	asked := &joining{m: m, id: 7}
	w.add(asked)
	w.again(m)
	if len(w.waiting) != 1 || w.waiting[0] != asked {
		t.Errorf("%d joins wait, the first %+v", len(w.waiting), w.waiting[0])
	}
}

// P2.5: a session that is resumed with other rooms each time keeps those of now, and no more than a
// connection can join.
func TestPositionsAreBounded(t *testing.T) {
	s := &session{rooms: map[string]*member{}, resumed: map[string]wire.Position{}}
	for i := range wire.MaxRoomsPerSession {
		s.resumed[fmt.Sprint("old-", i)] = wire.Position{Log: "l", Seq: 1}
	}
	s.rooms["new"] = &member{joined: true, known: wire.Position{Log: "l", Seq: 2}}
	if all := s.positions(); len(all) != wire.MaxRoomsPerSession || all["new"].Seq != 2 {
		t.Errorf("%d positions: %v", len(all), all)
	}
}

// Look-ups that do not end do not pile up.
func TestBalanceLooks(t *testing.T) {
	var started []func()
	life, stop := context.WithCancel(t.Context())
	stop() // a look-up that is let run ends at once
	b := newBalances(&Gateway{life: life})
	b.spawn = func(f func()) bool { started = append(started, f); return len(started) < 3 }
	b.slots = nil
	s := &session{conn: &fanout.Conn{}}
	for range 10 {
		b.ask(s)
	}
	if len(started) != 1 {
		t.Fatalf("%d look-ups of one session at once", len(started))
	}
	started[0]()
	if b.ask(s); len(started) != 2 {
		t.Fatal("no look-up behind one that has ended")
	}
	started[1]()
	if b.ask(s); s.looking.Load() {
		t.Error("waits for a look-up that could not be started")
	}
}

// A session is stored when its rooms have changed, and now and then; its balance is looked at once per ping
// interval.
func TestRefresh(t *testing.T) {
	g := &Gateway{cfg: Config{PingInterval: wire.PingInterval, Cache: &cache.Client{}}}
	g.store, g.balances = newStore(g.cfg.Cache, nil, nil), newBalances(g)
	s := &session{g: g, rooms: map[string]*member{}}
	now := time.Now()
	for _, step := range []struct {
		what             string
		after            time.Duration
		change           func()
		stored, balances int
	}{
		{"hello", 0, func() {}, 1, 1},
		{"a second later", time.Second, func() { s.rooms["lobby"] = &member{room: "lobby"} }, 0, 0},
		{"a ping, not joined yet", wire.PingInterval, func() {}, 0, 1},
		{"joined", wire.PingInterval, func() { s.rooms["lobby"].joined = true }, 1, 1},
		{"an update was seen", wire.PingInterval, func() { s.rooms["lobby"].known.Seq = 7 }, 0, 1},
		{"another log", wire.PingInterval, func() { s.rooms["lobby"].known.Log = "other" }, 1, 1},
		{"left", wire.PingInterval, func() { delete(s.rooms, "lobby") }, 1, 1},
		{"nothing new", wire.PingInterval, func() {}, 0, 1},
		{"nothing new for long", storeRenewal - wire.PingInterval, func() {}, 1, 1},
	} {
		step.change()
		now = now.Add(step.after)
		s.refresh(now)
		if n := len(g.store.queue.take(9)); n != step.stored {
			t.Errorf("%s: stored %d times", step.what, n)
		}
		if n := len(g.balances.due.take(9)); n != step.balances {
			t.Errorf("%s: the balance was looked at %d times", step.what, n)
		}
	}
}

// Commands without an answer are bounded over all connections; one that waits already may be sent again.
func TestPendingCommandsAreBounded(t *testing.T) {
	over, stop := context.WithCancel(t.Context())
	stop()
	appends := peer.NewAppends(&nats.Conn{}, func() {})
	appends.Run(over) // nothing is brought to the log any more
	c := newCommands(&Gateway{appends: appends})
	submit := func(i int) *wire.Error {
		return c.submit(&session{}, "lobby", 0, wire.Command{Player: fmt.Sprint("p", i), Gateway: "g", Key: "k", Op: "bet"})
	}
	for i := range pendingCommands {
		if refusal := submit(i); refusal != nil {
			t.Fatalf("command %d: %v", i, refusal)
		}
	}
	if refusal := submit(pendingCommands); refusal == nil || refusal.Code != wire.CodeUnavailable {
		t.Errorf("one too many: %v", refusal)
	}
	if refusal := submit(7); refusal != nil {
		t.Errorf("one that waits, from another connection: %v", refusal)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for name, c := range map[string]Config{
		"no connection": {},
		"no secret":     {ID: "a"},
		"bad ID":        {ID: "a.b", Secret: []byte(strings.Repeat("x", 32))},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// Whatever a client sends is parsed or refused, and what passes has the shape that
// the rest relies on.
func FuzzParseMessage(f *testing.F) {
	for _, s := range []string{
		`{"type":"hello","protocol":1,"token":"t","session":"s"}`, `{"type":"join","id":1,"room":"lobby","position":{"log":"l","seq":41}}`,
		`{"type":"leave","id":2,"room":"lobby"}`, `{"type":"cmd","room":"_","key":"k","op":"refill"}`,
		`{"type":"cmd","room":"lobby","key":"k","op":"bet","round":17,"args":{"slot":0}}`, `{"type":"chat","id":3,"room":"lobby","text":"ä"}`,
		`{"type":"ping","id":5}`, `{"type":"pong","id":9,"applied":{"lobby":42}}`, `null`, `[]`, ` {"type":null}`, "{\"type\":\"p\xff\"}",
		`{"type":"cmd","args":null}`, `{"type":"join","position":null}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		m, refusal := parseMessage(p)
		if refusal != nil {
			if refusal.Code != wire.CodeBadMessage && refusal.Code != wire.CodeUnknownType || refusal.Message == "" {
				t.Fatalf("refused with %v", refusal)
			}
			encode(refusal)
			return
		}
		if m.Type == "" || len(m.Args) > 0 && m.Args[0] != '{' {
			t.Fatalf("passed: %+v", m)
		}
		if checkCommand(&m) == nil && m.Type == wire.TypeCmd {
			c := wire.Command{Player: "p", Gateway: "g", Key: m.Key, Op: m.Op, Round: m.Round, Args: m.Args}
			b, err := c.AppendBinary(nil)
			if err == nil {
				_, err = wire.DecodeCommand(b)
			}
			if err != nil {
				t.Fatalf("a command that passed cannot be logged: %v: %+v", err, m)
			}
		}
		_, _ = checkPosition(m.Position), checkRoom(m.Room)
	})
}

// A herd that may come in is served in turns, between which other rooms have theirs.
func TestServeTurns(t *testing.T) {
	g := &Gateway{presence: newPresence("g"), metrics: newMetrics(nil)}
	f := &feed{g: g, topic: fanout.NewHub(fanout.Config{}).Topic("lobby", ringUpdates), copy: roomCopy{log: "log"}, chat: chatLog{loaded: true}}
	s := &session{g: g}
	for range 2*serveTurn + 1 {
		f.joins.add(&joining{m: &member{s: s, gone: true}, youKnown: true})
	}
	f.joins.add(&joining{m: &member{s: s, gone: true}})
	for i, want := range []int{serveTurn + 2, 2, 1, 1} {
		again := f.serve(start)
		if n := len(f.joins.waiting); n != want {
			t.Fatalf("%d wait after turn %d, want %d", n, i, want)
		}
		if i < 2 != again.Equal(start) {
			t.Fatalf("turn %d is followed by one at %v", i, again)
		}
	}
}
