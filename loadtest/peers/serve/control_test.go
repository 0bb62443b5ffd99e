package serve

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// TestControl publishes, stops and publishes again.
func TestControl(t *testing.T) {
	in, commands := io.Pipe()
	said, out := io.Pipe()
	updates := make(chan Update) // each is taken here before the next is due or stop is answered
	ended := make(chan error, 1)
	go func() {
		ended <- Control(in, out, func(u Update) error { updates <- u; return nil })
		_ = out.Close()
	}()
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(said); s.Scan(); {
			lines <- s.Text()
		}
	}()
	say := func(s string) { _, _ = io.WriteString(commands, s+"\n") }
	var last Update
	for _, size := range []int{128, 1024} {
		say(fmt.Sprintf("publish 500 %d", size))
		stopped := ""
		for n := 1; stopped == ""; n++ {
			select {
			case u := <-updates:
				if u.Seq != last.Seq+1 || u.Size != size || u.Due <= last.Due {
					t.Errorf("%+v after %+v", u, last)
				}
				last = u
			case line, open := <-lines:
				if !open {
					t.Fatal(<-ended)
				}
				stopped = line
			}
			if n == 3 {
				go say("stop")
			}
		}
		if want := fmt.Sprintf("stopped %d", last.Seq); stopped != want {
			t.Errorf("said %q, want %q", stopped, want)
		}
	}
	_ = commands.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestPublishGivesOneUpdate: stop is there already when it begins.
func TestPublishGivesOneUpdate(t *testing.T) {
	var out strings.Builder
	var updates uint64
	in := strings.NewReader("publish 1000 128\nstop\npublish 1000 128\nstop\n")
	if err := Control(in, &out, func(Update) error { updates++; return nil }); err != nil {
		t.Fatal(err)
	}
	var first, second uint64
	if _, err := fmt.Sscanf(out.String(), "stopped %d\nstopped %d\n", &first, &second); err != nil || first < 1 || second <= first || second != updates {
		t.Errorf("%d updates, said %q (%v)", updates, out.String(), err)
	}
}

// TestUpdatesAreDueAtFixedTimes: a broadcast that is slow does not move those behind it.
func TestUpdatesAreDueAtFixedTimes(t *testing.T) {
	in, commands := io.Pipe()
	updates := make(chan Update)
	go func() {
		defer close(updates)
		_ = Control(in, io.Discard, func(u Update) error { updates <- u; return nil })
	}()
	_, _ = io.WriteString(commands, "publish 1000 128\n")
	first := <-updates
	for i := int64(1); i <= 20; i++ { // the reader sets the pace, not the clock
		if u := <-updates; u.Due-first.Due != i*1e6 {
			t.Errorf("update %d is due %d ns behind the first", u.Seq, u.Due-first.Due)
		}
	}
	_ = commands.Close()
	for range updates { // until it has noticed
	}
}

func TestControlRefuses(t *testing.T) {
	for _, bad := range []string{"", "go", "publish", "publish 20", "publish x 128", "publish 0 128", "publish 20 127", "publish 20 99999999", "stop now"} {
		if err := Control(strings.NewReader(bad+"\n"), io.Discard, nil); err == nil {
			t.Errorf("no error for %q", bad)
		}
	}
	broken := errors.New("broken")
	in, commands := io.Pipe()
	go func() { _, _ = io.WriteString(commands, "publish 100 128\n") }()
	if err := Control(in, io.Discard, func(Update) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

func TestUpdatesHaveTheirSize(t *testing.T) {
	for _, size := range []int{128, 1024, 60_000} {
		u := Update{Seq: 1 << 32, Due: 1 << 52, Size: size}
		for name, b := range map[string][]byte{"payload": appendPayload(nil, u), "update": appendUpdate(nil, u)} {
			if len(b) != size || !json.Valid(b) {
				t.Errorf("%s has %d bytes, want %d: %.200s", name, len(b), size, b)
			}
			seq, ts := bytes.Index(b, []byte(`"seq":4294967296`)), bytes.Index(b, []byte(`"ts":4503599627370496`))
			if seq < 0 || ts < seq {
				t.Errorf("%s has seq at %d, ts at %d", name, seq, ts)
			}
		}
	}
}
