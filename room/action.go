package room

import (
	"encoding/json"

	"github.com/google/uuid"

	"tickcast/room/game"
	"tickcast/wire"
)

// maxActions bounds the operator actions that are kept to be recognised. A retry
// comes within seconds; a thousand actions are days of an operator's work.
const maxActions = 1000

// actionTable knows the newest actions by ID.
type actionTable struct {
	answers map[string]json.RawMessage
	order   []string
}

func newActionTable() actionTable { return actionTable{answers: map[string]json.RawMessage{}} }

func (t *actionTable) file(id string, answer json.RawMessage) {
	t.answers[id] = answer
	t.order = append(t.order, id)
	if len(t.order) > maxActions {
		delete(t.answers, t.order[0])
		t.order = t.order[1:]
	}
}

// action folds an operator's action: it is performed once, answered, and queued
// for the audit list.
func (p *Partition) action(at game.At, rec Record) error {
	var a wire.Action
	if json.Unmarshal(rec.Data, &a) != nil || a.ID == "" {
		return nil // the operator API cannot write it
	}
	answer, known := p.actions.answers[a.ID]
	if !known {
		refusal, err := p.perform(at, rec.Room, a)
		if err != nil {
			return err
		}
		answer = encodeAnswer(rec.Room, a.ID, nil, refusal)
		p.actions.file(a.ID, answer)
		audited := a
		audited.ReplyTo = ""
		p.book(wire.Booking{
			ID: "audit/" + a.ID, Kind: wire.BookAudit, Partition: p.cfg.ID, Room: rec.Room, At: at.Wall,
			Operator: a.Operator, Audit: &audited, Outcome: refusal,
		})
	}
	if wire.ValidNode(a.ReplyTo) {
		p.out.Answers = append(p.out.Answers, Answer{Node: a.ReplyTo, RoutedAnswer: wire.RoutedAnswer{Room: rec.Room, Key: a.ID, Answer: answer}})
	}
	return nil
}

func (p *Partition) perform(at game.At, room string, a wire.Action) (*wire.Error, error) {
	if a.Op == wire.ActionCreate {
		return p.create(at, room, a)
	}
	r := p.rooms[room]
	if r == nil {
		return wire.Errorf(wire.CodeNoRoom, "there is no room %q", room), nil
	}
	p.touch(r)
	switch {
	case a.Op == wire.ActionClose:
		return p.close(at, r, a), nil
	case r.closing && (a.Op == wire.ActionStart || a.Op == wire.ActionResume):
		return wire.Errorf(wire.CodeNotRunning, "room %q is being closed", room), nil
	}
	refusal := r.game.Action(at, a, &p.fx)
	p.collect(at, r)
	return refusal, nil
}

func (p *Partition) create(at game.At, room string, a wire.Action) (*wire.Error, error) {
	if !wire.ValidRoomID(room) {
		return wire.Errorf(wire.CodeBadRoom, "%q is not a room ID", room), nil
	}
	if p.rooms[room] != nil {
		return wire.Errorf(wire.CodeRoomExists, "room %q exists", room), nil
	}
	var args wire.CreateArgs
	if json.Unmarshal(a.Args, &args) != nil {
		// Neither the library's words nor what it would quote: a refusal is folded state,
		// and both change with versions.
		return wire.Errorf(wire.CodeBadArgs, "create takes an object with uuid, game, name, paused and settings"), nil
	}
	kind, err := p.kindOf(args.Game)
	if err != nil {
		return nil, err
	}
	if kind == nil {
		return wire.Errorf(wire.CodeUnknownGame, "there is no game of that name"), nil
	}
	id, err := uuid.Parse(args.UUID)
	if err != nil || id.Version() != 7 {
		return wire.Errorf(wire.CodeBadArgs, "uuid is not a UUIDv7"), nil
	}
	if args.Name == "" {
		args.Name = room
	}
	if !wire.ValidText(args.Name, wire.MaxNameBytes) {
		return wire.Errorf(wire.CodeBadArgs, "name must be 1 to %d bytes of text", wire.MaxNameBytes), nil
	}
	cfg := game.Config{ID: room, UUID: id.String(), Name: args.Name, Partition: p.cfg.ID, Paused: args.Paused, Settings: args.Settings}
	g, refusal := kind.New(at, cfg, &p.fx)
	if refusal != nil {
		p.fx.Reset()
		return refusal, nil
	}
	r := newRoomState(p.cfg.Created, kind.Name(), cfg, g, at)
	p.add(r)
	p.collect(at, r)
	p.out.Messages = append(p.out.Messages, r.message(p, wire.OutMeta, at.Now, nil))
	return nil, nil
}

// close ends a room after its current round; announce removes it then.
func (p *Partition) close(at game.At, r *roomState, a wire.Action) *wire.Error {
	if r.hidden {
		return wire.Errorf(wire.CodeNoRoom, "the cashier cannot be closed")
	}
	r.closing = true
	if r.game.State() != statePaused {
		a.Op = wire.ActionPause
		if refusal := r.game.Action(at, a, &p.fx); refusal != nil && refusal.Code != wire.CodeNotRunning {
			r.closing = false
			return refusal
		}
		p.collect(at, r)
	}
	return nil
}
