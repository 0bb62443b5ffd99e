package app

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/pflag"
)

// scenario is a named kind of run: flags that stand unless they are given.
type scenario struct {
	name  string
	what  string
	flags string // name=value, separated by spaces
}

// watching is for bots that watch and do nothing else.
const watching = "bet=0 tap-rate=0 reconnect-every=-1s"

// scenarios are the kinds of runs, as --help and docs/testing.md list them.
func scenarios() []scenario {
	return []scenario{
		{"steady", "bots watch, at the room's own rate", watching},
		{"flat-out", "bots play as fast as a connection may send", "bet=1 second-bet=1 cancel=0 cash-out-delay=500ms tap-rate=40 reconnect-every=-1s"},
		{"idle", "bots are there; every connection must last and answer in the end", "idle=true duration=1m " + watching},
		{"herd", "all bots connect at once", "ramp=-1s dials-at-once=4096 settle=30s " + watching},
		{"jitter", "each bot loses the network for 2 s every 15 s", "outage=2s outage-every=15s duration=1m settle=30s reconnect-every=-1s"},
		{"avalanche", "a gateway is killed (--kill-pid, --kill-command, or by you); its bots come back through the others", "expect-kill=true settle=30s reconnect-every=-1s"},
		{"slow", "1 % of the bots never read, 1 % read a tenth; no other may be degraded", "stuck=0.01 crawl=0.01 max-degraded=-1 duration=1m settle=30s " + watching},
	}
}

// applyScenario sets the flags of a scenario that were not given.
func applyScenario(f *pflag.FlagSet, name string) error {
	for _, s := range scenarios() {
		if s.name != name {
			continue
		}
		for _, setting := range strings.Fields(s.flags) {
			flag, value, _ := strings.Cut(setting, "=")
			if f.Changed(flag) {
				continue
			}
			if err := f.Set(flag, value); err != nil {
				return fmt.Errorf("scenario %s: %w", name, err)
			}
		}
		return nil
	}
	return unknown(name, "scenario", scenarioNames())
}

func scenarioNames() (names []string) {
	for _, s := range scenarios() {
		names = append(names, s.name)
	}
	return names
}

// scenarioTable lists the scenarios for --help.
func scenarioTable() string {
	var b strings.Builder
	tab := tabwriter.NewWriter(&b, 2, 8, 2, ' ', 0)
	for _, s := range scenarios() {
		fmt.Fprintf(tab, "  %s\t%s\n  \t  --%s\n", s.name, s.what, strings.ReplaceAll(s.flags, " ", " --"))
	}
	_ = tab.Flush()
	return b.String()
}
