package web_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"tickcast/web"
)

// ask sends a request to a handler; headers are pairs.
func ask(t *testing.T, h http.Handler, method, path string, headers ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r io.Reader) string {
	t.Helper()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestPages(t *testing.T) {
	for _, c := range []struct {
		name, method, path string
		h                  http.Handler
		status             int
		contentType        string
	}{
		{"the player's page", "GET", "/", web.Player(), 200, "text/html; charset=utf-8"},
		{"a module", "GET", "/static/client/tickcast.js", web.Player(), 200, "text/javascript; charset=utf-8"},
		{"a style sheet", "GET", "/static/css/base.css", web.Player(), 200, "text/css; charset=utf-8"},
		{"the icon", "GET", "/static/icon.svg", web.Player(), 200, "image/svg+xml"},
		{"head", "HEAD", "/", web.Player(), 200, "text/html; charset=utf-8"},
		{"the console is elsewhere", "GET", "/console", web.Player(), 404, ""},
		{"and so are its files", "GET", "/static/console/main.js", web.Player(), 404, ""},
		{"a page has one address", "GET", "/static/index.html", web.Player(), 404, ""},
		{"no directory", "GET", "/static/", web.Player(), 404, ""},
		{"no way up", "GET", "/static/../web.go", web.Player(), 404, ""},
		{"read only", "POST", "/", web.Player(), 405, ""},
		{"the operator's page", "GET", "/console", web.Console(), 200, "text/html; charset=utf-8"},
		{"its files", "GET", "/static/console/main.js", web.Console(), 200, "text/javascript; charset=utf-8"},
		{"what both share", "GET", "/static/ui/dom.js", web.Console(), 200, "text/javascript; charset=utf-8"},
		{"the player's page is elsewhere", "GET", "/", web.Console(), 404, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := ask(t, c.h, c.method, c.path)
			if r.StatusCode != c.status {
				t.Fatalf("%s %s: %d, want %d", c.method, c.path, r.StatusCode, c.status)
			}
			if got := r.Header.Get("Content-Type"); c.contentType != "" && got != c.contentType {
				t.Errorf("content type %q, want %q", got, c.contentType)
			}
			if !strings.HasPrefix(r.Header.Get("Content-Security-Policy"), "default-src 'self'") {
				t.Errorf("policy %q", r.Header.Get("Content-Security-Policy"))
			}
			if r.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Error("no nosniff")
			}
			if c.method == "HEAD" && body(t, r.Body) != "" {
				t.Error("HEAD with a body")
			}
		})
	}
}

func TestFilesAreRevalidated(t *testing.T) {
	h := web.Player()
	const path = "/static/client/tickcast.js"
	plain := ask(t, h, "GET", path)
	packed := ask(t, h, "GET", path, "Accept-Encoding", "br, gzip")
	if packed.Header.Get("Content-Encoding") != "gzip" || plain.Header.Get("Content-Encoding") != "" {
		t.Fatalf("encodings %q and %q", packed.Header.Get("Content-Encoding"), plain.Header.Get("Content-Encoding"))
	}
	z, err := gzip.NewReader(packed.Body)
	if err != nil {
		t.Fatal(err)
	}
	if body(t, z) != body(t, plain.Body) {
		t.Error("the compressed copy is another text")
	}
	if plain.Header.Get("ETag") == packed.Header.Get("ETag") {
		t.Error("two representations have one tag")
	}
	for _, r := range []*http.Response{
		ask(t, h, "GET", path, "If-None-Match", plain.Header.Get("ETag")),
		ask(t, h, "GET", path, "If-None-Match", packed.Header.Get("ETag"), "Accept-Encoding", "gzip"),
	} {
		if r.StatusCode != http.StatusNotModified || body(t, r.Body) != "" {
			t.Errorf("a known tag is answered %d", r.StatusCode)
		}
	}
	if r := ask(t, h, "GET", path, "If-None-Match", `"other"`); r.StatusCode != http.StatusOK {
		t.Errorf("another tag is answered %d", r.StatusCode)
	}
}
