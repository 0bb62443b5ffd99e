package server

import (
	"context"
	"encoding/json"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"tickcast/fanout"
	"tickcast/server/internal/peer"
	"tickcast/wire"
)

const (
	// commandTimeout is when a command is given up with unavailable: as long as the
	// log's server recognises its Msg-Id.
	commandTimeout = wire.DedupeWindow
	// answerPatience is how long an answer may take before the owner is asked for it.
	answerPatience = time.Second
	// sweepInterval is how often commands without an answer are looked at.
	sweepInterval = 100 * time.Millisecond
	// pendingCommands bounds the commands without an answer. While the log takes none, new connections
	// would add to them without end.
	pendingCommands = 1 << 16
	// commandAsks bounds the questions for answers at the same time.
	commandAsks = 64
	// unknownAnswers of an owner that a command which is in the log is not known make the
	// gateway append it again under another Msg-Id: refusals that the room does not keep are made anew by a new record only.
	unknownAnswers = 2
)

// commandID names a command as its answer does.
type commandID struct {
	player, room, key string
	body              [8]byte
}

// pending is a command without an answer. Guarded by commands.mu.
type pending struct {
	id        commandID // Static.
	partition int       // Static.
	record    []byte    // Static: the encoded command
	msgID     string    // Static.
	submitted time.Time // Static.

	sessions []*session // that wait for the answer
	logged   bool       // the record is in the log for certain
	askAt    time.Time  // when the owner is asked, once logged
	asking   bool
	patience time.Duration // until the owner is asked again
	unknown  int           // times in a row that the owner did not know it
	appended int           // times it was appended under another Msg-Id
}

// commands are the commands of this gateway that have no answer yet.
type commands struct {
	g       *Gateway
	lanes   *lanes // by player: one command is on its way to the log at a time
	slots   chan struct{}
	sweeper *peer.Sweeper

	mu      sync.Mutex // guards pending and what is in it
	pending map[commandID]*pending
}

func newCommands(g *Gateway) *commands {
	return &commands{g: g, lanes: newLanes(), slots: make(chan struct{}, commandAsks), sweeper: peer.NewSweeper(), pending: map[commandID]*pending{}}
}

// submit takes a command whose shape is right. The answer goes to the session, once for each
// command that it waits for, however often it was sent.
func (c *commands) submit(s *session, room string, partition int, cmd wire.Command) *wire.Error {
	record, err := cmd.AppendBinary(make([]byte, 0, cmd.EncodedBytes()))
	if err != nil {
		panic("server: encode command: " + err.Error()) // it has no way to fail
	}
	p := &pending{
		id:        commandID{player: cmd.Player, room: room, key: cmd.Key, body: cmd.BodyHash()},
		partition: partition, record: record, msgID: cmd.MsgID(room), submitted: time.Now(), sessions: []*session{s},
	}
	fresh, refusal := c.take(s, p)
	if fresh {
		c.bring(p, p.msgID)
	}
	return refusal
}

// take has a session wait for the answer to a command. It reports whether nobody waits for that yet.
func (c *commands) take(s *session, p *pending) (fresh bool, refusal *wire.Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.pending[p.id]
	if known != nil && known.waits(s) {
		return false, nil
	}
	if known == nil && len(c.pending) >= pendingCommands {
		return false, wire.Errorf(wire.CodeUnavailable, "too many commands of this gateway wait for an answer")
	}
	if !s.beginCommand() {
		return false, wire.Errorf(wire.CodeBusy, "%d commands wait for an answer", wire.MaxCommandsInFlight)
	}
	if known != nil {
		known.sessions = append(known.sessions, s)
		return false, nil
	}
	c.pending[p.id] = p
	c.sweeper.Begin()
	return true, nil
}

func (p *pending) waits(s *session) bool {
	for _, other := range p.sessions {
		if other == s {
			return true
		}
	}
	return false
}

// bring appends the command's record to the log, behind those of the same player. The caller does not hold mu.
func (c *commands) bring(p *pending, msgID string) {
	c.lanes.do(p.id.player, func(over func()) {
		if !c.isPending(p) {
			over()
			return
		}
		start := time.Now()
		c.g.appends.Append(peer.Record{
			Stream: wire.PartitionStream(p.partition), Subject: wire.CommandSubject(p.partition, p.id.room), ID: msgID, Data: p.record,
		}, p.submitted.Add(commandTimeout), func(duplicate bool, err error) {
			c.brought(p, start, duplicate, err)
			over()
		})
	})
}

// brought takes note of what became of a command's record.
func (c *commands) brought(p *pending, start time.Time, duplicate bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		if peer.IsRefusal(err) {
			c.g.cfg.Log.Error("the log refused a command", "partition", p.partition, "err", err)
			c.finish(p, unavailable(p.id, "the room's log refused the command"), "refused")
		}
		return // given up by sweep
	}
	c.g.metrics.publishSeconds.Observe(time.Since(start).Seconds())
	p.logged, p.askAt = true, time.Now().Add(answerPatience)
	if duplicate && c.pending[p.id] == p { // no record, so nobody says anything
		p.asking = true
		c.g.spawn(func() { c.askFor(c.g.life, p) })
	}
}

func (c *commands) isPending(p *pending) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pending[p.id] == p
}

// answer is the handler of the gateway's answer subject.
func (c *commands) answer(m *nats.Msg) {
	var list []wire.RoutedAnswer
	if json.Unmarshal(m.Data, &list) != nil {
		return // only room servers can write there
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range list {
		if len(a.Body) != 8 {
			continue
		}
		id := commandID{player: a.Player, room: a.Room, key: a.Key, body: [8]byte(a.Body)}
		if p := c.pending[id]; p != nil {
			c.finish(p, fanout.NewFrame(a.Answer), "answered")
		}
	}
}

// finish gives the answer to every session that waits for it. The caller holds mu.
func (c *commands) finish(p *pending, f *fanout.Frame, outcome string) {
	if c.pending[p.id] != p {
		return
	}
	delete(c.pending, p.id)
	for _, s := range p.sessions {
		s.answered(f)
	}
	c.g.metrics.command(outcome, time.Since(p.submitted))
}

func unavailable(id commandID, why string) *fanout.Frame {
	return fanout.NewFrame(encode(wire.Answer{
		Type: wire.TypeAnswer, Room: id.room, Key: id.key, Error: wire.Errorf(wire.CodeUnavailable, "%s", why),
	}))
}

// run looks after commands without an answer until ctx ends.
func (c *commands) run(ctx context.Context) {
	c.sweeper.Run(ctx, sweepInterval, func(now time.Time) bool {
		due, more := c.sweep(now)
		for _, p := range due {
			c.slots <- struct{}{}
			if !c.g.spawn(func() { c.askFor(ctx, p); <-c.slots }) {
				<-c.slots
			}
		}
		return more
	})
}

// sweep gives up what has waited too long and returns what is to be asked for, and whether commands wait still.
func (c *commands) sweep(now time.Time) (due []*pending, more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.pending {
		switch {
		case now.Sub(p.submitted) >= commandTimeout:
			c.finish(p, unavailable(p.id, "there is no answer yet; send the same command again"), "given_up")
		case p.logged && !p.asking && !now.Before(p.askAt):
			if !p.wanted() {
				delete(c.pending, p.id) // a new connection sends it again
				continue
			}
			p.asking = true
			due = append(due, p)
		}
	}
	return due, len(c.pending) > 0
}

// wanted reports whether a session still waits.
func (p *pending) wanted() bool {
	for _, s := range p.sessions {
		if !s.hasEnded() {
			return true
		}
	}
	return false
}

// askFor asks the owner for the answer.
func (c *commands) askFor(ctx context.Context, p *pending) {
	c.g.metrics.answerAsks.Inc()
	reply, err := c.g.peer.Owner(ctx, p.partition, wire.Ask{
		Op: wire.AskAnswer, Room: p.id.room, Player: p.id.player, Key: p.id.key, Body: p.id.body[:],
	})
	if msgID := c.asked(p, &reply, err); msgID != "" {
		c.bring(p, msgID)
	}
}

// asked takes note of what the owner said. It returns the Msg-Id under which the command has to be appended again, if
// it has to.
func (c *commands) asked(p *pending, reply *wire.AskReply, err error) (msgID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p.patience = min(max(2*p.patience, answerPatience/8), answerPatience)
	p.asking, p.askAt = false, time.Now().Add(p.patience)
	switch {
	case err != nil && !peer.IsCode(err, wire.CodeUnknownRoom):
		// Nobody owns the partition, or nobody answers: asked again.
	case err == nil && len(reply.Answer) > 0:
		c.finish(p, fanout.NewFrame(reply.Answer), "asked")
	case err == nil && reply.Pending:
		p.unknown = 0
	default:
		return c.unknown(p)
	}
	return ""
}

// unknown takes note that the owner does not know a command that is in the log:
// it is behind, or has refused the command without keeping it. It returns as asked does. The caller holds mu.
func (c *commands) unknown(p *pending) (msgID string) {
	p.unknown++
	if p.unknown < unknownAnswers || c.pending[p.id] != p {
		return ""
	}
	p.unknown, p.logged = 0, false
	p.appended++
	// The room recognises the key, so that nothing happens twice; a name of its own per gateway, or
	// two of them would swallow each other's.
	return p.msgID + "." + c.g.cfg.ID + "." + strconv.Itoa(p.appended)
}
