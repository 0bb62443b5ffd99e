package web_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"tickcast/wire"
)

// vector is the first round of the chain in testdata/crash.json: what the page
// shows must hold there.
type vector struct {
	salt, terminal, seed string
	centi                int64
}

func firstRound(t *testing.T) vector {
	t.Helper()
	b, err := os.ReadFile("testdata/crash.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Own struct {
			Salt, Terminal string
			Cases          []struct {
				Hash    string
				RTP9900 int64 `json:"rtp9900"`
			}
		} `json:"own_chain"`
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	c := file.Own.Cases[0]
	return vector{salt: file.Own.Salt, terminal: file.Own.Terminal, seed: c.Hash, centi: c.RTP9900}
}

// stage is the player's page with the test as its room: it says what happens, and
// the room's clock goes on by itself.
type stage struct {
	*peer
	conn  *peerConn
	mu    sync.Mutex
	now   time.Duration // guarded by mu: game time
	seq   uint64        // guarded by mu
	epoch int           // guarded by mu: of the ticks
	held  bool          // guarded by mu: the room is not heard
	read  int           // guarded by mu: how often somebody asked for the leaders
	v     vector
}

const settings = `{"version":1,"rtp_bp":9900,"betting_ms":5000,"lock_ms":1000,"crashed_ms":3000,"min_stake":100,` +
	`"max_stake":100000,"max_win":10000000,"max_round_win":100000000,"cap":100000,"tick_ms":100}`

// newStage opens the page and lets it join a room in which round 1 takes bets for
// an hour.
func newStage(t *testing.T, width, height int64) *stage {
	t.Helper()
	return newStageFor(t, width, height, opening{token: "t"})
}

func newStageFor(t *testing.T, width, height int64, o opening) *stage {
	t.Helper()
	v := firstRound(t)
	s := openStage(t, width, height, o, fmt.Sprintf(`{"game":"crash","uuid":"u","name":"Lobby","state":"running",`+
		`"phase":"betting","round":1,"start":0,"end":3600000000,"rules":1,"settings":%s,"next_settings":null,"fairness":{"chain":0,"index":1,`+
		`"commitment":"%s","salt":"%s","salt_source":"server","last_seed":""},"bets":{"count":0,"stake":0,"paid":0,"top":[]},"next_bets":{"count":0,"stake":0},"history":[]}`,
		settings, v.terminal, v.salt))
	s.shows("the room is drawn", "#big-0", "10.00")
	return s
}

// enterStage opens the page and lets it join a room with the snapshot.
func enterStage(t *testing.T, width, height int64, snapshot string) *stage {
	t.Helper()
	return openStage(t, width, height, opening{token: "t"}, snapshot)
}

// opening is what the page is opened with, and the token that it must say hello with.
type opening struct{ fragment, token string }

func openStage(t *testing.T, width, height int64, o opening, snapshot string) *stage {
	t.Helper()
	s := &stage{peer: &peer{t: t, conns: make(chan *peerConn, 8)}, now: time.Second, epoch: 1, v: firstRound(t)}
	mux := files()
	mux.HandleFunc("/ws", s.accept)
	reply := func(pattern, body string) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(body))
		})
	}
	reply("POST /api/guest", `{"token":"t","player":{"id":"p1","name":"Ann","guest":true}}`)
	reply("GET /api/rooms", `{"rooms":[{"id":"lobby","game":"crash","name":"Lobby","state":"running","players":3}]}`)
	reply("GET /api/rooms/lobby/rounds", `{"rounds":[]}`)
	reply("GET /api/me/bets", `{"bets":[]}`)
	reply("GET /api/info", `{"version":"v9","guests":true,"gateway":"g"}`)
	mux.HandleFunc("GET /api/leaderboards/crash", s.leaders)
	s.tab = newTab(t, width, height)
	mux.HandleFunc("POST /api/login", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if b, err := io.ReadAll(r.Body); err != nil || string(b) != `{"token":"of the wallet/1"}` {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = w.Write([]byte(`{"error":{"code":"invalid_token","message":"not known"}}`))
			return
		}
		_, _ = w.Write([]byte(`{"token":"known","player":{"id":"p1","name":"Ann"}}`))
	})
	s.tab.do("open the page", chromedp.Navigate(serve(t, mux)+"/"+o.fragment))
	s.conn = s.next("the page connects by itself")
	if m := s.conn.welcome("as who opened the page"); m.Token != o.token {
		t.Fatalf("hello with token %q, want %q", m.Token, o.token)
	}
	s.conn.send(`{"type":"balance","amount":100000,"version":1}`)
	join := s.conn.want("and joins the lobby", wire.TypeJoin)
	s.conn.send(fmt.Sprintf(`{"type":"joined","id":%d,"room":"lobby","recovered":false,"position":{"log":"L","seq":0},"epoch":1,"t":1000000,"players":3,`+
		`"you":null,"chat":[{"id":1,"at":1,"player":"p2","name":"Bob","text":"<b>hi</b>"}],"snapshot":%s}`, join.ID, snapshot))
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		s.run(done)
	}()
	t.Cleanup(func() {
		close(done)
		<-stopped
	})
	return s
}

// leaders answers with one player, whose points say how often it was asked.
func (s *stage) leaders(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.read++
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"scores":[{"player":"p2","name":"Bob","points":%d}]}`, 100*s.read)
}

// run lets game time pass and sends ticks.
func (s *stage) run(done <-chan struct{}) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			s.mu.Lock()
			if !s.held {
				s.now += 100 * time.Millisecond
				s.conn.send(s.tick(s.now))
			}
			s.mu.Unlock()
		}
	}
}

// tick is the room's tick at a game time. The caller holds mu.
func (s *stage) tick(at time.Duration) string {
	return fmt.Sprintf(`{"type":"tick","room":"lobby","seq":%d,"t":%d,"epoch":%d}`, s.seq, at.Microseconds(), s.epoch)
}

// happen sends an update with the events. "@" stands for the game time.
func (s *stage) happen(events string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
	now := fmt.Sprint(s.now.Microseconds())
	var text []byte
	for _, c := range []byte(events) {
		if c == '@' {
			text = append(text, now...)
		} else {
			text = append(text, c)
		}
	}
	s.conn.send(fmt.Sprintf(`{"type":"update","room":"lobby","seq":%d,"t":%s,"events":[%s]}`, s.seq, now, text))
}

// hold stops and starts the room's clock.
func (s *stage) hold(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = on
}

// shows waits until an element shows a text.
func (s *stage) shows(why, selector, text string) {
	s.t.Helper()
	s.tab.until(why, fmt.Sprintf(`document.querySelector(%q)?.textContent.includes(%q)`, selector, text))
}

func (s *stage) click(why, selector string) {
	s.t.Helper()
	s.tab.do(why, chromedp.Click(chromedp.CSS(selector)))
}

// answer takes a command and answers it.
func (s *stage) answer(why, op, result string) wire.ClientMessage {
	s.t.Helper()
	m := s.conn.want(why, wire.TypeCmd)
	if m.Op != op {
		s.t.Fatalf("%s: got %s, want %s", why, m.Op, op)
	}
	s.conn.send(fmt.Sprintf(`{"type":"answer","room":"lobby","key":%q,"ok":true,"result":%s}`, m.Key, result))
	return m
}

func TestPagePlaysARound(t *testing.T) {
	s := newStage(t, 1280, 800)
	s.shows("balance", "#balance", "1,000.00")
	s.shows("other people's words are text", "#chat-lines", "<b>hi</b>")

	s.click("bet", "#big-0")
	m := s.answer("the bet", "bet", `{"bet":"b1","slot":0,"stake":1000,"round":1,"balance":99000,"version":2}`)
	if m.Round != 1 || string(m.Args) != `{"slot":0,"amount":1000}` {
		t.Fatalf("bet: round %d, args %s", m.Round, m.Args)
	}
	s.conn.send(`{"type":"balance","amount":99000,"version":2}`)
	s.happen(`{"e":"bet","player":"p1","name":"Ann","slot":0,"round":1,"stake":1000},{"e":"totals","round":1,"count":1,"stake":1000,"paid":0,"next_count":0,"next_stake":0}`)
	s.shows("the button turns", "#big-0", "Cancel")
	s.shows("the live list", "#live-rows", "You")
	s.shows("the balance falls", "#balance", "990.00")

	s.happen(`{"e":"phase","phase":"locked","round":1,"start":@,"end":9000000000}`)
	s.shows("locked", "#big-0", "Good luck")
	s.happen(`{"e":"phase","phase":"flying","round":1,"start":@}`)
	s.tab.until("flying", `/Cash out \d/.test(document.querySelector('#big-0').textContent)`)
	s.click("cash out", "#big-0")
	s.answer("the cash-out", "cashout", `{"slot":0,"round":1,"centi":105,"payout":1050}`)
	s.shows("the win", ".panel-result", "Won 10.50 at 1.05×")
	s.shows("and on", "#big-0", "Bet next round")

	s.happen(fmt.Sprintf(`{"e":"phase","phase":"crashed","round":1,"start":@,"end":9000000000,"centi":%d,"seed":%q,"index":1,"chain":0}`, s.v.centi, s.v.seed))
	s.shows("the crash", "#readout-value", "21.96×")
	s.shows("the history", "#history", "21.96×")

	s.click("a past round", "#history button")
	s.shows("computed again", "#fair-body", "Your browser computes 21.96×: the same")
	s.shows("the chain", "#fair-body", "1 hash leads to the commitment")
	s.shows("the caveat", "#fair-body", "could have tried many")
}

func TestPageByKeyboard(t *testing.T) {
	s := newStage(t, 1280, 800)
	s.tab.do("space is the big button", chromedp.KeyEvent(" "))
	s.answer("the bet", "bet", `{"bet":"b1","slot":0,"stake":1000,"round":1,"balance":99000,"version":2}`)
	s.shows("the button turns", "#big-0", "Cancel")
	s.tab.do("space in a list scrolls it", chromedp.Focus(chromedp.CSS("#chat-lines")), chromedp.KeyEvent(" "))
	s.tab.do("space in a field is a space", chromedp.Focus(chromedp.CSS("#chat-text")), chromedp.KeyEvent("a b"), chromedp.KeyEvent(kb.Enter))
	if m := s.conn.want("the line", wire.TypeChat); m.Text != "a b" {
		t.Fatalf("chat %q", m.Text)
	}
}

func TestPageQueuesAndRepeatsBets(t *testing.T) {
	s := newStage(t, 1280, 800)
	s.happen(`{"e":"phase","phase":"locked","round":1,"start":@,"end":9000000000}`)
	s.shows("too late for this round", "#big-1", "Bet next round")
	s.click("a wish", "#big-1")
	s.shows("remembered", "#big-1", "Cancel")
	s.click("auto bet", ".panel:first-child .auto-bet .switch")
	s.click("with a target", "#target-on-0 + .switch-track")
	s.happen(`{"e":"phase","phase":"betting","round":2,"start":@,"end":9000000000}`)
	for range 2 {
		m := s.conn.want("both bets", wire.TypeCmd)
		if m.Round != 2 || m.Op != "bet" {
			t.Fatalf("bet %+v", m)
		}
		switch string(m.Args) {
		case `{"slot":0,"amount":1000,"auto":200}`, `{"slot":1,"amount":1000}`:
		default:
			t.Fatalf("args %s", m.Args)
		}
		s.conn.send(fmt.Sprintf(`{"type":"answer","room":"lobby","key":%q,"ok":false,"error":{"code":"insufficient_funds","message":""}}`, m.Key))
	}
	s.shows("in plain words", "#toasts", "Your balance does not cover this stake.")
	s.tab.until("auto bet has stopped", `!document.querySelector('#auto-0').checked`)
}

func TestPageComesBack(t *testing.T) {
	s := newStage(t, 1280, 800)
	s.hold(true)
	s.happen(`{"e":"phase","phase":"flying","round":1,"start":@}`)
	s.shows("flying", "#stage [id=readout-value]", "×")
	s.conn.hangUp(wire.CloseShutdown)
	c := s.next("the page comes back")
	s.shows("it says that it is away", "#banner", "No connection at the moment")
	s.shows("and does not bet", "#big-0", "No connection")
	if !eval[bool](s.tab, "one explanation is enough", `document.querySelector('#frozen').hidden`) {
		t.Error("without a connection the page says that the room is not heard")
	}
	c.welcome("hello")
	m := c.want("join", wire.TypeJoin)
	if m.Position == nil || m.Position.Seq != 1 {
		t.Fatalf("resumes at %+v", m.Position)
	}
	c.send(fmt.Sprintf(`{"type":"joined","id":%d,"room":"lobby","recovered":true,"position":{"log":"L","seq":1},"epoch":2,"t":5000000,"players":3,"you":{"bets":[]}}`, m.ID))
	c.send(`{"type":"update","room":"lobby","seq":2,"t":6000000,"events":[{"e":"void","round":1,"start":6000000,"end":9000000000,"seed":"00","index":1,"chain":0}]}`)
	s.shows("what was missed", "#readout-value", "Voided")
}

// TestPageKeepsAnswersNewerThanItsJoin moves to another gateway while a bet is
// answered on the old connection: what the new one says of the player is older.
func TestPageKeepsAnswersNewerThanItsJoin(t *testing.T) {
	s := newStage(t, 1280, 800)
	s.conn.send(`{"type":"move","within_ms":10}`)
	c := s.next("a second socket")
	c.welcome("hello on it")
	join := c.want("join on it", wire.TypeJoin)
	s.click("bet meanwhile", "#big-0")
	s.answer("on the old connection", "bet", `{"bet":"b1","slot":0,"stake":1000,"round":1,"balance":99000,"version":2}`)
	s.shows("P3.7: the bet is in", "#big-0", "Cancel")
	s.hold(true) // the old connection is about to go
	c.send(fmt.Sprintf(`{"type":"joined","id":%d,"room":"lobby","recovered":true,"position":{"log":"L","seq":0},"epoch":1,"t":60000000,"players":7,"you":null}`, join.ID))
	s.shows("moved", "#online-count", "7")
	s.shows("the bet is still in", "#big-0", "Cancel")
	s.conn.wantClosed("the old socket is let go")
	c.send(`{"type":"move","within_ms":10}`)
	d := s.next("a third socket")
	d.welcome("hello on it")
	join = d.want("a join that is newer than the answer", wire.TypeJoin)
	d.send(fmt.Sprintf(`{"type":"joined","id":%d,"room":"lobby","recovered":true,"position":{"log":"L","seq":0},"epoch":1,"t":60000000,"players":8,"you":null}`, join.ID))
	s.tab.until("cancelled in another window", `document.querySelector('#big-0').textContent === 'Bet10.00'`)
}

func TestPageKeepsTheFocusInTheHistory(t *testing.T) {
	s := newStage(t, 1280, 800)
	crash := func(round, centi int) {
		s.happen(fmt.Sprintf(`{"e":"phase","phase":"crashed","round":%d,"start":@,"end":9000000000,"centi":%d,"seed":%q,"index":1,"chain":0}`, round, centi, s.v.seed))
	}
	crash(1, 231)
	s.shows("a past round", "#history", "2.31×")
	s.tab.do("focus on it", chromedp.Focus(chromedp.CSS("#history button")))
	crash(2, 145)
	s.shows("a newer one", "#history", "1.45×2.31×")
	if got := eval[string](s.tab, "read the focus", `document.activeElement.textContent`); got != "2.31×" {
		t.Errorf("the focus is on %q", got)
	}
}

// TestPageLogsIn (P9.7): a page that an operator's site opened trades the token in, and the
// address does not show it. One that is not valid leaves a guest.
func TestPageLogsIn(t *testing.T) {
	for _, size := range []struct{ width, height int64 }{{1440, 900}, {390, 844}} {
		t.Run(fmt.Sprint(size.width), func(t *testing.T) {
			s := newStageFor(t, size.width, size.height, opening{"#lobby&login=of%20the%20wallet%2F1", "known"})
			s.tab.until("the token is not in the address", `location.hash === '#lobby'`)
			s.tab.until("the player is kept", `localStorage.getItem('tickcast.token') === 'known'`)
			s.tab.picture(fmt.Sprint("login-", size.width))
		})
	}
	s := newStageFor(t, 1440, 900, opening{"#login=another", "t"})
	s.shows("it is said", "#toasts", "not valid")
	s.tab.until("the token is not in the address", `!location.href.includes('login')`)
}

func TestPageReadsTheLeadersAgain(t *testing.T) {
	s := newStage(t, 1280, 800)
	s.click("the leaders", "#tab-board")
	s.shows("read", "#board-rows", "1.00")
	s.happen(fmt.Sprintf(`{"e":"phase","phase":"crashed","round":1,"start":@,"end":9000000000,"centi":231,"seed":%q,"index":1,"chain":0}`, s.v.seed))
	s.shows("read again after the round", "#board-rows", "2.00")
}

// TestPageFits looks for what makes a phone scroll sideways, and for controls
// that a screen reader could not name.
func TestPageFits(t *testing.T) {
	for _, width := range []int64{360, 390, 768, 1100, 1280, 1920} {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			s := newStage(t, width, 800)
			s.happen(`{"e":"phase","phase":"flying","round":1,"start":@},{"e":"totals","round":1,"count":100000,"stake":99999999900,"paid":12345678900,"next_count":5,"next_stake":0},` +
				`{"e":"bet","player":"p9","name":"a-name-of-thirty-two-characters-","slot":0,"round":1,"stake":1000000000,"auto":1000000}`)
			s.shows("drawn", "#total-count", "100,000")
			if got := eval[int64](s.tab, "width of the page", `document.documentElement.scrollWidth`); got > width {
				t.Errorf("the page is %d pixels wide in a window of %d", got, width)
			}
			if got := eval[[]string](s.tab, "controls without a name", unnamed); len(got) > 0 {
				t.Errorf("controls without a name: %q", got)
			}
		})
	}
}

// unnamed lists buttons and fields that are shown and have no accessible name.
const unnamed = `[...document.querySelectorAll('button, input, select, [role=tab]')].filter((el) => el.offsetParent !== null &&
  !(el.getAttribute('aria-label') || el.innerText.trim() || [...(el.labels ?? [])].some((l) => l.textContent.trim()))).map((el) => el.outerHTML)`
