package room

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"tickcast/room/game"
	"tickcast/wire"
)

const (
	// appendTimeout bounds one write of owner records; after it the outcome is unknown and
	// the state of the fold decides what is still owed.
	appendTimeout = 500 * time.Millisecond
	// appendWindow is how many owner records may be on their way. To an unreplicated
	// stream each goes by itself. The leader of a replicated one refuses what expects a
	// sequence of a subject that another write on its way expects one of: there one
	// write is on its way, and what comes meanwhile is the next one, an atomic batch.
	appendWindow = 64
	// appendPause lies between tries of what the leader refused for that reason.
	appendPause = 2 * time.Millisecond
	// claimTimeout bounds the write of a claim.
	claimTimeout = time.Second
)

const (
	// codeWrongLastSequence is the error of the log's server that fences: a newer claim
	// exists.
	codeWrongLastSequence jetstream.ErrorCode = 10071
	// codeInProcess is its error while another write expects a sequence of the same
	// subject: a claim, or one of ours whose answer was not waited for.
	codeInProcess jetstream.ErrorCode = 10164
)

// natsLog is the Log in JetStream. Its methods return when ctx ends.
type natsLog struct {
	// Static after newNATSLog.
	ctx          context.Context
	feed         *feed
	p            int
	appendWithin time.Duration // bounds a write of owner records
	claimWithin  time.Duration // bounds that of a claim

	appended chan appended // what became of each append, in any order
	claims   chan claimAck // what became of each claim
	writers  sync.WaitGroup

	mu      sync.Mutex         // guards the following, for a replicated stream
	next    []wire.OwnerRecord // wait for the write that is on its way
	writing bool               // writeBatches runs
}

type appended struct {
	rec wire.OwnerRecord
	seq uint64
	err error
}

type claimAck struct {
	seq uint64
	err error
}

// newNATSLog writes as well as the feed reads.
func newNATSLog(ctx context.Context, f *feed, p int) *natsLog {
	return &natsLog{
		ctx: ctx, feed: f, p: p, appendWithin: appendTimeout, claimWithin: claimTimeout,
		appended: make(chan appended, appendWindow), claims: make(chan claimAck, 1),
	}
}

// Created implements Log.
func (l *natsLog) Created() int64 { return l.feed.created() }

// Window implements Log.
func (l *natsLog) Window() int { return appendWindow }

// Last implements Log.
func (l *natsLog) Last() (uint64, error) { return l.feed.lastSeq(l.ctx) }

// At implements Log.
func (l *natsLog) At(seq uint64) (*Record, error) { return l.feed.at(l.ctx, seq) }

// Waiting implements Log.
func (l *natsLog) Waiting() int { return len(l.feed.live) }

// Read implements Log.
func (l *natsLog) Read(from, to uint64, apply func(Record) error) error {
	err := l.feed.read(l.ctx, from, to, apply)
	if err != nil && l.ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ErrClosed, err)
	}
	return err
}

// Append implements Log.
func (l *natsLog) Append(rec wire.OwnerRecord) {
	if !l.feed.replicated() {
		l.writers.Go(func() { l.write([]wire.OwnerRecord{rec}) })
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next = append(l.next, rec)
	if !l.writing {
		l.writing = true
		l.writers.Go(l.writeBatches)
	}
}

// writeBatches writes what waits until nothing does.
func (l *natsLog) writeBatches() {
	for {
		l.mu.Lock()
		n := 0
		for n < len(l.next) && l.next[n].Epoch == l.next[0].Epoch {
			n++
		}
		batch := l.next[:n:n]
		l.next, l.writing = l.next[n:], n > 0
		l.mu.Unlock()
		if n == 0 {
			return
		}
		l.write(batch)
	}
}

// write writes records of one epoch and tells what became of each. That never blocks: at
// most a window is on its way.
func (l *natsLog) write(batch []wire.OwnerRecord) {
	last, err := l.publish(batch)
	if err != nil {
		err = fmt.Errorf("append %d records to partition %d: %w", len(batch), l.p, err)
	}
	for i, rec := range batch {
		a := appended{rec: rec, err: err}
		if err == nil {
			a.seq = last - uint64(len(batch)-1-i)
		}
		l.appended <- a
	}
}

// publish stores records behind one another, or none of them, and returns the sequence
// of the last.
func (l *natsLog) publish(batch []wire.OwnerRecord) (last uint64, err error) {
	ctx, cancel := context.WithTimeout(l.ctx, l.appendWithin)
	defer cancel()
	for {
		if last, err = l.tryPublish(ctx, batch); !isCode(err, codeInProcess) || !pause(ctx, appendPause) {
			return last, orFenced(err)
		}
	}
}

func (l *natsLog) tryPublish(ctx context.Context, batch []wire.OwnerRecord) (last uint64, err error) {
	msgs := make([]*nats.Msg, len(batch))
	for i, rec := range batch {
		m := nats.NewMsg(wire.OwnerSubject(l.p))
		m.Data = game.Encode(rec)
		m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(rec.Epoch, 10))
		m.Header.Set(jetstream.ExpectedLastSubjSeqSubjHeader, wire.ClaimSubject(l.p))
		msgs[i] = m
	}
	if len(msgs) == 1 {
		ack, err := l.feed.js.PublishMsg(ctx, msgs[0], jetstream.WithRetryAttempts(0))
		if err != nil {
			return 0, err
		}
		return ack.Sequence, nil
	}
	ack, err := jetstreamext.PublishMsgBatch(ctx, l.feed.js, msgs, jetstreamext.BatchFlowControl{})
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// Claim implements Log.
func (l *natsLog) Claim(c wire.Claim, expected uint64) {
	l.writers.Go(func() { l.claims <- l.claim(c, expected) }) // never blocks: one is on its way
}

func (l *natsLog) claim(c wire.Claim, expected uint64) claimAck {
	ctx, cancel := context.WithTimeout(l.ctx, l.claimWithin)
	defer cancel()
	subject, data := wire.ClaimSubject(l.p), game.Encode(c)
	for {
		ack, err := l.feed.js.Publish(ctx, subject, data,
			jetstream.WithExpectLastSequenceForSubject(expected, subject), jetstream.WithRetryAttempts(0))
		if err == nil {
			return claimAck{seq: ack.Sequence}
		}
		// An owner that claims again has records on their way.
		if !isCode(err, codeInProcess) || !pause(ctx, appendPause) {
			return claimAck{err: fmt.Errorf("claim partition %d: %w", l.p, orFenced(err))}
		}
	}
}

// wait returns when nothing is on its way any more.
func (l *natsLog) wait() { l.writers.Wait() }

func orFenced(err error) error {
	if isCode(err, codeWrongLastSequence) {
		return fmt.Errorf("%w: %w", ErrFenced, err)
	}
	return err
}

func isCode(err error, code jetstream.ErrorCode) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && api.ErrorCode == code
}
