package operator

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"

	"tickcast/server/internal/peer"
	"tickcast/wire"
)

const (
	// actionTimeout bounds an action; behind it the outcome is unknown.
	actionTimeout = 10 * time.Second
	// askAfter is how long the answer may take before the owner is asked for it: an
	// answer may be lost, or given while nobody spoke.
	askAfter = 300 * time.Millisecond
)

// actions writes actions to the log and waits for their answers.
type actions struct {
	node string     // Static.
	peer *peer.Peer // Static.

	mu      sync.Mutex // guards waiting
	waiting map[string]chan wire.Answer
}

func newActions(node string, p *peer.Peer) *actions {
	return &actions{node: node, peer: p, waiting: map[string]chan wire.Answer{}}
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
		ID: uuid.Must(uuid.NewV7()).String(), Operator: o.operator, ReplyTo: a.node, Op: o.op, At: time.Now().UnixMilli(),
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
	data, err := json.Marshal(action)
	if err != nil {
		return wire.Errorf(wire.CodeBadArgs, "%v", err)
	}
	_, err = a.peer.Append(ctx, peer.Record{
		Stream: wire.PartitionStream(o.partition), Subject: wire.ActionSubject(o.partition, o.room), ID: action.ID, Data: data,
	})
	if err != nil {
		return wire.Errorf(wire.CodeUnavailable, "the log cannot be written at the moment, so it is not known whether action %s will be done: %v", action.ID, err)
	}
	return a.await(ctx, o, action.ID, answers)
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
	var answer wire.Answer
	reply, err := a.peer.Owner(ctx, o.partition, wire.Ask{Op: wire.AskAnswer, Room: o.room, Key: id})
	return answer, err == nil && len(reply.Answer) > 0 && json.Unmarshal(reply.Answer, &answer) == nil
}
