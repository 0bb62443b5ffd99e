package web_test

import (
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"tickcast/web"
)

// layers lists the directories of modules; each may import from itself and from
// those before it. The two pages do not import each other.
var layers = []string{"client", "ui", "player", "console"}

// eachFile calls f with every embedded file of an extension.
func eachFile(t *testing.T, ext string, f func(name, text string)) {
	t.Helper()
	n := 0
	err := fs.WalkDir(web.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(name) != ext {
			return err
		}
		b, err := fs.ReadFile(web.FS(), name)
		if err != nil {
			return err
		}
		n++
		f(name, string(b))
		return nil
	})
	if err != nil || n == 0 {
		t.Fatalf("read %d files of %s: %v", n, ext, err)
	}
}

func TestModulesKeepTheirLayers(t *testing.T) {
	imports := regexp.MustCompile(`(?m)(?:^import|^export|^} from|\bfrom) .*?'([^']+)'`)
	comment := regexp.MustCompile(`(?s)/\*.*?\*/|(?m)//.*$`)
	dom := regexp.MustCompile(`\b(document|window|localStorage|sessionStorage|navigator)\b`)
	eachFile(t, ".js", func(name, text string) {
		if !strings.HasPrefix(text, "// @ts-check\n") {
			t.Errorf("%s is not type checked: its first line is // @ts-check", name)
		}
		code := comment.ReplaceAllString(text, "")
		dir := path.Dir(name)
		if dir == "client" && dom.MatchString(code) {
			t.Errorf("%s speaks of %s: the client is free of the page", name, dom.FindString(code))
		}
		for _, m := range imports.FindAllStringSubmatch(code, -1) {
			target := path.Join(dir, m[1])
			if _, err := fs.Stat(web.FS(), target); err != nil {
				t.Errorf("%s imports %s: %v", name, m[1], err)
			}
			from, to := slices.Index(layers, dir), slices.Index(layers, path.Dir(target))
			if to < 0 || to > from || dir == "console" && path.Dir(target) == "player" {
				t.Errorf("%s imports %s", name, target)
			}
		}
	})
}

func TestFilesAreShort(t *testing.T) {
	const most = 600
	for _, ext := range []string{".html", ".css", ".js"} {
		eachFile(t, ext, func(name, text string) {
			if n := strings.Count(text, "\n"); n > most {
				t.Errorf("%s has %d lines, %d are the most", name, n, most)
			}
		})
	}
}

func TestPagesNeedNobodyElse(t *testing.T) {
	inline := regexp.MustCompile(`(?i)<style|\sstyle=|\son[a-z]+=|<script(?:>| [^>]*[^"]>)`)
	foreign := regexp.MustCompile(`(?i)(?:src|href|url\(|@import|fetch\()[=\s('"]*(?:https?:)?//`)
	eachFile(t, ".html", func(name, text string) {
		if m := inline.FindString(text); m != "" {
			t.Errorf("%s has something inline, which the policy forbids: %q", name, m)
		}
		for _, m := range regexp.MustCompile(`(?:src|href)="/static/([^"]+)"`).FindAllStringSubmatch(text, -1) {
			if _, err := fs.Stat(web.FS(), m[1]); err != nil {
				t.Errorf("%s links to %s: %v", name, m[1], err)
			}
		}
	})
	for _, ext := range []string{".html", ".css", ".js"} {
		eachFile(t, ext, func(name, text string) {
			if m := foreign.FindString(text); m != "" {
				t.Errorf("%s asks another host: %q", name, m)
			}
		})
	}
}
