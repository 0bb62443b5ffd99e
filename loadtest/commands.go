package loadtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"time"

	"tickcast/wire"
)

// command is a command of a bot until its answer is definite.
type command struct {
	room     string
	key      string
	op       string
	round    uint64
	args     json.RawMessage
	intended time.Duration // when it was meant to be sent, since the run began
	sends    int
	answers  int
	sentAt   time.Duration
	dropped  bool  // the bot was away on purpose while it waited
	via      *link // the connection that it was last sent on
	owed     bool  // an answer to the last send has not come
	attempts int   // temporary refusals so far
	slot     int   // bet, cancel, cashout
	stake    int64
	auto     int64
	taps     uint64 // tap: n
}

// message is what is sent, the same each time.
func (c *command) message() *wire.ClientMessage {
	return &wire.ClientMessage{Type: wire.TypeCmd, Room: c.room, Key: c.key, Op: c.op, Round: c.round, Args: c.args}
}

// commands checks that each command of one bot has exactly one answer (P4.2,
// P4.3). It is owned by its bot and used under the bot's lock.
type commands struct {
	check   *checker
	bot     int
	pending map[cmdID]*command
	done    [doneCommands]answered // ring of the last commands with a definite answer
	next    int                    // place of the oldest in done
}

type cmdID struct{ room, key string }

type answered struct {
	id      cmdID
	op      string
	sends   int
	answers int
	sum     uint64 // of the definite answer
}

// doneCommands is for how many answered commands a second answer is told apart
// from one that nobody asked for. Either fails the check.
const doneCommands = 16

func (c *commands) add(cmd *command) {
	if c.pending == nil {
		c.pending = map[cmdID]*command{}
	}
	cmd.owed = true
	c.pending[cmdID{cmd.room, cmd.key}] = cmd
}

// sent notes that cmd goes out on a connection.
func (c *commands) sent(cmd *command, via *link, now time.Duration) {
	cmd.sends++
	cmd.owed, cmd.via, cmd.sentAt = true, via, now
}

// open lists the commands of a room without an answer that were not sent on this
// connection: a client sends them again after a reconnect (P4.4).
func (c *commands) open(room string, via *link) []*command {
	var out []*command
	for id, cmd := range c.pending {
		if id.room == room && cmd.owed && cmd.via != via {
			out = append(out, cmd)
		}
	}
	return out
}

// drop marks every command that waits: its connection is lost on purpose.
func (c *commands) drop() {
	for _, cmd := range c.pending {
		cmd.dropped = true
	}
}

func (c *commands) fail(id cmdID, format string, args ...any) {
	c.check.fail(checkAnswers, Example{Bot: c.bot, Room: id.room, Detail: "command " + id.key + ": " + fmt.Sprintf(format, args...)})
}

// onAnswer matches an answer with its command. It returns the command when this
// is news: its definite answer, or a temporary refusal (final is false), after
// which the same command may be sent again.
func (c *commands) onAnswer(a *wire.Answer) (cmd *command, final bool) {
	id := cmdID{a.Room, a.Key}
	if a.OK == (a.Error != nil) {
		c.fail(id, "answered ok=%t with error %v", a.OK, a.Error)
	}
	cmd = c.pending[id]
	if cmd == nil {
		c.again(id, a)
		return nil, false
	}
	cmd.answers++
	if cmd.answers > cmd.sends {
		c.fail(id, "%s was sent %d times and answered %d times", cmd.op, cmd.sends, cmd.answers)
	}
	if a.Error != nil && mayRepeat(a.Error) {
		cmd.owed = false
		return cmd, false
	}
	delete(c.pending, id)
	c.done[c.next] = answered{id: id, op: cmd.op, sends: cmd.sends, answers: cmd.answers, sum: c.sum(a)}
	c.next = (c.next + 1) % doneCommands
	return cmd, true
}

// again judges an answer to a command that has a definite one already. It is
// right only when the command was sent as often, and then it says the same.
func (c *commands) again(id cmdID, a *wire.Answer) {
	for i := range c.done {
		d := &c.done[i]
		if d.id != id {
			continue
		}
		d.answers++
		if d.answers > d.sends {
			c.fail(id, "%s was sent %d times and answered %d times", d.op, d.sends, d.answers)
		}
		if sum := c.sum(a); sum != d.sum && (a.Error == nil || !mayRepeat(a.Error)) {
			c.fail(id, "%s sent again got another answer: ok=%t result %.120s error %v", d.op, a.OK, a.Result, a.Error)
		}
		return
	}
	c.fail(id, "an answer to no command that waits for one: ok=%t result %.120s error %v", a.OK, a.Result, a.Error)
}

// sum identifies what an answer says, whatever its spacing.
func (c *commands) sum(a *wire.Answer) uint64 {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%t ", a.OK)
	if a.Error != nil {
		b.WriteString(string(a.Error.Code))
	}
	if len(a.Result) > 0 {
		_ = json.Compact(&b, a.Result) // it was decoded as JSON before
	}
	return maphash.Bytes(c.check.seed, b.Bytes())
}

// mayRepeat tells refusals after which the same command may still take effect.
// A bet whose stake was not confirmed in time is temporary too, but its round
// flies without it, and its key keeps that answer.
func mayRepeat(e *wire.Error) bool {
	return e.Temporary && e.Code != wire.CodeTemporarilyUnavailable
}

// giveUp forgets a command that was refused for the time being too often.
func (c *commands) giveUp(cmd *command) {
	delete(c.pending, cmdID{cmd.room, cmd.key})
	c.check.count(countGaveUp, 1)
}

// finish fails every command that still waits for its answer. One that was sent
// again within grace is not judged: its answer may be on the way.
func (c *commands) finish(now, grace time.Duration) {
	for id, cmd := range c.pending {
		switch {
		case !cmd.owed || cmd.sends == 0:
		case cmd.sends > 1 && now-cmd.sentAt < grace:
			c.check.count(countUnjudged, 1)
		default:
			c.fail(id, "%s for round %d has no answer after %s (sent %d times)",
				cmd.op, cmd.round, (now - cmd.intended).Round(time.Millisecond), cmd.sends)
		}
	}
}

const (
	countGaveUp   = "commands given up after temporary refusals"
	countUnjudged = "commands sent again too late to be judged"
)
