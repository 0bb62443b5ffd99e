package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
)

//go:embed static
var embedded embed.FS

// FS returns the files as they are embedded: index.html, console.html, and the
// directories client, ui, player, console and css.
func FS() fs.FS {
	sub, err := fs.Sub(embedded, "static")
	if err != nil {
		panic("web: " + err.Error()) // "static" is a valid path
	}
	return sub
}

// Player serves the player's page at "/" and its files below "/static/".
func Player() http.Handler { return newSite("index.html", "/", "console") }

// Console serves the operator's page at "/console" and its files below
// "/static/".
func Console() http.Handler { return newSite("console.html", "/console", "player") }

// policy lets a page load from its own origin and nowhere else; 'self' includes
// the WebSocket of the same host. The pages need no inline script or style.
const policy = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"

// compressFrom is the size in bytes from which a compressed copy is kept: below
// it a response fits one packet anyway.
const compressFrom = 1400

// contentType does not rely on the machine's MIME table, which may call
// JavaScript something that browsers refuse as a module.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".webmanifest":
		return "application/manifest+json"
	}
	return "application/octet-stream"
}

// site maps URL paths to files. Static after newSite.
type site struct {
	files map[string]*file
}

// file is one file with what is derived from it. Static after newSite, except
// that the compressed copy is made at the first request that takes it.
type file struct {
	contentType string
	body        []byte
	etag        string // quoted
	compressed  func() []byte
}

// newSite serves one page at pagePath and everything but the other pages and the
// directory without below /static/.
func newSite(page, pagePath, without string) *site {
	s := &site{files: make(map[string]*file)}
	root := FS()
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		url := "/static/" + name
		switch {
		case name == page:
			url = pagePath
		case strings.HasPrefix(name, without+"/"), path.Ext(name) == ".html":
			return nil
		}
		body, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		s.files[url] = newFile(name, body)
		return nil
	})
	if err != nil {
		panic(fmt.Sprintf("web: read embedded files: %v", err))
	}
	return s
}

func newFile(name string, body []byte) *file {
	sum := sha256.Sum256(body)
	return &file{
		contentType: contentType(name),
		body:        body,
		etag:        `"` + hex.EncodeToString(sum[:12]) + `"`,
		compressed:  sync.OnceValue(func() []byte { return compress(body) }),
	}
}

// compress returns body gzipped, or nil when that does not make it smaller.
func compress(body []byte) []byte {
	if len(body) < compressFrom {
		return nil
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(body) // a bytes.Buffer takes everything
	_ = w.Close()
	if b.Len() >= len(body) {
		return nil
	}
	return b.Bytes()
}

// ServeHTTP implements http.Handler.
func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		h.Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	f, ok := s.files[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	f.serve(w, r)
}

func (f *file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.contentType)
	// Modules import each other by fixed names, so a browser asks each time
	// whether its copy is still good: a page never mixes two versions for long.
	h.Set("Cache-Control", "no-cache")
	h.Set("Vary", "Accept-Encoding")
	body, etag := f.body, f.etag
	if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		if c := f.compressed(); c != nil {
			body, etag = c, strings.TrimSuffix(f.etag, `"`)+`-gz"`
			h.Set("Content-Encoding", "gzip")
		}
	}
	h.Set("ETag", etag)
	if r.Header.Get("If-None-Match") == etag {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", fmt.Sprint(len(body)))
	if r.Method == http.MethodHead {
		return
	}
	_, _ = w.Write(body) // the client went away; there is nobody to tell
}
