package archtest

import (
	"path"
	"slices"
	"strings"
)

// place is what a package of this module may import of this module.
type place struct {
	imports []string // in its code
	tests   []string // in its tests as well; everything under internal/ is allowed there
	pure    bool     // rules of a game: no clock, no goroutine, no I/O, no library
}

// places are the packages by directory. "/..." is for a directory and everything
// below it; the longest pattern that fits counts.
var places = map[string]place{
	".":             {imports: []string{"app"}},
	"wire":          {},
	"room/game":     {imports: []string{"wire"}},
	"room/crash":    {imports: []string{"wire", "room/game"}, pure: true},
	"room/race":     {imports: []string{"wire", "room/game"}, pure: true},
	"room/cashier":  {imports: []string{"wire", "room/game"}, pure: true},
	"room":          {imports: []string{"wire", "room/game", "bus", "cache", "archive"}, tests: []string{"room/crash", "room/race", "room/cashier", "audit/judge"}},
	"room/sim":      {tests: []string{"wire", "room", "room/game", "room/crash", "room/race", "room/cashier", "archive", "audit/judge"}},
	"ledger":        {imports: []string{"wire", "bus", "cache", "ledger/wallet"}},
	"ledger/wallet": {imports: []string{"wire"}},
	"bus":           {imports: []string{"wire"}},
	"cache":         {imports: []string{"wire"}},
	"archive":       {imports: []string{"wire"}, tests: []string{"bus"}},
	"fanout":        {imports: []string{"wire"}},
	"web":           {tests: []string{"wire"}},
	"server":        {imports: []string{"wire", "fanout", "bus", "cache", "web", "server/kvwatch", "server/internal/..."}},

	// The operator's side of the edge, and what both sides share.
	"server/operator":     {imports: []string{"wire", "server/kvwatch", "server/internal/..."}, tests: []string{"bus"}},
	"server/kvwatch":      {},
	"server/internal/...": {imports: []string{"wire", "bus"}},

	// The auditor's own path: nothing of the room servers, the games or the ledger, so
	// that their errors are not repeated in it.
	"audit/judge": {imports: []string{"wire"}, tests: []string{"room/crash", "room/game"}, pure: true},
	"audit":       {imports: []string{"wire", "bus", "archive", "audit/judge"}},

	"loadtest":         {imports: []string{"wire", "loadtest/...", "internal/linear"}},
	"loadtest/socket":  {},
	"loadtest/chaos":   {imports: []string{"wire", "loadtest", "internal/service", "internal/linear"}},
	"app":              {imports: []string{"/..."}},
	"internal/...":     {imports: []string{"internal/..."}},
	"internal/testbus": {imports: []string{"internal/testsvc", "bus"}},
	"test/...":         {imports: []string{"/..."}},
}

// library is where a third-party module may be imported.
type library struct {
	homes []string // in code
	tests []string // in tests as well; app, internal/... and test/... are allowed there
}

// anyPackage is for libraries that need no home of their own; pure packages are
// still without them.
var anyPackage = []string{"/..."}

// libraries are the third-party modules by path prefix. One that is not here is a
// decision that nobody has taken.
var libraries = map[string]library{
	"github.com/redis/go-redis":               {homes: []string{"cache"}},
	"github.com/alicebob/miniredis":           {homes: []string{"cache"}},
	"github.com/nats-io/nats-server":          {homes: []string{"bus"}},
	"github.com/nats-io/nats.go":              {homes: []string{"archive", "audit", "bus", "room", "ledger", "server", "server/...", "app", "loadtest/chaos", "internal/testbus"}},
	"github.com/klauspost/compress":           {homes: []string{"archive"}},
	"github.com/synadia-io/orbit.go":          {homes: []string{"archive", "room", "server"}},
	"github.com/jackc/pgx":                    {homes: []string{"audit", "ledger", "loadtest/chaos"}},
	"modernc.org/sqlite":                      {homes: []string{"audit", "ledger"}},
	"github.com/pressly/goose":                {homes: []string{"ledger"}},
	"github.com/spf13/cobra":                  {homes: []string{"app"}},
	"github.com/spf13/pflag":                  {homes: []string{"app"}},
	"github.com/knadh/koanf":                  {homes: []string{"app"}},
	"github.com/agnivade/levenshtein":         {homes: []string{"app"}},
	"github.com/coder/websocket":              {homes: []string{"fanout", "server", "loadtest", "loadtest/socket"}, tests: []string{"web"}},
	"github.com/golang-jwt/jwt":               {homes: []string{"server", "loadtest"}},
	"github.com/HdrHistogram/hdrhistogram-go": {homes: []string{"loadtest"}},
	"github.com/chromedp":                     {homes: []string{"internal/..."}, tests: []string{"web"}},
	"github.com/prometheus/client_golang":     {homes: []string{"app", "bus", "cache", "fanout", "ledger", "room", "server"}},
	"github.com/google/uuid":                  {homes: []string{"app", "bus", "ledger", "loadtest", "room", "server", "server/operator"}},
	"github.com/anishathalye/porcupine":       {homes: []string{"internal/linear"}},
	"github.com/cenkalti/backoff":             {homes: anyPackage},
	"golang.org/x/sync":                       {homes: anyPackage},
	"golang.org/x/sys":                        {homes: anyPackage},
	"golang.org/x/time":                       {homes: anyPackage},
	"go.uber.org/goleak":                      {tests: anyPackage},
	"pgregory.net/rapid":                      {tests: anyPackage},
}

// pureImports are the parts of the standard library without clock, concurrency
// or I/O. Package io is there for its interfaces and errors, package time for its
// durations and package sync for tables that are computed once; the rule purity
// forbids the rest of them.
var pureImports = []string{
	"bytes", "cmp", "container/...", "crypto/hmac", "crypto/sha256", "encoding/...", "errors", "fmt", "hash/...", "io", "iter",
	"maps", "math", "math/big", "math/bits", "slices", "sort", "strconv", "strings", "sync", "time", "unicode/...",
}

// placeOf finds the place of a package.
func placeOf(dir string) (place, bool) {
	best, found := "", false
	for pattern := range places {
		if under(dir, []string{pattern}) && (!found || len(pattern) > len(best)) {
			best, found = pattern, true
		}
	}
	return places[best], found
}

// checkPlaces: every package has its place, and imports only what it may.
func checkPlaces(t *Tree, f *file, report func(int, string, ...any)) {
	p, ok := placeOf(f.dir)
	if !ok {
		report(1, "package %s has no place in the table of packages", f.dir)
		return
	}
	for _, imported := range f.imports() {
		dir, ok := t.ownDir(imported)
		if !ok || dir == f.dir || under(dir, p.imports) {
			continue
		}
		if f.isTest && (under(dir, p.tests) || under(dir, []string{"internal/..."})) {
			continue
		}
		report(1, "%s may not import %s", f.dir, dir)
	}
}

// checkHomes: third-party libraries are imported where they are at home.
func checkHomes(t *Tree, f *file, report func(int, string, ...any)) {
	p, _ := placeOf(f.dir)
	for _, imported := range f.imports() {
		if _, own := t.ownDir(imported); own || !thirdParty(imported) {
			continue
		}
		lib, known := libraryOf(imported)
		switch {
		case !known:
			report(1, "%s is of a library without a home", imported)
		case f.isTest && (under(f.dir, slices.Concat(lib.homes, lib.tests)) || under(f.dir, []string{"app", "internal/...", "test/..."})):
		case !f.isTest && p.pure:
			report(1, "%s is pure and may not import %s", f.dir, imported)
		case !f.isTest && !under(f.dir, lib.homes), f.isTest:
			report(1, "%s is not the home of %s", f.dir, imported)
		}
	}
}

// ownDir is the directory of an import path of this module.
func (t *Tree) ownDir(imported string) (dir string, ok bool) {
	if imported == t.Module {
		return ".", true
	}
	rest, ok := strings.CutPrefix(imported, t.Module+"/")
	return path.Clean(rest), ok
}

// thirdParty reports whether an import path is of no standard package: its first
// element has a dot.
func thirdParty(imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	return strings.Contains(first, ".")
}

// libraryOf finds the library of an import path by the longest prefix.
func libraryOf(imported string) (library, bool) {
	best := ""
	for prefix := range libraries {
		fits := imported == prefix || strings.HasPrefix(imported, strings.TrimSuffix(prefix, "/")+"/")
		if fits && len(prefix) > len(best) {
			best = prefix
		}
	}
	lib, ok := libraries[best]
	return lib, ok
}
