package archtest

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

const module = "tickcast"

// TestThisModule holds this module to the rules.
func TestThisModule(t *testing.T) {
	tree, err := Load(os.DirFS("../.."), module)
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.files) < 10 {
		t.Fatalf("only %d sources were found", len(tree.files))
	}
	for _, v := range tree.Check() {
		t.Error(v)
	}
}

// TestDependenciesAreDecided wants a line in the record of decisions for every library
// that may be imported. What is imported and not in the list is found by the rules.
func TestDependenciesAreDecided(t *testing.T) {
	record, err := os.ReadFile("../../docs/adr/0006-dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	for module := range libraries {
		if name := strings.TrimPrefix(module, "github.com/"); !strings.Contains(string(record), name) {
			t.Errorf("no line about %s in docs/adr/0006-dependencies.md", name)
		}
	}
}

// lines is a function's body of n lines.
func lines(n int) string { return strings.Repeat("\t_ = 0\n", n) }

// TestEveryRuleCanFail breaks each rule on a source made for it, beside one that
// keeps it.
func TestEveryRuleCanFail(t *testing.T) {
	tested := map[string]bool{}
	for _, c := range brokenSources() {
		tested[c.rule] = true
		t.Run(c.rule+"/"+c.why, func(t *testing.T) {
			if got := violations(t, c.path, c.bad, c.rule); len(got) != 1 {
				t.Errorf("%d violations in the bad source, want 1: %v\n%s", len(got), got, c.bad)
			}
			if c.good == "" {
				return
			}
			if got := violations(t, c.path, c.good, c.rule); len(got) != 0 {
				t.Errorf("violations in the good source: %v\n%s", got, c.good)
			}
		})
	}
	for _, r := range fileRules {
		if !tested[r.name] {
			t.Errorf("rule %s was not broken", r.name)
		}
	}
	for _, r := range treeRules {
		if !tested[r.name] {
			t.Errorf("rule %s was not broken", r.name)
		}
	}
}

// violations are those of one rule in a module of one source.
func violations(t *testing.T, path, source, rule string) []Violation {
	t.Helper()
	tree, err := Load(fstest.MapFS{path: {Data: []byte(source)}}, module)
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(tree.Check(), func(v Violation) bool { return v.Rule != rule })
}

// brokenSource is a source that breaks one rule once, and one that does not; the
// latter may be empty.
type brokenSource struct{ rule, why, path, bad, good string }

func brokenSources() []brokenSource {
	return slices.Concat(brokenImports(), brokenStyle())
}

func brokenImports() []brokenSource {
	imp := func(pkg, path string) string { return fmt.Sprintf("package %s\n\nimport _ %q\n", pkg, path) }
	return []brokenSource{
		{"places", "edge imports authority", "server/a.go", imp("server", "tickcast/room"), imp("server", "tickcast/fanout")},
		{"places", "authority imports edge", "room/a.go", imp("room", "tickcast/server"), imp("room", "tickcast/bus")},
		{"places", "authority imports ledger", "room/a.go", imp("room", "tickcast/ledger"), ""},
		{"places", "authority imports a game", "room/a.go", imp("room", "tickcast/room/race"), ""},
		{"places", "tests of the authority may", "room/a_test.go", imp("room", "tickcast/app"), imp("room", "tickcast/room/race")},
		{"places", "a leaf imports", "wire/a.go", imp("wire", "tickcast/bus"), imp("wire", "time")},
		{"places", "the load tester looks inside", "loadtest/a.go", imp("loadtest", "tickcast/server"), imp("loadtest", "tickcast/wire")},
		{"places", "main does more than main", "main.go", imp("main", "tickcast/room"), imp("main", "tickcast/app")},
		{"places", "test services in code", "cache/a.go", imp("cache", "tickcast/internal/testsvc"), ""},
		{"places", "test services in tests", "cache/a_test.go", imp("cache", "tickcast/ledger"), imp("cache", "tickcast/internal/testsvc")},
		{"places", "unknown package", "odd/a.go", "package odd\n", ""},
		{"homes", "two homes", "server/a.go", imp("server", "github.com/redis/go-redis/v9"), ""},
		{"homes", "at home", "room/a.go", imp("room", "modernc.org/sqlite"), imp("room", "github.com/nats-io/nats.go/jetstream")},
		{"homes", "tests only", "room/a.go", imp("room", "pgregory.net/rapid"), ""},
		{"homes", "in tests", "room/a_test.go", imp("room", "github.com/chromedp/chromedp"), imp("room", "pgregory.net/rapid")},
		{"homes", "unknown library", "room/a.go", imp("room", "example.org/left-pad"), ""},
		{"homes", "pure", "room/race/a.go", imp("race", "golang.org/x/sync/errgroup"), ""},
		{"purity", "input and output", "room/race/a.go", imp("race", "os"), imp("race", "encoding/json")},
		{"purity", "randomness", "room/crash/a.go", imp("crash", "math/rand/v2"), imp("crash", "math/big")},
		{"purity", "clock", "room/race/a.go", "package race\n\nvar a = time.Now\n", "package race\n\nvar a = time.Second\n"},
		{"purity", "goroutine", "room/race/a.go", "package race\n\nfunc a() { go a() }\n", "package room\n\nfunc a() { a() }\n"},
		{"purity", "channel", "room/race/a.go", "package race\n\nvar a chan int\n", ""},
		{"sleeping", "code", "bus/a.go", "package bus\n\nvar a = time.Sleep\n", "package bus\n\nvar a = time.After\n"},
		{
			"sleeping", "test", "bus/a_test.go", "package bus\n\nvar a = time.Sleep\n",
			"package bus\n\nimport _ \"testing/synctest\"\n\nvar a = time.Sleep\n",
		},
	}
}

func brokenStyle() []brokenSource {
	later := "TO" + "DO"
	return []brokenSource{
		{"file-size", "long file", "bus/a.go", "package bus\n" + strings.Repeat("\n", 600), "package bus\n" + strings.Repeat("\n", 599)},
		{"function-size", "long function", "bus/a.go", "package bus\n\nfunc a() {\n" + lines(69) + "}\n", "package bus\n\nfunc a() {\n" + lines(68) + "}\n"},
		{
			"function-size", "its comment does not count", "bus/a.go", "package bus\n\n// a\nfunc a() {\n" + lines(69) + "}\n",
			"package bus\n\n// a\nfunc a() {\n" + lines(68) + "}\n",
		},
		{"init", "init", "bus/a.go", "package bus\n\nfunc init() {}\n", "package bus\n\ntype t int\n\nfunc (t) init() {}\n"},
		{"names", "empty name", "internal/utils/a.go", "package utils\n", "package urls\n"},
		{"names", "in its tests", "internal/helpers/a_test.go", "package helpers_test\n", "package urls_test\n"},
		{"docs", "function", "bus/a.go", "package bus\n\nfunc A() {}\n", "package bus\n\n// A does.\nfunc A() {}\n"},
		{
			"docs", "method", "bus/a.go", "package bus\n\n// T is.\ntype T[K any] int\n\nfunc (*T[K]) A() {}\n",
			"package bus\n\ntype t int\n\nfunc (t) A() {}\n",
		},
		{"docs", "type", "bus/a.go", "package bus\n\ntype T int\n", "package bus\n\ntype t int\n"},
		{"docs", "constant", "bus/a.go", "package bus\n\nconst (\n\tA = 1\n\tb = 2\n)\n", "package bus\n\nconst (\n\tA = 1 // one\n)\n"},
		{"docs", "group", "bus/a.go", "package bus\n\nvar A = 1\n", "package bus\n\n// Numbers.\nvar (\n\tA = 1\n\tB = 2\n)\n"},
		{"docs", "not in tests", "bus/a.go", "package bus\n\nfunc A() {}\n", "package main\n\nfunc A() {}\n"},
		{"package-docs", "no doc.go", "bus/a.go", "// Package bus is.\npackage bus\n", "package main\n"},
		{"package-docs", "no comment", "bus/doc.go", "package bus\n", "// Package bus is.\npackage bus\n"},
		{"words", "comment", "bus/a.go", "package bus\n\n// " + later + ": all\n", "package bus\n\n// method\n"},
		{"words", "other files", "docs/a.md", "All is " + "FIX" + "ME.\n", "mktemp XXXX" + "XX\n"},
	}
}

// TestLoadLeavesOut shows what is not this module's source.
func TestLoadLeavesOut(t *testing.T) {
	bad := &fstest.MapFile{Data: []byte("package utils\n\nfunc init() {}\n")}
	tree, err := Load(fstest.MapFS{
		"bus/testdata/a.go":   bad,
		".git/a.go":           bad,
		"tools/go.mod":        {Data: []byte("module tools\n")},
		"tools/a.go":          bad,
		"node_modules/x/a.go": bad,
		"data/a.go":           bad,
	}, module)
	if err != nil || len(tree.files) != 0 {
		t.Errorf("%d sources (%v)", len(tree.files), err)
	}
}

func TestLoadReportsWhatDoesNotParse(t *testing.T) {
	if _, err := Load(fstest.MapFS{"bus/a.go": {Data: []byte("packag bus\n")}}, module); err == nil {
		t.Error("no error")
	}
}
