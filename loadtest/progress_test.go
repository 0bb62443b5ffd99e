package loadtest

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// TestProgressOfSeveralProcesses shows one line per second in a file, and on a
// terminal a line for all and one for each process, which are written over and
// never wrap.
func TestProgressOfSeveralProcesses(t *testing.T) {
	all := newCollector(Config{Bots: 30, RoomsPerBot: 1}, 2)
	all.parts[0], all.parts[1] = WorkerReport{Name: "a:1", Bots: 20}, WorkerReport{Name: "b:2", Bots: 10}
	for second := 1; second <= 2; second++ {
		all.takeSample(0, &sample{At: time.Duration(second) * time.Second, Connected: 10, Messages: uint64(100 * second)})
		all.takeSample(1, &sample{At: time.Duration(second) * time.Second, Connected: 10, Messages: uint64(10 * second), Failures: 3, Undialed: 5})
	}
	var file bytes.Buffer
	newProgress(all, &file).show(2 * time.Second)
	if got := file.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "connected 20/30") || !strings.Contains(got, "110 messages/s") || !strings.Contains(got, "3 failures  5 dials failed\n") {
		t.Errorf("in a file: %q", got)
	}
	var screen bytes.Buffer
	p := newProgress(all, &screen)
	p.width = 60
	p.show(2 * time.Second)
	p.show(3 * time.Second)
	p.done()
	got := screen.String()
	if strings.Count(got, "\x1b[3A\x1b[J") != 2 || !strings.Contains(got, "10/20     [==========..........]") || !strings.Contains(got, "b:2") {
		t.Errorf("on a terminal: %q", got)
	}
	for _, line := range strings.Split(got, "\n") {
		if text := strings.TrimPrefix(line, "\x1b[3A\x1b[J"); len(text) >= 60 {
			t.Errorf("a line of %d columns: %q", len(text), text)
		}
	}
}
