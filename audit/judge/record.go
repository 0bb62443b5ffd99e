package judge

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
)

// Record is one record of a partition's log. It is not modified.
type Record struct {
	Seq     uint64 // sequence in the stream
	Time    int64  // stored timestamp, Unix ns
	Subject string
	Data    []byte
	// Foreign: the record is an answer of JetStream that somebody had sent to a subject
	// of the log, which its headers tell. It has no effect but its place.
	Foreign bool
}

// Head identifies a log up to a record: the SHA-256 of the head before and the record,
// as docs/audit.md defines it. The head before the first record is all zero.
type Head [sha256.Size]byte

// Next is the head behind the next record.
func (h Head) Next(r *Record) Head {
	b := make([]byte, 0, len(h)+32+len(r.Subject)+len(r.Data))
	b = append(b, h[:]...)
	b = binary.BigEndian.AppendUint64(b, r.Seq)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Time))
	foreign := byte(0)
	if r.Foreign {
		foreign = 1
	}
	b = append(b, foreign)
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.Subject)))
	b = append(b, r.Subject...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.Data)))
	return sha256.Sum256(append(b, r.Data...))
}

// Difference is the first thing in a log or a book that is not as it must be. It is an
// error.
type Difference struct {
	Partition int    `json:"partition"`     // -1: of the book and no partition
	Seq       uint64 `json:"seq,omitempty"` // of the record at which it shows; 0: in the book
	Room      string `json:"room,omitempty"`
	Round     uint64 `json:"round,omitempty"`
	Bet       string `json:"bet,omitempty"`
	Player    string `json:"player,omitempty"`
	What      string `json:"what"`
	Expected  string `json:"expected"`
	Found     string `json:"found"`
}

// Error implements error.
func (d *Difference) Error() string {
	var b strings.Builder
	if d.Partition >= 0 {
		fmt.Fprintf(&b, "partition %d", d.Partition)
	} else {
		b.WriteString("the book")
	}
	if d.Seq > 0 {
		fmt.Fprintf(&b, ", record %d", d.Seq)
	}
	if d.Room != "" {
		fmt.Fprintf(&b, ", room %s", d.Room)
	}
	if d.Round > 0 {
		fmt.Fprintf(&b, ", round %d", d.Round)
	}
	if d.Bet != "" {
		fmt.Fprintf(&b, ", bet %s", d.Bet)
	}
	if d.Player != "" {
		fmt.Fprintf(&b, ", player %s", d.Player)
	}
	fmt.Fprintf(&b, ": %s: expected %s, found %s", d.What, d.Expected, d.Found)
	return b.String()
}
