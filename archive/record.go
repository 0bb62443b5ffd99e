package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
)

// Record is a record as it stands in a stream. In an export it is a line of JSON.
type Record struct {
	Stream  string              `json:"stream"`
	Seq     uint64              `json:"seq"`
	Time    int64               `json:"ts"` // stored timestamp, Unix ns
	Subject string              `json:"subject"`
	Headers map[string][]string `json:"headers,omitempty"` // as stored
	Data    []byte              `json:"data"`              // base64 in JSON
}

// headerStream is the header by which a stream marks what it hands out. A stored record
// that has it is an answer of JetStream, which somebody had sent to a subject of the log.
const headerStream = "Nats-Stream"

// Foreign reports whether the record is an answer of JetStream that somebody had sent to
// a subject of the log.
func (r *Record) Foreign() bool { return len(r.Headers[headerStream]) > 0 }

// AppendLine appends the record as a line of an export, with its end.
func (r *Record) AppendLine(b []byte) []byte {
	out := bytes.NewBuffer(b)
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	if err := lines.Encode(r); err != nil {
		panic("archive: encode a record: " + err.Error()) // it has texts and numbers only
	}
	return out.Bytes()
}

// ParseLine reads a line of an export.
func ParseLine(line []byte) (Record, error) {
	var r Record
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return Record{}, fmt.Errorf("not a record: %w", err)
	}
	return r, nil
}

// Head identifies a log up to a record, as docs/audit.md defines it. The head before the
// first record is all zero.
type Head [sha256.Size]byte

// next is the head behind the next record.
func (h Head) next(r *Record) Head {
	foreign := byte(0)
	if r.Foreign() {
		foreign = 1
	}
	b := make([]byte, 0, len(h)+8+8+1+4+len(r.Subject)+4+len(r.Data))
	b = append(b, h[:]...)
	b = binary.BigEndian.AppendUint64(b, r.Seq)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Time))
	b = append(b, foreign)
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.Subject)))
	b = append(b, r.Subject...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.Data)))
	b = append(b, r.Data...)
	return sha256.Sum256(b)
}
