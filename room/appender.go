package room

import (
	"tickcast/room/game"
	"tickcast/wire"
)

// appender writes the owner's records, fenced by the claim: the log refuses them once
// a newer claim exists.
type appender struct {
	log Log

	epoch    uint64
	queue    []wire.OwnerRecord
	inFlight int
	tick     bool               // a tick is queued or on its way
	facts    map[factKey]uint64 // asked for: 0 until acknowledged, then its sequence
}

type factKey struct{ room, kind string }

func newAppender(log Log) *appender { return &appender{log: log, facts: map[factKey]uint64{}} }

// start begins to write under a new epoch.
func (a *appender) start(epoch uint64) {
	a.epoch, a.queue, a.tick = epoch, nil, false
	clear(a.facts)
}

// appendTick carries the clock on, unless a tick is on its way already.
func (a *appender) appendTick() {
	if a.tick {
		return
	}
	a.tick = true
	a.add(wire.OwnerRecord{Kind: wire.OwnerTick})
}

// appendDuty writes a fact that a room owes, unless it is on its way or in the
// log behind the last folded record.
func (a *appender) appendDuty(room string, d game.Duty, last uint64) {
	key := factKey{room, d.Kind}
	if seq, asked := a.facts[key]; asked && (seq == 0 || seq > last) {
		return
	}
	a.facts[key] = 0
	a.add(wire.OwnerRecord{Kind: d.Kind, Room: room, Data: d.Data})
}

func (a *appender) add(rec wire.OwnerRecord) {
	rec.Epoch = a.epoch
	a.queue = append(a.queue, rec)
	a.pump()
}

func (a *appender) pump() {
	for len(a.queue) > 0 && a.inFlight < a.log.Window() {
		rec := a.queue[0]
		a.queue = a.queue[1:]
		a.inFlight++
		a.log.Append(rec)
	}
}

// settle notes what became of an append and sends the next.
func (a *appender) settle(rec wire.OwnerRecord, seq uint64, err error) {
	a.inFlight--
	if rec.Epoch == a.epoch {
		switch key := (factKey{rec.Room, rec.Kind}); {
		case rec.Kind == wire.OwnerTick:
			a.tick = false
		case err != nil:
			delete(a.facts, key)
		default:
			a.facts[key] = seq
		}
	}
	a.pump()
}

// folded forgets facts that the fold has seen.
func (a *appender) folded(last uint64) {
	for key, seq := range a.facts {
		if seq != 0 && seq <= last {
			delete(a.facts, key)
		}
	}
}
