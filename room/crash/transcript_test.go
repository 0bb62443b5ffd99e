package crash

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"tickcast/room/game"
	"tickcast/wire"
)

var update = flag.Bool("update", false, "write the transcripts in testdata anew")

// TestTranscripts plays the scripts in testdata/*.txt. A script is a list of
// blocks: one line that says what happens, "----", and every input that the room
// got with its effects, up to an empty line.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := playScript(t, string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(want) {
				t.Errorf("the transcript differs (-update writes it anew):\n%s", firstDifference(string(want), got))
			}
		})
	}
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range min(len(w), len(g)) {
		if w[i] != g[i] {
			return fmt.Sprintf("line %d\nwant %s\ngot  %s", i+1, w[i], g[i])
		}
	}
	return fmt.Sprintf("%d lines, want %d", len(g), len(w))
}

type script struct {
	t   *testing.T
	tb  *table
	out strings.Builder
}

func playScript(t *testing.T, text string) string {
	s := &script{t: t}
	output := false
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case output:
			output = line != ""
		case line == "----":
			output = true
		case strings.HasPrefix(line, "#"):
			s.out.WriteString(line + "\n")
		case line == "":
			if !strings.HasSuffix(s.out.String(), "\n\n") {
				s.out.WriteString("\n")
			}
		default:
			s.out.WriteString(line + "\n----\n")
			s.run(strings.Fields(line))
			s.out.WriteString("\n")
		}
	}
	return strings.TrimSuffix(s.out.String(), "\n")
}

// run does what one line of a script says.
func (s *script) run(words []string) {
	verb, rest := words[0], words[1:]
	tb := s.tb
	switch verb {
	case "new": // new POINT SETTINGS
		point := s.number(rest[0])
		s.tb = newTable(s.t, crashingAt(point, point, 100_000), strings.Join(rest[1:], " "))
		s.tb.after = s.tell
		s.tb.fulfil()
	case "pass":
		d, err := time.ParseDuration(rest[0])
		if err != nil {
			s.t.Fatal(err)
		}
		tb.pass(game.Time(d))
	case "until":
		tb.untilPhase(phase(rest[0]))
	case "reading":
		tb.reading(s.number(rest[0]))
	case "bet", "cancel", "cashout": // VERB PLAYER ROUND ARGS
		tb.command(rest[0], verb, uint64(s.number(rest[1])), strings.Join(rest[2:], " "))
		tb.fulfil()
	case "book":
		tb.settle()
		tb.fulfil()
	case "refuse": // the first booking in the queue
		b := tb.queue[0]
		tb.queue = tb.queue[1:]
		tb.result(wire.BookingResult{ID: b.ID, Code: wire.Code(rest[0])})
	case "action": // action OP ARGS
		if e := tb.action(rest[0], strings.Join(rest[1:], " ")); e != nil {
			fmt.Fprintf(&s.out, "  refused %s\n", e)
		}
		tb.fulfil()
	case "view":
		fmt.Fprintf(&s.out, "%s\n", tb.room.View(tb.at()))
	case "you":
		fmt.Fprintf(&s.out, "%s\n", tb.room.You(rest[0]))
	default:
		s.t.Fatalf("unknown verb %q", verb)
	}
}

func (s *script) number(word string) int64 {
	n, err := strconv.ParseInt(word, 10, 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// tell writes down an input and its effects.
func (s *script) tell(name string) {
	fx := &s.tb.fx
	fmt.Fprintf(&s.out, "%d.%09d %s\n", s.tb.now/1e9, s.tb.now%1e9, name)
	for _, e := range fx.Events {
		fmt.Fprintf(&s.out, "  event  %s\n", e.Body)
	}
	for _, a := range fx.Answers {
		if a.Error != nil {
			fmt.Fprintf(&s.out, "  answer %s %s %s\n", a.Ref.Player, a.Ref.Key, a.Error)
		} else {
			fmt.Fprintf(&s.out, "  answer %s %s %s\n", a.Ref.Player, a.Ref.Key, a.Result)
		}
	}
	for _, n := range fx.Notices {
		fmt.Fprintf(&s.out, "  notice %s %s\n", n.Player, n.Event)
	}
	for _, b := range fx.Bookings {
		fmt.Fprintf(&s.out, "  book   %s\n", game.Encode(b))
	}
}
