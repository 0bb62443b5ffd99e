package web_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// result is what the page says of one case.
type result struct {
	Name  string `json:"name"`
	Error string `json:"error"` // empty if the case passed
}

// TestModules runs the tests of the modules that need no page, testdata/*.test.js,
// in a browser: the code is judged by what will run it.
func TestModules(t *testing.T) {
	modules, err := filepath.Glob("testdata/*.test.js")
	if err != nil || len(modules) == 0 {
		t.Fatalf("find test modules: %v, %d found", err, len(modules))
	}
	b := newTab(t, 800, 600)
	url := serve(t, files())
	for _, m := range modules {
		t.Run(strings.TrimSuffix(filepath.Base(m), ".test.js"), func(t *testing.T) {
			b := &tab{t: t, ctx: b.ctx}
			b.do("open a blank page", chromedp.Navigate(url+"/testdata/blank.html"))
			results := eval[[]result](b, "run "+m, `import('./`+filepath.Base(m)+`').then(() => import('./check.js')).then((c) => c.results())`)
			if len(results) == 0 {
				t.Fatalf("%s has no cases", m)
			}
			for _, r := range results {
				t.Run(strings.ReplaceAll(r.Name, " ", "_"), func(t *testing.T) {
					if r.Error != "" {
						t.Error(r.Error)
					}
				})
			}
		})
	}
}
