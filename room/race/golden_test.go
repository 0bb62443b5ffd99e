package race

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tickcast/room/game"
	"tickcast/wire"
)

var update = flag.Bool("update", false, "write the golden transcripts anew")

func replaceOnce(s, from, to string) string { return strings.Replace(s, from, to, 1) }

// TestTranscripts plays the scripts under testdata. A line that begins with ">"
// is an input, the lines below it are everything that the room says to it:
//
//	> 1.5s tap ann {"n":3}     game time, then a command, an action or a fact
//	> 2s                       only time
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts (%v)", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := replay(t, want)
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s differs (go test -update writes it anew); got:\n%s", file, got)
			}
		})
	}
}

func replay(t *testing.T, script []byte) []byte {
	var out bytes.Buffer
	f := newFold(t, short)
	lines := bufio.NewScanner(bytes.NewReader(script))
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "#") || line == "" {
			fmt.Fprintln(&out, line)
			continue
		}
		input, isInput := strings.CutPrefix(line, "> ")
		if !isInput {
			continue
		}
		fmt.Fprintln(&out, line)
		at, rest, _ := strings.Cut(input, " ")
		d, err := time.ParseDuration(at)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		f.advanceAloud(&out, game.Time(d))
		f.input(rest, &out)
		f.say(&out)
	}
	return out.Bytes()
}

// advanceAloud is advance, with the time before what was said at a due time.
func (f *fold) advanceAloud(out *bytes.Buffer, t game.Time) {
	for f.room.Due() <= t {
		fmt.Fprintf(out, "@ %s\n", time.Duration(f.room.Due()))
		f.advance(f.room.Due())
		f.say(out)
	}
	f.advance(t)
}

func (f *fold) input(line string, out *bytes.Buffer) {
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "":
	case opTap:
		player, args, _ := strings.Cut(rest, " ")
		f.command(player, opTap, f.room.Round(), args)
	case "fact":
		kind, data, _ := strings.Cut(rest, " ")
		if err := f.room.Fact(f.at(f.now), kind, []byte(data), &f.fx); err != nil {
			fmt.Fprintf(out, "halt %v\n", err)
		}
	case "you":
		fmt.Fprintf(out, "you %s\n", f.room.You(rest))
	case "view":
		fmt.Fprintf(out, "view %s\n", f.room.View(f.at(f.now)))
	case "snapshot":
		fmt.Fprintf(out, "snapshot %s\n", f.room.Snapshot())
	default:
		if refusal := f.action(verb, rest); refusal != nil {
			fmt.Fprintf(out, "refused %v\n", refusal)
		}
	}
}

// say writes and takes the effects, then the duties.
func (f *fold) say(out *bytes.Buffer) {
	for _, e := range f.fx.Events {
		fmt.Fprintf(out, "event %s %s\n", e.Slot, e.Body)
	}
	for _, a := range f.fx.Answers {
		if a.Error != nil {
			fmt.Fprintf(out, "answer %s %v\n", a.Ref.Player, a.Error)
			continue
		}
		fmt.Fprintf(out, "answer %s %s\n", a.Ref.Player, a.Result)
	}
	for _, b := range f.fx.Bookings {
		fmt.Fprintf(out, "book %s\n", game.Encode(b))
	}
	f.fx.Reset()
	for _, d := range f.room.Duties(1) {
		fmt.Fprintf(out, "owes %s %s\n", d.Kind, d.Data)
	}
}

func FuzzParseTap(f *testing.F) {
	for _, s := range []string{`{"n":12}`, `{}`, `{"n":1e3}`, `{"n":-0}`, `{"N":1,"n":2}`, `[`, `{"n":99999999999999999999}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, args []byte) {
		n, ok := parseTap(args)
		if ok && (n < 1 || n > maxTaps) {
			t.Errorf("%q: accepted %d", args, n)
		}
	})
}

func FuzzSettings(f *testing.F) {
	for _, s := range []string{short, `{}`, `null`, `{"tick_ms":1e2}`, `{"version":2}`, `{}{}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, patch []byte) {
		s, refusal := defaultSettings().with(patch)
		if refusal == nil && !s.valid() {
			t.Errorf("%q: accepted %+v", patch, s)
		}
	})
}

func FuzzRestore(f *testing.F) {
	r := running(f, short)
	f.Add(r.room.Snapshot())
	r.tap("ann", 3)
	f.Add(r.room.Snapshot())
	f.Fuzz(func(t *testing.T, snapshot []byte) {
		room, err := Kind{}.Restore(snapshot)
		if err != nil {
			return
		}
		if !bytes.Equal(room.Snapshot(), snapshot) {
			t.Errorf("restored %q, snapshot %q", snapshot, room.Snapshot())
		}
		g := &fold{t: t, room: room, now: min(room.Due(), 1)}
		_ = g.action(wire.ActionVoid, "")
		_ = room.View(g.at(0))
	})
}

// BenchmarkTaps is one tap of a race with 20,000 racers who all grow at about the
// same rate, the worst case for the top of the ranking.
func BenchmarkTaps(b *testing.B) {
	const racers = 20_000
	f := running(b, `{"gathering_ms":100,"running_ms":600000,"max_taps_per_s":1000}`)
	f.advance(f.now + 100_000*ms)
	commands := make([]game.Command, racers)
	for i := range commands {
		player := fmt.Sprint("player-", i)
		commands[i] = game.Command{
			Command: wire.Command{Player: player, Name: player, Op: opTap, Round: 1},
			Ref:     game.Ref{Player: player, Key: "k"},
		}
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		c := commands[i%racers]
		c.Args = fmt.Appendf(nil, `{"n":%d}`, i/racers%maxTaps+1)
		f.room.Command(f.at(f.now), c, &f.fx)
		if i++; i%1000 == 0 {
			f.advance(f.now + 50*ms)
			f.fx.Reset()
		}
	}
}

// BenchmarkSnapshot is a snapshot of a race with 20,000 racers.
func BenchmarkSnapshot(b *testing.B) {
	f := running(b, short)
	for i := range 20_000 {
		f.tap(fmt.Sprint("player-", i), int64(i%10)+1)
	}
	b.ReportAllocs()
	for b.Loop() {
		b.SetBytes(int64(len(f.room.Snapshot())))
	}
}
