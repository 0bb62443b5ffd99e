package archtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestScenariosHaveTests wants each sentence of the page about testing to be the name of a
// test in the packages that it names, or the beginning of one.
func TestScenariosHaveTests(t *testing.T) {
	page, err := os.ReadFile("../../docs/testing.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## Scenarios\n")
	section, _, _ = strings.Cut(section, "\n## ")
	_, table, ok := strings.Cut(section, "| --- | --- |\n")
	if !ok {
		t.Fatal("the page has no table of scenarios")
	}
	tests := map[string]string{}
	for row := range strings.Lines(table) {
		cells := strings.Split(row, " | ")
		if len(cells) != 2 {
			continue
		}
		sentence := strings.TrimPrefix(cells[0], "| ")
		for i, name := range strings.Split(cells[1], "`") {
			if i%2 == 0 {
				continue // between names
			}
			if tests[name] == "" {
				tests[name] = testsOf(t, name)
			}
			if !strings.Contains(tests[name], `"`+sentence) {
				t.Errorf("%s has no test named %q", name, sentence)
			}
		}
	}
	if len(tests) == 0 {
		t.Error("the table names no packages")
	}
}

// testsOf is the text of all tests of a package.
func testsOf(t *testing.T, name string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("../..", filepath.FromSlash(name), "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("the tests of %s: %d files, %v", name, len(files), err)
	}
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}
