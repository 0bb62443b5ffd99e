package app

import (
	"os"
	"strings"
	"testing"
)

// TestScenariosAreFlags shows that every scenario sets flags that exist, that flags
// given win, and that the page about testing lists them all.
func TestScenariosAreFlags(t *testing.T) {
	page, err := os.ReadFile("../docs/testing.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range scenarios() {
		cmd := newSwarm()
		if err := cmd.ParseFlags([]string{"--bet", "0.25", "--duration", "3s"}); err != nil {
			t.Fatal(err)
		}
		if err := applyScenario(cmd.Flags(), s.name); err != nil {
			t.Error(err)
		}
		for _, setting := range strings.Fields(s.flags) {
			name, value, _ := strings.Cut(setting, "=")
			switch {
			case name == "bet":
				value = "0.25"
			case name == "duration":
				value = "3s"
			case value == "1m":
				value = "1m0s"
			}
			if got := cmd.Flags().Lookup(name).Value.String(); got != value {
				t.Errorf("%s: --%s is %s, want %s", s.name, name, got, value)
			}
		}
		if !strings.Contains(string(page), "| `"+s.name+"` |") {
			t.Errorf("docs/testing.md does not list %s", s.name)
		}
		if !strings.Contains(cmd.Long, "  "+s.name+" ") {
			t.Errorf("--help does not list %s", s.name)
		}
	}
	if err := applyScenario(newSwarm().Flags(), "stedy"); err == nil || !strings.Contains(err.Error(), `"steady"`) {
		t.Errorf("an unknown scenario: %v", err)
	}
}
