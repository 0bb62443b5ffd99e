package loadtest

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// progressLines tells people how a run goes: elsewhere than on a terminal a line
// per second; on a terminal a line for all and one for each process, which are
// written over.
type progressLines struct {
	all   *collector
	w     io.Writer
	width int // of the terminal, 0 when there is none
	lines int // on the terminal, above the cursor
}

// progress is the state of a run at one moment.
type progress struct {
	sample
	rates
	at time.Duration
}

// rates are numbers per second.
type rates struct{ messages, bytes, commands float64 }

func ratesOf(before, now *sample) rates {
	per := 1 / max(0.001, (now.At-before.At).Seconds())
	return rates{
		messages: float64(now.Messages-before.Messages) * per, bytes: float64(now.Bytes-before.Bytes) * per,
		commands: float64(now.Commands-before.Commands) * per,
	}
}

func newProgress(all *collector, w io.Writer) *progressLines {
	p := &progressLines{all: all, w: w}
	if f, ok := w.(*os.File); ok {
		p.width = terminalWidth(f)
	}
	return p
}

// progress adds up what the processes told last.
func (c *collector) progress(at time.Duration) progress {
	p := progress{at: at}
	p.Failures = c.check.total()
	for i := range c.last {
		s := &c.last[i]
		p.Connected += s.Connected
		p.Joined += s.Joined
		p.Messages += s.Messages
		p.Bytes += s.Bytes
		p.Commands += s.Commands
		p.Answers += s.Answers
		p.Failures += s.Failures
		p.Undialed += s.Undialed
		p.Settling = p.Settling || s.Settling
		p.messages += c.rates[i].messages
		p.bytes += c.rates[i].bytes
		p.commands += c.rates[i].commands
	}
	return p
}

// usualWidth is for terminals that do not tell theirs.
const usualWidth = 80

// maxWorkerLines bounds the lines for single processes on a terminal.
const maxWorkerLines = 12

// show writes the state of the run with the rates of the last second. Errors of
// the writer are ignored: a run is not lost because nobody watches.
func (p *progressLines) show(at time.Duration) {
	now := p.all.progress(at)
	lines := []string{p.line(&now)}
	if p.width == 0 {
		_, _ = fmt.Fprintln(p.w, lines[0])
		return
	}
	if n := len(p.all.last); n > 1 {
		for i := range min(n, maxWorkerLines) {
			lines = append(lines, p.workerLine(i))
		}
		if n > maxWorkerLines {
			lines = append(lines, fmt.Sprintf("  and %d more processes", n-maxWorkerLines))
		}
	}
	p.done()
	for _, l := range lines {
		// A longer line would take two, and could not be written over.
		_, _ = fmt.Fprintln(p.w, l[:min(len(l), p.width-1)])
	}
	p.lines = len(lines)
}

func (p *progressLines) line(now *progress) string {
	c := &p.all.cfg
	phase := ""
	if now.Undialed > 0 {
		phase = fmt.Sprintf("  %d dials failed", now.Undialed)
	}
	if now.Settling {
		phase += "  settling"
	}
	return fmt.Sprintf("%4.0fs  connected %d/%d  joined %d/%d  %.0f messages/s  %.1f MB/s  %.0f commands/s  %d waiting  %d failures%s",
		now.at.Seconds(), now.Connected, c.Bots, now.Joined, c.Bots*c.RoomsPerBot,
		now.messages, now.bytes/1e6, now.commands,
		int64(now.Commands)-int64(now.Answers), now.Failures, phase)
}

func (p *progressLines) workerLine(i int) string {
	s, part := &p.all.last[i], &p.all.parts[i]
	bar := ""
	if part.Bots > 0 {
		filled := int(max(0, min(20, 20*s.Connected/int64(part.Bots))))
		bar = strings.Repeat("=", filled) + strings.Repeat(".", 20-filled)
	}
	return fmt.Sprintf("  %-16.16s %6d/%-6d [%s]  %.0f messages/s  %d failures", part.Name, s.Connected, part.Bots, bar, p.all.rates[i].messages, s.Failures)
}

// done wipes the lines from a terminal.
func (p *progressLines) done() {
	if p.lines > 0 {
		_, _ = fmt.Fprintf(p.w, "\x1b[%dA\x1b[J", p.lines)
		p.lines = 0
	}
}
