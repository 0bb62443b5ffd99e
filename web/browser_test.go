package web_test

import (
	"context"
	"iter"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"tickcast/internal/testsvc"
	"tickcast/web"
)

// patience bounds every wait of a browser test. It is long because nothing here
// measures speed; a healthy run needs a fraction of it.
const patience = 60 * time.Second

// tab is a page of a browser of its own.
type tab struct {
	t   *testing.T
	ctx context.Context
}

// browser is the one browser of all tests of this package: to start one takes
// longer than most tests. Each tab is in a browser context of its own, which
// shares no storage with the others.
var browser struct {
	once  sync.Once
	ctx   context.Context
	close []context.CancelFunc
	err   error
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, f := range browser.close {
		f()
	}
	os.Exit(code)
}

func startBrowser(path string) {
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.NoSandbox,
		chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-component-update", true),
	)
	ctx, closeAllocator := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, closeBrowser := chromedp.NewContext(ctx)
	browser.ctx, browser.close = ctx, []context.CancelFunc{closeBrowser, closeAllocator}
	browser.err = chromedp.Do(ctx, chromedp.Navigate("about:blank"))
}

// newTab opens a tab with a viewport of the given size in CSS pixels and closes it
// with the test. What the page throws or logs as an error fails the test.
func newTab(t *testing.T, width, height int64) *tab {
	t.Helper()
	path := testsvc.Chromium(t)
	browser.once.Do(func() { startBrowser(path) })
	if browser.err != nil {
		t.Fatalf("start the browser: %v", browser.err)
	}
	ctx, closeTab := chromedp.NewContext(browser.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(closeTab)
	b := &tab{t: t, ctx: ctx}
	// The tab ends with the context of its first action, so this one has no timeout of its own.
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(width, height)); err != nil {
		t.Fatalf("open a tab: %v", err)
	}
	messages := chromedp.Console(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.listen(messages)
	}()
	t.Cleanup(func() {
		closeTab()
		<-done
	})
	return b
}

// listen fails the test for what a developer would see in red. Entries of the
// browser itself (a refused connection, say) are part of what tests provoke.
func (b *tab) listen(messages iter.Seq2[chromedp.ConsoleMessage, error]) {
	for m, err := range messages {
		if err != nil {
			return
		}
		if m.IsException() || m.Type == chromedp.ConsoleError && m.Source == "" {
			b.t.Errorf("the page complained: %s", m.Text)
		}
		if m.Source == "security" {
			b.t.Errorf("the browser blocked something: %s", m.Text)
		}
	}
}

// do runs actions, or fails the test.
func (b *tab) do(why string, actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	run(b, why, chromedp.Steps(actions...))
}

// until polls an expression of the page until it is true.
func (b *tab) until(why, expression string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	_, err := chromedp.Run(ctx, chromedp.Poll[chromedp.Void](expression,
		chromedp.WithPollingTimeout(patience), chromedp.WithPollingInterval(20*time.Millisecond)))
	if err != nil {
		b.t.Fatalf("%s: %v; the page shows\n%s", why, err, b.shown())
	}
}

// shown is the text of the page, for those who have to find out why a test failed.
func (b *tab) shown() string {
	ctx, cancel := context.WithTimeout(b.ctx, 5*time.Second)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](
		`document.visibilityState + ' ' + JSON.stringify(document.querySelector('#stage')?.dataset ?? {}) + '\n' + document.body.innerText`))
	if err != nil {
		return err.Error()
	}
	return text
}

// picture keeps a screenshot as test output.
func (b *tab) picture(name string) {
	b.t.Helper()
	const dir = "../test-output"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.t.Fatal(err)
	}
	shot := run(b, "picture "+name, chromedp.CaptureScreenshot())
	if err := os.WriteFile(filepath.Join(dir, name+".png"), shot, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// eval evaluates an expression in a page and waits for it if it is a promise.
func eval[T any](b *tab, why, expression string) T {
	b.t.Helper()
	return run(b, why, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// run runs an action, or fails the test.
func run[T any](b *tab, why string, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, action)
	if err != nil {
		b.t.Fatalf("%s: %v", why, err)
	}
	return v
}

// files serves the files of both pages and, below /testdata/, the modules of the
// tests.
func files() *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle("/", web.Player())
	mux.Handle("/static/console/", web.Console())
	data := http.FileServer(http.Dir("testdata"))
	mux.Handle("/testdata/", http.StripPrefix("/testdata/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		data.ServeHTTP(w, r)
	})))
	return mux
}

// serve starts a server for the length of the test.
func serve(t *testing.T, h http.Handler) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}
