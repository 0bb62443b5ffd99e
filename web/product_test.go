package web_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"tickcast/internal/testkit"
)

// product is the whole program as somebody starts it: one process with
// everything embedded.
type product struct {
	t             *testing.T
	play, console string // addresses of the pages
	key           string // the operator's
}

// startProduct builds and starts the program and stops it with the test.
func startProduct(t *testing.T) *product {
	t.Helper()
	dir := t.TempDir()
	binary := filepath.Join(dir, "tickcast")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "tickcast")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the program: %v\n%s", err, out)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "--listen", "127.0.0.1:0", "--internal-listen", "127.0.0.1:0", "--data", filepath.Join(dir, "data"), "--drain-window", "1s")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatalf("start the program: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the program ended with %v", err)
		}
		_ = log.Close()
		if t.Failed() {
			b, _ := os.ReadFile(log.Name())
			t.Logf("what the program wrote:\n%s", b)
		}
	})
	p := &product{t: t}
	said := regexp.MustCompile(`play +(http\S+)\s+console +(http\S+)\s+its key +(\S+)`)
	testkit.Eventually(t, "the program says where it is", patience, func() bool {
		b, _ := os.ReadFile(log.Name())
		m := said.FindSubmatch(b)
		if m == nil {
			return false
		}
		key, err := os.ReadFile(string(m[3]))
		p.play, p.console, p.key = string(m[1]), string(m[2]), strings.TrimSpace(string(key))
		return err == nil
	})
	return p
}

// submit sends the form that a field is in, as its button would.
func submit(field string) chromedp.Action[chromedp.Void] {
	return chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`document.querySelector(%q).form.requestSubmit()`, field))
}

// operator opens the console and signs in.
func (p *product) operator() *tab {
	p.t.Helper()
	b := newTab(p.t, 1280, 800)
	b.do("open the console", chromedp.Navigate(p.console))
	b.until("it asks for the key", `!document.querySelector('#gate').hidden`)
	b.do("a wrong key", chromedp.SendKeys(chromedp.CSS("#gate-key"), "wrong"), submit("#gate-key"))
	b.until("is refused", `document.querySelector('#gate-error').textContent.includes('key is wrong')`)
	b.picture("console-gate")
	b.do("the key", chromedp.SetValue(chromedp.CSS("#gate-key"), p.key), submit("#gate-key"))
	b.until("the rooms", `document.querySelector('#rooms tbody').textContent.includes('lobby')`)
	return b
}

// createRoom makes a paused room whose rounds are short.
func (p *product) createRoom(b *tab, id, game string) {
	p.t.Helper()
	b.do("create a room",
		chromedp.Click(chromedp.CSS("#room-new")),
		chromedp.SendKeys(chromedp.CSS("#create-id"), id),
		chromedp.SetValue(chromedp.CSS("#create-game"), game),
		chromedp.Click(chromedp.CSS("#create-form [name=paused]")),
		submit("#create-id"))
	b.until("it is listed and paused", p.row(id)+`?.textContent.includes('paused')`)
}

// row is an expression for a room's line in the console.
func (p *product) row(id string) string {
	return fmt.Sprintf(`document.querySelector('[data-room=%q]')?.closest('tr')`, id)
}

func (p *product) action(b *tab, room, act string) {
	p.t.Helper()
	selector := fmt.Sprintf(`[data-room=%q][data-act=%q]`, room, act)
	b.until(act+" can be clicked", fmt.Sprintf(`document.querySelector(%q)?.disabled === false`, selector))
	eval[chromedp.Void](b, act+" "+room, fmt.Sprintf(`document.querySelector(%q).click()`, selector))
}

// TestProduct plays a round on the page and starts one in the console, against
// the program as it is run.
func TestProduct(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: builds and runs the whole program")
	}
	p := startProduct(t)
	op := p.operator()
	p.startRoom(op)
	p.playRound()
	p.phone()
	p.race(op)
	p.look(op)
}

// startRoom creates a room, shortens its rounds and starts it.
func (p *product) startRoom(b *tab) {
	p.createRoom(b, "quick", "crash")
	p.action(b, "quick", "settings")
	b.until("the settings", `document.querySelector('#settings-dialog').open`)
	b.do("shorter rounds",
		chromedp.SetValue(chromedp.CSS("#set-betting_ms"), "2.5"),
		chromedp.SetValue(chromedp.CSS("#set-crashed_ms"), "1.5"),
		chromedp.SetValue(chromedp.CSS("#set-cap"), "3"), // a flight can last a minute otherwise
		chromedp.Focus(chromedp.CSS("#set-crashed_ms")))
	b.picture("console-settings")
	b.do("save", submit("#set-crashed_ms"))
	b.until("saved", `!document.querySelector('#settings-dialog').open`)
	p.action(b, "quick", "start")
	b.until("it runs", p.row("quick")+`?.textContent.includes('running')`)
	b.picture("console-rooms")
}

// playRound bets with both slots, one of them with a target, until the page has
// won by hand, and checks the round.
func (p *product) playRound() {
	b := newTab(p.t, 1280, 800)
	b.do("open the page", chromedp.Navigate(p.play+"#quick"))
	b.until("the room is shown", `!document.querySelector('#crash').hidden`)
	b.until("with the guest's credits", `document.querySelector('#balance').textContent === '1,000.00'`)
	eval[chromedp.Void](b, "play by hand until a cash-out was in time", `void (window.player = setInterval(() => {
		const big = document.querySelector('#big-0');
		const shown = document.querySelector('#readout-value').textContent;
		if (document.querySelector('.panel-result').textContent.startsWith('Won')) clearInterval(window.player);
		else if (big.dataset.look === 'bet' && big.textContent.startsWith('Bet')) big.click();
		else if (big.dataset.look === 'cashout' && parseFloat(shown) >= 1.08) big.click();
	}, 50))`)
	b.until("a bet", `document.querySelector('#live-rows').textContent.includes('You')`)
	b.picture("player-betting")
	b.until("a flight", `parseFloat(document.querySelector('#readout-value').textContent) >= 1.05 && document.querySelector('#stage').dataset.phase === 'flying'`)
	b.picture("player-flying")
	b.until("a win", `document.querySelector('.panel-result').textContent.startsWith('Won')`)
	b.picture("player-won")
	won := eval[string](b, "read the win", `document.querySelector('.panel-result').textContent`)
	b.until("the balance has moved", `document.querySelector('#balance').textContent !== '1,000.00'`)
	b.until("the crash", `document.querySelector('#stage').dataset.phase === 'crashed'`)
	b.picture("player-crashed")
	b.do("check the round", chromedp.Click(chromedp.CSS("#history button")))
	b.until("the page computes the same", `/computes [\d,.]+×: the same/.test(document.querySelector('#fair-body').textContent)`)
	b.until("and the chain leads to the commitment", `/hash(es)? leads? to the commitment/.test(document.querySelector('#fair-body').textContent)`)
	b.picture("player-fairness")
	eval[chromedp.Void](b, "close the dialog", `document.querySelector('#fair-dialog').close()`)
	b.do("say something", chromedp.SendKeys(chromedp.CSS("#chat-text"), "hello"), submit("#chat-text"))
	b.until("and read it", `document.querySelector('#chat-lines').textContent.includes('hello')`)
	b.do("look at own bets", chromedp.Click(chromedp.CSS("#tab-mine")))
	b.until("they are archived", `(() => { const rows = document.querySelector('#mine-rows').textContent; if (rows.includes('quick')) return true; document.querySelector('#tab-mine').click(); return false; })()`)
	p.t.Log(won)
}

// phone looks at the page as a phone shows it.
func (p *product) phone() {
	b := newTab(p.t, 390, 844)
	b.do("open the page", chromedp.Navigate(p.play+"#quick"))
	b.until("a flight", `parseFloat(document.querySelector('#readout-value').textContent) >= 1.1 && document.querySelector('#stage').dataset.phase === 'flying'`)
	b.picture("phone-flying")
	b.until("bets", `document.querySelector('#stage').dataset.phase === 'betting'`)
	b.picture("phone-betting")
	if got := eval[int64](b, "width", `document.documentElement.scrollWidth`); got > 390 {
		p.t.Errorf("the page is %d pixels wide on a phone", got)
	}
}

// race starts a race in the console and taps in it.
func (p *product) race(op *tab) {
	p.createRoom(op, "sprint", "race")
	p.action(op, "sprint", "settings")
	op.until("the settings", `document.querySelector('#settings-dialog').open`)
	op.do("time for five taps", chromedp.SetValue(chromedp.CSS("#set-running_ms"), "600"), submit("#set-running_ms"))
	op.until("saved", `!document.querySelector('#settings-dialog').open`)
	p.action(op, "sprint", "start")
	b := newTab(p.t, 1280, 800)
	b.do("open the page", chromedp.Navigate(p.play+"#sprint"))
	b.until("the race runs", `document.querySelector('#race-stage').dataset.phase === 'running'`)
	for range 5 {
		b.do("tap", chromedp.Click(chromedp.CSS("#tap")))
	}
	b.until("the taps count for everybody", `document.querySelector('#race-top').textContent.includes('You')`)
	b.picture("player-race")
	if got := eval[string](b, "own taps", `document.querySelector('#race-points').textContent`); got != "5" {
		p.t.Errorf("%s taps, want 5", got)
	}
}

// look walks through the sections of the console.
func (p *product) look(b *tab) {
	for _, c := range []struct{ tab, table, wants, name string }{
		{"#tab-players", "#recent", "guest-", "console-players"},
		{"#tab-system", "#partitions", "0", "console-system"},
		{"#tab-system", "#log", "P0", "console-system"},
		{"#tab-audit", "#audit", "quick", "console-audit"},
		{"#tab-sessions", "#sessions", "login", "console-sessions"},
	} {
		b.do("open "+c.tab, chromedp.Click(chromedp.CSS(c.tab)))
		b.until(c.tab+" shows "+c.wants, fmt.Sprintf(`document.querySelector('%s tbody').textContent.includes(%q)`, c.table, c.wants))
		b.picture(c.name)
	}
	b.until("the ledger is balanced", `document.querySelector('#tiles').textContent.includes('Balanced')`)
	p.action(b, "quick", "void")
	b.until("it asks first", `document.querySelector('#confirm-dialog').open`)
	eval[chromedp.Void](b, "no", `document.querySelector('#confirm-dialog button[value=no]').click()`)
	if s := p.status(strings.TrimSuffix(p.console, "/console") + "/api/rooms"); s != http.StatusUnauthorized && s != http.StatusForbidden {
		p.t.Errorf("the operator API without a key answers %d", s)
	}
}

func (p *product) status(url string) int {
	ctx, cancel := context.WithTimeout(p.t.Context(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode
}
