package archtest

import (
	"go/ast"
	"slices"
)

// impureCalls are functions of the packages that pure code may import for
// something else.
var impureCalls = map[string][]string{
	"time": {"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"},
	"fmt":  {"Print", "Println", "Printf", "Scan", "Scanln", "Scanf"},
	"sync": {"WaitGroup", "NewCond", "Cond", "Pool", "Map"},
}

// checkPurity: the rules of games know no clock, no goroutine, no randomness and
// no I/O, so that every replica folds the same.
func checkPurity(t *Tree, f *file, report func(int, string, ...any)) {
	p, _ := placeOf(f.dir)
	if !p.pure || f.isTest {
		return
	}
	for _, imported := range f.imports() {
		if _, own := t.ownDir(imported); !own && !thirdParty(imported) && !under(imported, pureImports) {
			report(1, "%s is pure and may not import %s", f.dir, imported)
		}
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			report(t.line(n), "%s is pure and may not start a goroutine", f.dir)
		case *ast.ChanType, *ast.SelectStmt:
			report(t.line(n), "%s is pure and may not use channels", f.dir)
		case *ast.SelectorExpr:
			if pkg, ok := n.X.(*ast.Ident); ok && slices.Contains(impureCalls[pkg.Name], n.Sel.Name) {
				report(t.line(n), "%s is pure and may not use %s.%s", f.dir, pkg.Name, n.Sel.Name)
			}
		}
		return true
	})
}

// checkSleeping: code waits for events, and tests for conditions. A sleep is
// exact only in a synctest bubble.
func checkSleeping(t *Tree, f *file, report func(int, string, ...any)) {
	if f.isTest && slices.Contains(f.imports(), "testing/synctest") {
		return
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Sleep" {
			if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "time" {
				report(t.line(n), "time.Sleep waits for a time that is hoped to be enough")
			}
		}
		return true
	})
}
