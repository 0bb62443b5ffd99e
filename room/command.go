package room

import (
	"encoding/json"

	"tickcast/room/game"
	"tickcast/wire"
)

// envelopeBytes is what a message takes around its room, key and contents.
const envelopeBytes = 96

// command folds a player's command: known keys are answered from the table, the
// rest goes to the room's game.
func (p *Partition) command(at game.At, rec Record) {
	c, err := wire.DecodeCommand(rec.Data)
	if err != nil {
		return // gateways cannot write it; nobody waits for an answer
	}
	ref := game.Ref{Player: c.Player, Key: c.Key}
	e := &keyEntry{Ref: ref, Body: c.BodyHash(), Gateway: c.Gateway}
	r := p.rooms[rec.Room]
	if r == nil {
		p.answer(rec.Room, e, wire.Errorf(wire.CodeUnknownRoom, "there is no room %q", rec.Room))
		return
	}
	p.touch(r)
	if known := r.keys.find(ref); known != nil {
		p.repeat(r, known, e)
		return
	}
	e.Round = r.game.Round()
	if e.Round > 0 && c.Round+wire.KeptRounds < e.Round {
		p.answer(r.id, e, wire.Errorf(wire.CodeStaleRound, "round %d is over; the newest is %d", c.Round, e.Round))
		return
	}
	if k, ok := r.game.(game.Keyless); ok && k.Keyless(c.Op) {
		r.keys.fileKeyless(e)
	} else if !r.keys.file(e) {
		p.answer(r.id, e, wire.Errorf(wire.CodeTooManyCommands, "at most %d commands in one round", maxCommandsPerRound))
		return
	}
	r.game.Command(at, game.Command{Command: c, Ref: ref}, &p.fx)
	p.collect(at, r)
}

// repeat answers a command whose key is known.
func (p *Partition) repeat(r *roomState, known, e *keyEntry) {
	switch {
	case known.Body != e.Body:
		p.answer(r.id, e, wire.Errorf(wire.CodeConflict, "key %q was used with another command", e.Ref.Key))
	case known.Answer == nil:
		r.keys.change(known).Gateway = e.Gateway // the answer goes to where the player is now
	default:
		p.send(r.id, e, known.Answer)
	}
}

// answer refuses a command that is not kept.
func (p *Partition) answer(room string, e *keyEntry, refusal *wire.Error) {
	p.send(room, e, encodeAnswer(room, e.Ref.Key, nil, refusal))
}

func (p *Partition) send(room string, e *keyEntry, answer json.RawMessage) {
	body := e.Body
	p.out.Answers = append(p.out.Answers, Answer{Node: e.Gateway, RoutedAnswer: wire.RoutedAnswer{
		Player: e.Ref.Player, Room: room, Key: e.Ref.Key, Body: body[:], Answer: answer,
	}})
}

// collect takes the effects of one input of a room.
func (p *Partition) collect(at game.At, r *roomState) {
	p.touch(r)
	for _, a := range p.fx.Answers {
		e := r.keys.find(a.Ref)
		if e == nil || e.Answer != nil {
			continue // a keyless command that a newer one replaced, or a second answer
		}
		e = r.keys.change(e)
		e.Answer = encodeAnswer(r.id, a.Ref.Key, a.Result, a.Error)
		p.send(r.id, e, e.Answer)
		e.Gateway = ""
	}
	for _, n := range p.fx.Notices {
		notice := wire.Notice{Type: wire.TypeNotice, Room: r.id, Event: n.Event}
		p.tell(r, n.Player, notice.AppendJSON(make([]byte, 0, envelopeBytes+len(r.id)+len(n.Event))))
	}
	for _, b := range p.fx.Bookings {
		b.Partition, b.Room, b.At = p.cfg.ID, r.id, at.Wall
		p.book(b)
	}
	p.out.Sanctions = append(p.out.Sanctions, p.fx.Sanctions...)
	r.addEvents(p.fx.Events)
	p.fx.Reset()
}

func (p *Partition) book(b wire.Booking) {
	if p.pending.add(b) {
		p.out.Bookings = append(p.out.Bookings, b)
	}
}

func (p *Partition) tell(r *roomState, player string, message json.RawMessage) {
	r.private = append(r.private, wire.Private{Player: player, Message: message})
	p.touch(r)
}

func encodeAnswer(room, key string, result json.RawMessage, refusal *wire.Error) json.RawMessage {
	a := wire.Answer{Type: wire.TypeAnswer, Room: room, Key: key, OK: refusal == nil, Result: result, Error: refusal}
	return a.AppendJSON(make([]byte, 0, envelopeBytes+len(room)+len(key)+len(result)))
}
