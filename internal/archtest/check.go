package archtest

import (
	"cmp"
	"fmt"
	"slices"
)

// Violation is a place that breaks a rule.
type Violation struct {
	Rule string // name of the rule
	Path string // of the file, within the module
	Line int    // counted from 1
	What string
}

// String is the violation as compilers print errors.
func (v Violation) String() string {
	return fmt.Sprintf("%s:%d: %s (%s)", v.Path, v.Line, v.What, v.Rule)
}

// fileRule looks at one Go source.
type fileRule struct {
	name  string
	check func(t *Tree, f *file, report func(line int, format string, args ...any))
}

// treeRule looks at everything.
type treeRule struct {
	name  string
	check func(t *Tree, report func(path string, line int, format string, args ...any))
}

var fileRules = []fileRule{
	{"places", checkPlaces},
	{"homes", checkHomes},
	{"purity", checkPurity},
	{"sleeping", checkSleeping},
	{"file-size", checkFileSize},
	{"function-size", checkFunctionSize},
	{"init", checkInit},
	{"names", checkNames},
	{"docs", checkDocs},
}

var treeRules = []treeRule{
	{"package-docs", checkPackageDocs},
	{"words", checkWords},
}

// Check returns every violation of every rule, by path and line.
func (t *Tree) Check() []Violation {
	var out []Violation
	add := func(rule, path string, line int, format string, args ...any) {
		out = append(out, Violation{Rule: rule, Path: path, Line: line, What: fmt.Sprintf(format, args...)})
	}
	for _, r := range fileRules {
		for _, f := range t.files {
			r.check(t, f, func(line int, format string, args ...any) { add(r.name, f.path, line, format, args...) })
		}
	}
	for _, r := range treeRules {
		r.check(t, func(path string, line int, format string, args ...any) { add(r.name, path, line, format, args...) })
	}
	slices.SortFunc(out, func(a, b Violation) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line), cmp.Compare(a.What, b.What))
	})
	return out
}
