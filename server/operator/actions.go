package operator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/wire"
)

const (
	// actionTimeout bounds an action; behind it the outcome is unknown.
	actionTimeout = 10 * time.Second
	// publishTimeout bounds one attempt to write an action to the log. The Msg-Id
	// makes all attempts one.
	publishTimeout = time.Second
	// askAfter is how long the answer may take before the owner is asked for it: an
	// answer may be lost, or given while nobody spoke.
	askAfter = 300 * time.Millisecond
	askLimit = time.Second
)

// actions writes actions to the log and waits for their answers.
type actions struct {
	cfg Config
	js  jetstream.JetStream

	mu      sync.Mutex // guards waiting
	waiting map[string]chan wire.Answer
}

func newActions(cfg Config, js jetstream.JetStream) *actions {
	return &actions{cfg: cfg, js: js, waiting: map[string]chan wire.Answer{}}
}

// answered takes answers off their subject.
func (a *actions) answered(m *nats.Msg) {
	var list []wire.RoutedAnswer
	if json.Unmarshal(m.Data, &list) != nil {
		return
	}
	for _, routed := range list {
		var answer wire.Answer
		if json.Unmarshal(routed.Answer, &answer) == nil {
			a.deliver(routed.Key, answer)
		}
	}
}

func (a *actions) deliver(id string, answer wire.Answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if ch, ok := a.waiting[id]; ok {
		ch <- answer // of capacity 1, and taken out with the first answer
		delete(a.waiting, id)
	}
}

// order is an action before it has an ID.
type order struct {
	partition int
	room      string
	operator  string
	op        string
	args      any
}

// perform writes an action to the log and returns its refusal, or nil.
func (a *actions) perform(ctx context.Context, o order) *wire.Error {
	ctx, cancel := context.WithTimeout(ctx, actionTimeout)
	defer cancel()
	action := wire.Action{
		ID: uuid.Must(uuid.NewV7()).String(), Operator: o.operator, ReplyTo: a.cfg.ID, Op: o.op, At: time.Now().UnixMilli(),
	}
	if o.args != nil {
		b, err := json.Marshal(o.args)
		if err != nil {
			return wire.Errorf(wire.CodeBadArgs, "%v", err)
		}
		action.Args = b
	}
	answers := make(chan wire.Answer, 1)
	a.mu.Lock()
	a.waiting[action.ID] = answers
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.waiting, action.ID)
	}()
	if err := a.write(ctx, o, action); err != nil {
		return wire.Errorf(wire.CodeUnavailable, "the log cannot be written at the moment, so it is not known whether action %s will be done: %v", action.ID, err)
	}
	return a.await(ctx, o, action.ID, answers)
}

func (a *actions) write(ctx context.Context, o order, action wire.Action) error {
	data, err := json.Marshal(action)
	if err != nil {
		return fmt.Errorf("encode action: %w", err)
	}
	for {
		try, cancel := context.WithTimeout(ctx, publishTimeout)
		_, err := a.js.Publish(try, wire.ActionSubject(o.partition, o.room), data,
			jetstream.WithMsgID(action.ID), jetstream.WithRetryAttempts(0))
		cancel()
		if err == nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(askAfter):
		}
	}
}

func (a *actions) await(ctx context.Context, o order, id string, answers <-chan wire.Answer) *wire.Error {
	for {
		select {
		case answer := <-answers:
			return answer.Error
		case <-ctx.Done():
			return wire.Errorf(wire.CodeUnavailable, "action %s is in the log, but nobody owns partition %d at the moment: it will be done then", id, o.partition)
		case <-time.After(askAfter):
		}
		if answer, ok := a.ask(ctx, o, id); ok {
			return answer.Error
		}
	}
}

// ask asks the owner of the room for the answer to an action.
func (a *actions) ask(ctx context.Context, o order, id string) (wire.Answer, bool) {
	var reply wire.AskReply
	var answer wire.Answer
	err := a.request(ctx, wire.AskSubject(o.partition), wire.Ask{Op: wire.AskAnswer, Room: o.room, Key: id}, &reply)
	return answer, err == nil && len(reply.Answer) > 0 && json.Unmarshal(reply.Answer, &answer) == nil
}

// request asks over core NATS.
func (a *actions) request(ctx context.Context, subject string, q, reply any) error {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	b, err := json.Marshal(q)
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	m, err := a.cfg.Conn.RequestWithContext(ctx, subject, b)
	if err != nil {
		return fmt.Errorf("ask on %s: %w", subject, err)
	}
	return json.Unmarshal(m.Data, reply)
}
