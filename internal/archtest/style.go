package archtest

import (
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Limits on what one has to read at once.
const (
	maxFileLines     = 600
	maxFunctionLines = 70
)

// emptyNames say nothing about what a package is for.
var emptyNames = []string{"utils", "util", "common", "helpers", "helper", "types", "models", "misc", "base", "shared"}

// laterWords promise work instead of doing it. They are spelled in two parts here
// because this file is searched too.
var laterWords = regexp.MustCompile(`\b(` + "TO" + `DO|` + "FIX" + `ME|` + "XX" + `X)\b`)

// checkFileSize: nobody reads longer files.
func checkFileSize(_ *Tree, f *file, report func(int, string, ...any)) {
	if f.lines > maxFileLines {
		report(f.lines, "%d lines, at most %d", f.lines, maxFileLines)
	}
}

// checkFunctionSize: a function fits on a screen.
func checkFunctionSize(t *Tree, f *file, report func(int, string, ...any)) {
	for _, d := range f.ast.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		lines := t.fset.Position(fn.End()).Line - t.line(fn) + 1
		if fn.Doc != nil {
			lines = t.fset.Position(fn.End()).Line - t.fset.Position(fn.Type.Pos()).Line + 1
		}
		if lines > maxFunctionLines {
			report(t.line(fn), "function %s has %d lines, at most %d", fn.Name.Name, lines, maxFunctionLines)
		}
	}
}

// checkInit: what happens at the start is called by main, in an order that can
// be read.
func checkInit(t *Tree, f *file, report func(int, string, ...any)) {
	for _, d := range f.ast.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
			report(t.line(fn), "init functions run behind the reader's back")
		}
	}
}

// checkNames: a package is named after what it is for.
func checkNames(t *Tree, f *file, report func(int, string, ...any)) {
	name := strings.TrimSuffix(f.ast.Name.Name, "_test")
	if slices.Contains(emptyNames, name) {
		report(t.line(f.ast.Name), "the package name %s says nothing", name)
	}
}

// checkDocs: what is exported is explained.
func checkDocs(t *Tree, f *file, report func(int, string, ...any)) {
	if f.isTest || f.ast.Name.Name == "main" {
		return
	}
	for _, d := range f.ast.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) {
				report(t.line(d), "exported %s has no doc comment", d.Name.Name)
			}
		case *ast.GenDecl:
			for _, name := range undocumented(d) {
				report(t.line(name), "exported %s has no doc comment", name.Name)
			}
		}
	}
}

// exportedReceiver reports whether a function is no method, or one of an exported
// type.
func exportedReceiver(fn *ast.FuncDecl) bool {
	if fn.Recv == nil || len(fn.Recv.List) == 0 {
		return true
	}
	x := fn.Recv.List[0].Type
	for {
		switch e := x.(type) {
		case *ast.StarExpr:
			x = e.X
		case *ast.IndexExpr:
			x = e.X
		case *ast.IndexListExpr:
			x = e.X
		case *ast.Ident:
			return e.IsExported()
		default:
			return true
		}
	}
}

// undocumented are the exported names of a declaration without a comment of
// their own, of their line or of their group.
func undocumented(d *ast.GenDecl) []*ast.Ident {
	if d.Tok == token.IMPORT {
		return nil
	}
	var out []*ast.Ident
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() && s.Doc == nil && d.Doc == nil {
				out = append(out, s.Name)
			}
		case *ast.ValueSpec:
			for _, name := range s.Names {
				if name.IsExported() && s.Doc == nil && s.Comment == nil && d.Doc == nil {
					out = append(out, name)
				}
			}
		}
	}
	return out
}

// checkPackageDocs: every package that is imported has its doc.go.
func checkPackageDocs(t *Tree, report func(string, int, string, ...any)) {
	code, docs := map[string]bool{}, map[string]bool{}
	for _, f := range t.files {
		if f.isTest || f.ast.Name.Name == "main" {
			continue
		}
		code[f.dir] = true
		if path.Base(f.path) == "doc.go" && f.ast.Doc != nil && strings.HasPrefix(f.ast.Doc.Text(), "Package "+f.ast.Name.Name+" ") {
			docs[f.dir] = true
		}
	}
	for dir := range code {
		if !docs[dir] {
			report(path.Join(dir, "doc.go"), 1, "package %s has no doc.go that begins with its package comment", dir)
		}
	}
}

// checkWords: what is to be done is done, or written down where work is planned.
func checkWords(t *Tree, report func(string, int, string, ...any)) {
	for _, x := range t.texts {
		for i, line := range strings.Split(x.body, "\n") {
			if word := laterWords.FindString(line); word != "" {
				report(x.path, i+1, "%s promises work", word)
			}
		}
	}
}
