package peer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Appends brings records into streams without a goroutine, a subscription or a timer for each that is on
// its way. How many are is for the caller to bound. Make it with NewAppends; its methods may be called concurrently.
type Appends struct {
	nc      *nats.Conn       // Static.
	inbox   string           // Static. What the subjects begin with on which the streams answer.
	retried func()           // Static.
	now     func() time.Time // Static. The clock, but in tests.
	sweeper *Sweeper

	mu      sync.Mutex            // guards everything below
	ended   error                 // why nothing is appended any more
	last    uint64                // number of the newest record
	waiting map[uint64]*appending // by number
}

// appending is a record whose answer has not come.
type appending struct {
	record Record            // Static.
	header nats.Header       // Static, as messages in the connection's hands share it.
	until  time.Time         // Static.
	done   func(bool, error) // Static.
	number uint64            // Static.

	// Guarded by Appends.mu.
	attempt uint8         // its newest; the answer to another one is not definite, if it is a refusal
	due     time.Time     // when the attempt has been without an answer for long enough, or the next one begins
	onWay   bool          // the attempt may still be answered
	wait    time.Duration // before the next attempt
}

// sweepInterval is how often records without an answer are looked at.
const sweepInterval = retryFirst

// errNoAnswer tells that nobody knows whether a record is in its stream.
var errNoAnswer = errors.New("no answer")

// NewAppends makes an Appends. retried is called for each attempt that had no definite answer. Records are
// taken once Answered is subscribed to Answers, and while Run runs.
func NewAppends(nc *nats.Conn, retried func()) *Appends {
	return &Appends{nc: nc, inbox: nc.NewInbox() + ".", retried: retried, now: time.Now, sweeper: NewSweeper(), waiting: map[uint64]*appending{}}
}

// Append appends a record, tries again with the same ID until the answer is definite, and calls done once: without an
// error when the record is in the stream, and whether it was there already; with the server's refusal (a
// *jetstream.APIError); or after until or the end of Run with another error, upon which nobody knows. done is
// called on a goroutine of the connection or of Run, or before Append returns. It must not block.
func (a *Appends) Append(r Record, until time.Time, done func(duplicate bool, err error)) {
	p := &appending{
		record: r, until: until, done: done, wait: retryFirst,
		header: nats.Header{jetstream.MsgIDHeader: {r.ID}, jetstream.ExpectedStreamHeader: {r.Stream}},
	}
	a.mu.Lock()
	if err := a.ended; err != nil {
		a.mu.Unlock()
		done(false, unknown(r, err))
		return
	}
	a.last++
	p.number = a.last
	a.waiting[p.number] = p
	reply := a.begin(p, a.now())
	a.mu.Unlock()
	a.sweeper.Begin()
	a.publish(p, reply)
}

// begin begins an attempt and returns where its answer goes. The caller holds mu.
func (a *Appends) begin(p *appending, now time.Time) (reply string) {
	p.attempt++
	p.onWay, p.due = true, now.Add(attempt)
	return a.inbox + strconv.FormatUint(p.number<<8|uint64(p.attempt), 36)
}

// publish makes an attempt that has begun. It may wait for the connection's socket.
func (a *Appends) publish(p *appending, reply string) {
	m := &nats.Msg{Subject: p.record.Subject, Reply: reply, Header: p.header, Data: p.record.Data}
	if a.nc.PublishMsg(m) != nil { // the connection is down, or has been for long
		a.fail(reply)
	}
}

// Answers is the subject of the streams' answers.
func (a *Appends) Answers() string { return a.inbox + "*" }

// Answered takes a stream's answer.
func (a *Appends) Answered(m *nats.Msg) {
	duplicate, err := parseAck(m)
	var refusal *jetstream.APIError
	if err != nil && (!errors.As(err, &refusal) || passes(refusal.ErrorCode)) {
		a.fail(m.Subject)
		return
	}
	a.mu.Lock()
	p, newest := a.find(m.Subject)
	if p == nil || err != nil && !newest {
		a.mu.Unlock()
		return
	}
	delete(a.waiting, p.number)
	a.mu.Unlock()
	p.done(duplicate, err)
}

// parseAck reads an answer. An error that is no *jetstream.APIError says nothing about the record.
func parseAck(m *nats.Msg) (duplicate bool, err error) {
	var answer struct {
		Stream    string              `json:"stream"`
		Duplicate bool                `json:"duplicate"`
		Error     *jetstream.APIError `json:"error"`
	}
	if len(m.Data) == 0 { // no stream is there
		return false, errNoAnswer
	}
	switch err := json.Unmarshal(m.Data, &answer); {
	case err != nil:
		return false, fmt.Errorf("decode acknowledgement: %w", err)
	case answer.Error != nil:
		return false, answer.Error
	case answer.Stream == "":
		return false, errNoAnswer
	}
	return answer.Duplicate, nil
}

// find returns the record that an answer belongs to, if it waits, and whether the answer is to its newest attempt.
// The caller holds mu.
func (a *Appends) find(reply string) (p *appending, newest bool) {
	tag, err := strconv.ParseUint(strings.TrimPrefix(reply, a.inbox), 36, 64)
	if err != nil {
		return nil, false
	}
	if p = a.waiting[tag>>8]; p == nil {
		return nil, false
	}
	return p, p.attempt == uint8(tag)
}

// fail takes note that an attempt has no definite answer. Another one begins after a while.
func (a *Appends) fail(reply string) {
	a.mu.Lock()
	p, newest := a.find(reply)
	failed := p != nil && newest && p.onWay
	if failed {
		p.rest(a.now())
	}
	a.mu.Unlock()
	if failed {
		a.retried()
	}
}

// rest ends an attempt that has no definite answer.
func (p *appending) rest(now time.Time) {
	p.onWay, p.due = false, now.Add(p.wait)
	p.wait = min(2*p.wait, retryMost)
}

// Run looks after records without an answer until ctx ends. Then it gives up those that are left.
func (a *Appends) Run(ctx context.Context) {
	a.sweeper.Run(ctx, sweepInterval, func(time.Time) bool { return a.sweep(a.now()) })
	a.end(context.Cause(ctx))
}

// sweep gives up what has waited too long and makes the attempts that are due. It reports whether
// records wait still.
func (a *Appends) sweep(now time.Time) (more bool) {
	type again struct {
		p     *appending
		reply string
	}
	var next []again
	var late []*appending
	a.mu.Lock()
	for number, p := range a.waiting {
		switch {
		case !now.Before(p.until):
			delete(a.waiting, number)
			late = append(late, p)
		case now.Before(p.due):
		case p.onWay:
			a.retried()
			p.rest(now)
		default:
			next = append(next, again{p, a.begin(p, now)})
		}
	}
	more = len(a.waiting) > 0
	a.mu.Unlock()
	for _, p := range late {
		p.done(false, unknown(p.record, errNoAnswer))
	}
	for _, n := range next {
		a.publish(n.p, n.reply)
	}
	return more
}

// end gives up everything.
func (a *Appends) end(why error) {
	a.mu.Lock()
	a.ended = why
	left := maps.Clone(a.waiting)
	clear(a.waiting)
	a.mu.Unlock()
	for _, p := range left {
		p.done(false, unknown(p.record, why))
	}
}

func unknown(r Record, why error) error { return fmt.Errorf("append to %s: %w", r.Stream, why) }
