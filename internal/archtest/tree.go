package archtest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Tree is the parsed sources of a module. It is not modified after Load.
type Tree struct {
	Module string // module path
	fset   *token.FileSet
	files  []*file // Go sources, by path
	texts  []text  // every file that people write, by path
}

// file is a Go source.
type file struct {
	path   string // within the module, with slashes
	dir    string // of the package; "." for the root
	ast    *ast.File
	isTest bool
	lines  int
}

// text is any file that people write.
type text struct {
	path string
	body string
}

// writtenByPeople are the extensions of the files that are read for words; the
// two Makefile-like names without extension are recognised by name.
var writtenByPeople = map[string]bool{
	".go": true, ".md": true, ".js": true, ".css": true, ".html": true, ".sql": true,
	".sh": true, ".yml": true, ".yaml": true, ".cfg": true, ".conf": true,
}

// Load parses the sources under a module's root directory. Directories that the
// go command ignores, and modules within the module, are left out.
func Load(root fs.FS, module string) (*Tree, error) {
	t := &Tree{Module: module, fset: token.NewFileSet()}
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			if ignored(root, name) {
				return fs.SkipDir
			}
			return nil
		}
		base := path.Base(name)
		if writtenByPeople[path.Ext(name)] || base == "Makefile" || base == "Dockerfile" {
			return t.read(root, name)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load sources: %w", err)
	}
	return t, nil
}

func ignored(root fs.FS, dir string) bool {
	base := path.Base(dir)
	if dir == "." {
		return false
	}
	if strings.HasPrefix(base, ".") || slices.Contains([]string{"testdata", "node_modules", "data", "bin", "test-output"}, base) {
		return true
	}
	_, err := fs.Stat(root, path.Join(dir, "go.mod"))
	return err == nil
}

func (t *Tree) read(root fs.FS, name string) error {
	body, err := fs.ReadFile(root, name)
	if err != nil {
		return err
	}
	t.texts = append(t.texts, text{path: name, body: string(body)})
	if path.Ext(name) != ".go" {
		return nil
	}
	parsed, err := parser.ParseFile(t.fset, name, body, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	t.files = append(t.files, &file{
		path: name, dir: path.Dir(name), ast: parsed,
		isTest: strings.HasSuffix(name, "_test.go"),
		lines:  strings.Count(string(body), "\n"),
	})
	return nil
}

// imports are the import paths of a file.
func (f *file) imports() []string {
	var out []string
	for _, spec := range f.ast.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// line is the line of a node.
func (t *Tree) line(n ast.Node) int { return t.fset.Position(n.Pos()).Line }

// under reports whether a directory is one of some, or below one that ends in
// "/...".
func under(dir string, patterns []string) bool {
	for _, p := range patterns {
		if parent, ok := strings.CutSuffix(p, "/..."); ok {
			if dir == parent || strings.HasPrefix(dir, parent+"/") || parent == "" {
				return true
			}
			continue
		}
		if dir == p {
			return true
		}
	}
	return false
}
