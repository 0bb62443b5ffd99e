package sim

import (
	"encoding/json"

	"tickcast/room"
	"tickcast/wire"
)

// What can be broken in a world, to show that the checks find it.
const (
	noFence      = "the log takes records of deposed owners, and servers fold them"
	skipsRecords = "a server misses a record and goes on"
	ownClock     = "a server folds by its own clock"
	booksTwice   = "the ledger books a booking each time it comes"
	noTombstones = "a cancel before its stake leaves no tombstone"
	booksOnce    = "an owner does not repeat bookings"
	ignoresGaps  = "a gateway does not fill gaps"
	givesUp      = "nobody sends a command again"
	forgetsKeys  = "a repeated command is a new one"
	tellsSeeds   = "an owner tells a seed before the crash"

	purgesClaim      = "a trimmer purges the newest claim"
	purgesUnarchived = "a trimmer purges what is not in the archive"
	losesSegments    = "the archive loses segments that were read back"
	losesCheckpoints = "both checkpoints are lost when the log is purged"

	noOrphans    = "nobody is told of stakes that the log has lost"
	noHold       = "rounds open before the ledger has booked what waits"
	staleWitness = "the ledger tells what it knew when it was asked before"
	paysAgain    = "the ledger ends a bet again that ended in a lost tail"
	staysAstray  = "a gateway goes on with what the log has lost"
	dropsTicks   = "a gateway drops ticks for a claim that the log has lost"
)

// altered is a record as a server that is broken sees it.
func (s *server) altered(rec room.Record) room.Record {
	rec = s.beyond(rec)
	switch {
	case s.w.cfg.broken == noFence && rec.Kind == wire.KindOwner:
		var evt wire.OwnerRecord
		if json.Unmarshal(rec.Data, &evt) == nil {
			evt.Epoch = s.replica.Partition().Epoch()
			rec.Data = encode(evt)
		}
	case s.w.cfg.broken == ownClock && s.id == 0:
		rec.Time = s.w.now
	case s.w.cfg.broken == skipsRecords && s.id == 0 && rec.Kind == wire.KindResult && s.w.chance(0.02):
		rec.Data = []byte("{}")
	}
	return rec
}

// forget gives a command that the log has seen another key.
func (s *stream) forget(m message) message {
	c, err := wire.DecodeCommand(m.data)
	if err != nil {
		return m
	}
	id := c.Player + "|" + m.room + "|" + c.Key
	if s.keys[id]++; s.keys[id] > 1 {
		c.Key += "-again"
		m.data, _ = c.AppendBinary(nil)
	}
	return m
}
