package room

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/room/game"
	"tickcast/wire"
)

const (
	// appendTimeout bounds one append; after it the outcome is unknown and the state
	// of the fold decides what is still owed.
	appendTimeout = 500 * time.Millisecond
	// appendWindow is how many owner records may be on their way to an unreplicated
	// stream. On a replicated one it is 1: pipelined writes that expect a sequence of
	// another subject are judged before the writes ahead of them are committed.
	appendWindow = 64
)

// Errors of the log's server that an owner branches on.
const codeWrongLastSequence jetstream.ErrorCode = 10071 // fenced: a newer claim exists

// appender writes the owner's records, fenced by the claim: the log's server
// refuses them once a newer claim exists.
type appender struct {
	js     jetstream.JetStream
	p      int
	window int
	done   chan appended // what became of each append, in any order

	epoch    uint64
	queue    []fact
	inFlight int
	tick     bool               // a tick is queued or on its way
	facts    map[factKey]uint64 // asked for: 0 until acknowledged, then its sequence
}

// fact is one owner record.
type fact struct {
	key  factKey
	data []byte
}

type factKey struct{ room, kind string }

type appended struct {
	fact
	epoch uint64
	seq   uint64
	err   error
}

func newAppender(js jetstream.JetStream, p int, replicated bool) *appender {
	a := &appender{js: js, p: p, window: appendWindow, facts: map[factKey]uint64{}}
	if replicated {
		a.window = 1
	}
	a.done = make(chan appended, a.window)
	return a
}

// start begins to write under a new epoch.
func (a *appender) start(epoch uint64) {
	a.epoch, a.queue, a.tick = epoch, nil, false
	clear(a.facts)
}

// appendTick carries the clock on, unless a tick is on its way already.
func (a *appender) appendTick(ctx context.Context) {
	if a.tick {
		return
	}
	a.tick = true
	a.add(ctx, fact{key: factKey{kind: wire.OwnerTick}})
}

// appendDuty writes a fact that a room owes, unless it is on its way or in the
// log behind the last folded record.
func (a *appender) appendDuty(ctx context.Context, room string, d game.Duty, last uint64) {
	key := factKey{room, d.Kind}
	if seq, asked := a.facts[key]; asked && (seq == 0 || seq > last) {
		return
	}
	a.facts[key] = 0
	a.add(ctx, fact{key, d.Data})
}

func (a *appender) add(ctx context.Context, f fact) {
	a.queue = append(a.queue, f)
	a.pump(ctx)
}

func (a *appender) pump(ctx context.Context) {
	for len(a.queue) > 0 && a.inFlight < a.window {
		f := a.queue[0]
		a.queue = a.queue[1:]
		a.inFlight++
		go a.publish(ctx, f, a.epoch)
	}
}

func (a *appender) publish(ctx context.Context, f fact, epoch uint64) {
	ctx, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()
	m := nats.NewMsg(wire.OwnerSubject(a.p))
	m.Data = game.Encode(wire.OwnerRecord{Epoch: epoch, Kind: f.key.kind, Room: f.key.room, Data: f.data})
	m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(epoch, 10))
	m.Header.Set(jetstream.ExpectedLastSubjSeqSubjHeader, wire.ClaimSubject(a.p))
	r := appended{fact: f, epoch: epoch}
	ack, err := a.js.PublishMsg(ctx, m, jetstream.WithRetryAttempts(0))
	if err != nil {
		r.err = fmt.Errorf("append %s to partition %d: %w", f.key.kind, a.p, err)
	} else {
		r.seq = ack.Sequence
	}
	a.done <- r // never blocks: at most window appends are on their way
}

// settle notes what became of an append and sends the next.
func (a *appender) settle(ctx context.Context, r appended) {
	a.inFlight--
	if r.epoch == a.epoch {
		switch {
		case r.key.kind == wire.OwnerTick:
			a.tick = false
		case r.err != nil:
			delete(a.facts, r.key)
		default:
			a.facts[r.key] = r.seq
		}
	}
	a.pump(ctx)
}

// folded forgets facts that the fold has seen.
func (a *appender) folded(last uint64) {
	for key, seq := range a.facts {
		if seq != 0 && seq <= last {
			delete(a.facts, key)
		}
	}
}

// drain waits for the appends that are on their way.
func (a *appender) drain() {
	a.queue = nil
	for ; a.inFlight > 0; a.inFlight-- {
		<-a.done
	}
}

func fenced(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == codeWrongLastSequence
}
