package loadtest

import (
	"fmt"
	"io"
	"os"
	"time"
)

// progressLines tells people how a run goes: on a terminal one line that is
// written over, elsewhere a line per second.
type progressLines struct {
	s        *swarm
	w        io.Writer
	terminal bool
	last     counts
}

// counts are totals at one moment.
type counts struct {
	at       time.Duration
	frames   uint64
	bytes    uint64
	commands uint64
}

func newProgress(s *swarm, w io.Writer) *progressLines {
	p := &progressLines{s: s, w: w}
	if f, ok := w.(*os.File); ok {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

// line writes the state of the run with rates since the line before. Errors of
// the writer are ignored: a run is not lost because nobody watches.
func (p *progressLines) line() {
	s := p.s
	c := counts{at: s.now(), frames: s.frames.Load(), bytes: s.bytes.Load(), commands: s.commands.Load()}
	seconds := max(0.001, (c.at - p.last.at).Seconds())
	rate := func(now, before uint64) float64 { return float64(now-before) / seconds }
	phase := ""
	if s.settling.Load() {
		phase = "  settling"
	}
	text := fmt.Sprintf("%4.0fs  connected %s  joined %s  %.0f messages/s  %.1f MB/s  %.0f commands/s  %d waiting  %d failures%s",
		c.at.Seconds(), botsText(s.connected.Load(), len(s.bots)), botsText(s.joined.Load(), len(s.bots)*s.cfg.RoomsPerBot),
		rate(c.frames, p.last.frames), rate(c.bytes, p.last.bytes)/1e6, rate(c.commands, p.last.commands),
		int64(c.commands)-int64(s.answers.Load()), s.check.total(), phase)
	p.last = c
	if p.terminal {
		_, _ = fmt.Fprintf(p.w, "\r\x1b[2K%s", text)
		return
	}
	_, _ = fmt.Fprintln(p.w, text)
}

// done ends the line on a terminal.
func (p *progressLines) done() {
	if p.terminal {
		_, _ = fmt.Fprint(p.w, "\r\x1b[2K")
	}
}
