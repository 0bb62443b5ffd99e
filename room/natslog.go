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
	// claimTimeout bounds the write of a claim.
	claimTimeout = time.Second
)

// codeWrongLastSequence is the error of the log's server that fences: a newer claim
// exists.
const codeWrongLastSequence jetstream.ErrorCode = 10071

// natsLog is the Log in JetStream. Its methods return when ctx ends.
type natsLog struct {
	// Static after newNATSLog.
	ctx  context.Context
	feed *feed
	p    int

	appended chan appended // what became of each append, in any order
	claims   chan claimAck // what became of each claim
	writers  sync.WaitGroup
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
	l := &natsLog{ctx: ctx, feed: f, p: p, claims: make(chan claimAck, 1)}
	l.appended = make(chan appended, l.Window())
	return l
}

// Created implements Log.
func (l *natsLog) Created() int64 { return l.feed.created() }

// Window implements Log.
func (l *natsLog) Window() int {
	if l.feed.replicated() {
		return 1
	}
	return appendWindow
}

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
	l.writers.Go(func() { l.appended <- l.append(rec) }) // never blocks: at most Window are on their way
}

func (l *natsLog) append(rec wire.OwnerRecord) appended {
	ctx, cancel := context.WithTimeout(l.ctx, appendTimeout)
	defer cancel()
	m := nats.NewMsg(wire.OwnerSubject(l.p))
	m.Data = game.Encode(rec)
	m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(rec.Epoch, 10))
	m.Header.Set(jetstream.ExpectedLastSubjSeqSubjHeader, wire.ClaimSubject(l.p))
	ack, err := l.feed.js.PublishMsg(ctx, m, jetstream.WithRetryAttempts(0))
	if err != nil {
		return appended{rec: rec, err: fmt.Errorf("append %s to partition %d: %w", rec.Kind, l.p, orFenced(err))}
	}
	return appended{rec: rec, seq: ack.Sequence}
}

// Claim implements Log.
func (l *natsLog) Claim(c wire.Claim, expected uint64) {
	l.writers.Go(func() { l.claims <- l.claim(c, expected) }) // never blocks: one is on its way
}

func (l *natsLog) claim(c wire.Claim, expected uint64) claimAck {
	ctx, cancel := context.WithTimeout(l.ctx, claimTimeout)
	defer cancel()
	subject := wire.ClaimSubject(l.p)
	ack, err := l.feed.js.Publish(ctx, subject, game.Encode(c),
		jetstream.WithExpectLastSequenceForSubject(expected, subject), jetstream.WithRetryAttempts(0))
	if err != nil {
		return claimAck{err: fmt.Errorf("claim partition %d: %w", l.p, orFenced(err))}
	}
	return claimAck{seq: ack.Sequence}
}

// wait returns when nothing is on its way any more.
func (l *natsLog) wait() { l.writers.Wait() }

func orFenced(err error) error {
	var api *jetstream.APIError
	if errors.As(err, &api) && api.ErrorCode == codeWrongLastSequence {
		return fmt.Errorf("%w: %w", ErrFenced, err)
	}
	return err
}
