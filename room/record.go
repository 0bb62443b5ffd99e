package room

import (
	"crypto/sha256"

	"tickcast/wire"
)

// Record is one record of a partition's log.
type Record struct {
	Seq  uint64    // sequence in the stream
	Time int64     // stored timestamp, Unix ns
	Kind wire.Kind // from the subject
	Room string    // from the subject; empty for own, evt and res
	Data []byte    // not modified
	// Forged tells that no process of ours wrote the record: it is an answer of JetStream
	// that somebody had sent to a subject of the log, which no permission forbids, or
	// it names what cannot be a room, as the stream's subjects take any token there. It
	// has a sequence and a timestamp like any record, and no effect but one: what stands
	// on the subject of claims fences the owner.
	Forged bool
}

// Place names a record so that it is recognised: sequences are used again when a
// log lost its tail.
type Place struct {
	Seq  uint64   `json:"seq"`
	Time int64    `json:"time"` // stored timestamp, Unix ns
	Hash [16]byte `json:"hash"` // first half of the payload's SHA-256
}

func (r *Record) place() Place {
	sum := sha256.Sum256(r.Data)
	return Place{Seq: r.Seq, Time: r.Time, Hash: [16]byte(sum[:16])}
}

// recentRecords is how many records back a replica notices that the log has another
// one: what a power cut takes from the log is a moment's worth of records.
const recentRecords = 1 << 12

// recent are the stored timestamps of the newest folded records. A sequence that
// comes again with another timestamp tells that the log lost its tail, and that what
// was folded of it never happened. The zero value knows none.
type recent [recentRecords]struct {
	seq  uint64
	time int64
}

func (r *recent) note(rec Record) {
	e := &r[rec.Seq%recentRecords]
	e.seq, e.time = rec.Seq, rec.Time
}

// agrees reports whether rec is what was folded at its sequence, if that is known.
func (r *recent) agrees(rec Record) bool {
	e := r[rec.Seq%recentRecords]
	return e.seq != rec.Seq || e.time == rec.Time
}
