package peer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/wire"
)

// AskTimeout bounds one request to an owner or a ledger worker. They answer from
// memory, or from an index.
const AskTimeout = time.Second

// RingTimeout bounds one request to another gateway, which answers from memory. Whoever
// does not hear from it asks an owner. A variable for a test.
var RingTimeout = 250 * time.Millisecond

const (
	// attempt bounds one try to append a record. Its end is no answer: the record may
	// be in the stream.
	attempt    = time.Second
	retryFirst = 50 * time.Millisecond
	retryMost  = time.Second
)

// Peer speaks on one connection. Make it with New.
type Peer struct {
	nc *nats.Conn
	js jetstream.JetStream
}

// New makes a Peer.
func New(nc *nats.Conn, js jetstream.JetStream) *Peer { return &Peer{nc: nc, js: js} }

// Owner asks the owner of a partition, and a follower if there is none that answers. An
// error in the reply is an error here, of type *wire.Error.
func (p *Peer) Owner(ctx context.Context, partition int, ask wire.Ask) (wire.AskReply, error) {
	reply, err := p.ask(ctx, wire.AskSubject(partition), ask, AskTimeout)
	var refusal *wire.Error
	if err == nil || errors.As(err, &refusal) || ctx.Err() != nil {
		return reply, err
	}
	if reply, followed := p.ask(ctx, wire.FollowerSubject(partition), ask, AskTimeout); followed == nil {
		return reply, nil
	}
	return wire.AskReply{}, fmt.Errorf("ask owner of partition %d: %w", partition, err)
}

// Ring asks another gateway for updates that it kept.
func (p *Peer) Ring(ctx context.Context, gateway string, ask wire.Ask) (wire.AskReply, error) {
	reply, err := p.ask(ctx, wire.RingSubject(gateway), ask, RingTimeout)
	if err != nil {
		return reply, fmt.Errorf("ask gateway %s: %w", gateway, err)
	}
	return reply, nil
}

func (p *Peer) ask(ctx context.Context, subject string, ask wire.Ask, timeout time.Duration) (wire.AskReply, error) {
	var reply wire.AskReply
	if err := p.request(ctx, subject, ask, &reply, timeout); err != nil {
		return wire.AskReply{}, err
	}
	if reply.Error != nil {
		return reply, reply.Error
	}
	return reply, nil
}

// Ledger asks a ledger worker and decodes the data of its reply into v. A refusal
// is a *wire.Error.
func (p *Peer) Ledger(ctx context.Context, q wire.LedgerQuery, v any) error {
	var reply wire.LedgerReply
	if err := p.request(ctx, wire.LedgerQuerySubject, q, &reply, AskTimeout); err != nil {
		return fmt.Errorf("ask ledger: %w", err)
	}
	if reply.Error != nil {
		return reply.Error
	}
	if err := json.Unmarshal(reply.Data, v); err != nil {
		return fmt.Errorf("ask ledger: decode %s: %w", q.Op, err)
	}
	return nil
}

// Order gives a ledger worker an operator's order. A refusal is a *wire.Error.
func (p *Peer) Order(ctx context.Context, o wire.WalletOrder) error {
	var reply wire.LedgerReply
	if err := p.request(ctx, wire.LedgerOrderSubject, o, &reply, AskTimeout); err != nil {
		return fmt.Errorf("order of ledger: %w", err)
	}
	if reply.Error != nil {
		return reply.Error
	}
	return nil
}

func (p *Peer) request(ctx context.Context, subject string, v, reply any, timeout time.Duration) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	m, err := p.nc.RequestWithContext(ctx, subject, data)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(m.Data, reply); err != nil {
		return fmt.Errorf("decode reply: %w", err)
	}
	return nil
}

// Record is a message for a stream.
type Record struct {
	Stream  string
	Subject string
	ID      string // Msg-Id: the stream takes one message of it
	Data    []byte
}

// Append appends a record and tries again, with the same ID, until the answer is
// definite: an acknowledgement, a refusal of the server (a *jetstream.APIError), or the end of
// ctx, upon which nobody knows.
func (p *Peer) Append(ctx context.Context, r Record) (*jetstream.PubAck, error) {
	for wait := retryFirst; ; wait = min(2*wait, retryMost) {
		m := &nats.Msg{Subject: r.Subject, Data: r.Data, Header: nats.Header{}}
		try, cancel := context.WithTimeout(ctx, attempt)
		ack, err := p.js.PublishMsg(try, m, jetstream.WithMsgID(r.ID), jetstream.WithRetryAttempts(0), jetstream.WithExpectStream(r.Stream))
		cancel()
		var refusal *jetstream.APIError
		if err == nil || errors.As(err, &refusal) && !passes(refusal.ErrorCode) {
			return ack, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("append to %s: %w (%w)", r.Stream, context.Cause(ctx), err)
		case <-time.After(wait):
		}
	}
}

// passes tells the refusals that are over in a moment: a sequence check that raced
// with others, an attempt before this one that is not done, and a server that is short of something.
func passes(code jetstream.ErrorCode) bool {
	const (
		duplicateInProcess    = 10158
		clusterNotAvailable   = 10008
		insufficientResources = 10023
		noClusterLeader       = 10009
		tooManyInFlight       = 10167
	)
	switch code {
	case jetstream.JSErrCodeStreamWrongLastSequenceConstant, duplicateInProcess, clusterNotAvailable, insufficientResources, noClusterLeader, tooManyInFlight:
		return true
	}
	return false
}

// IsRefusal reports whether err is a definite refusal of the log's server: the record is not in
// its stream.
func IsRefusal(err error) bool {
	var refusal *jetstream.APIError
	return errors.As(err, &refusal)
}

// IsCode reports whether err is a refusal with the given code.
func IsCode(err error, c wire.Code) bool {
	var refusal *wire.Error
	return errors.As(err, &refusal) && refusal.Code == c
}
