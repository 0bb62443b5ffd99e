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
	g     *Gateway
	lanes *lanes // by player: one command is on its way to the log at a time
	slots chan struct{}

	mu      sync.Mutex // guards pending and what is in it
	pending map[commandID]*pending
}

func newCommands(g *Gateway) *commands {
	return &commands{g: g, lanes: newLanes(g.spawn), slots: make(chan struct{}, commandAsks), pending: map[commandID]*pending{}}
}

// submit takes a command whose shape is right. The answer goes to the session, once for each
// command that it waits for, however often it was sent.
func (c *commands) submit(s *session, room string, partition int, cmd wire.Command) *wire.Error {
	id := commandID{player: cmd.Player, room: room, key: cmd.Key, body: cmd.BodyHash()}
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.pending[id]
	if p != nil && p.waits(s) {
		return nil
	}
	if p == nil && len(c.pending) >= pendingCommands {
		return wire.Errorf(wire.CodeUnavailable, "too many commands of this gateway wait for an answer")
	}
	if !s.beginCommand() {
		return wire.Errorf(wire.CodeBusy, "%d commands wait for an answer", wire.MaxCommandsInFlight)
	}
	if p != nil {
		p.sessions = append(p.sessions, s)
		return nil
	}
	record, err := cmd.AppendBinary(nil)
	if err != nil {
		panic("server: encode command: " + err.Error()) // it has no way to fail
	}
	p = &pending{id: id, partition: partition, record: record, msgID: cmd.MsgID(room), submitted: time.Now(), sessions: []*session{s}}
	c.pending[id] = p
	c.lanes.do(cmd.Player, func() { c.bring(p, p.msgID) })
	return nil
}

func (p *pending) waits(s *session) bool {
	for _, other := range p.sessions {
		if other == s {
			return true
		}
	}
	return false
}

// bring appends the command's record to the log.
func (c *commands) bring(p *pending, msgID string) {
	if !c.isPending(p) {
		return
	}
	ctx, cancel := context.WithDeadline(c.g.life, p.submitted.Add(commandTimeout))
	defer cancel()
	start := time.Now()
	ack, err := c.g.peer.Append(ctx, peer.Record{
		Stream: wire.PartitionStream(p.partition), Subject: wire.CommandSubject(p.partition, p.id.room), ID: msgID, Data: p.record,
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		if ctx.Err() == nil { // refused by the log's server: it is not in the log
			c.g.cfg.Log.Error("the log refused a command", "partition", p.partition, "err", err)
			c.finish(p, unavailable(p.id, "the room's log refused the command"), "refused")
		}
		return // given up by sweep
	}
	c.g.metrics.publishSeconds.Observe(time.Since(start).Seconds())
	p.logged, p.askAt = true, time.Now().Add(answerPatience)
	if ack.Duplicate && c.pending[p.id] == p { // no record, so nobody says anything
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
	tick := time.NewTicker(sweepInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			for _, p := range c.sweep(now) {
				c.slots <- struct{}{}
				if !c.g.spawn(func() { c.askFor(ctx, p); <-c.slots }) {
					<-c.slots
				}
			}
		}
	}
}

// sweep gives up what has waited too long and returns what is to be asked for.
func (c *commands) sweep(now time.Time) (due []*pending) {
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
	return due
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
		c.unknown(p)
	}
}

// unknown takes note that the owner does not know a command that is in the log:
// it is behind, or has refused the command without keeping it. The caller holds mu.
func (c *commands) unknown(p *pending) {
	p.unknown++
	if p.unknown < unknownAnswers || c.pending[p.id] != p {
		return
	}
	p.unknown, p.logged = 0, false
	p.appended++
	// The room recognises the key, so that nothing happens twice; a name of its own per gateway, or
	// two of them would swallow each other's.
	msgID := p.msgID + "." + c.g.cfg.ID + "." + strconv.Itoa(p.appended)
	c.lanes.do(p.id.player, func() { c.bring(p, msgID) })
}
