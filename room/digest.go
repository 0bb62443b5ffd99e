package room

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"tickcast/wire"
)

// digestEvery is after how many records every fold takes the digest of its state
// and the owner writes its own into the log. A digest costs a snapshot; at 16,384
// records, a busy partition takes one in a second or so and an idle one never.
const digestEvery = 1 << 14

// digests compares this fold with the owner's.
type digests struct {
	seq    uint64 // of the newest digest taken, 0 for none
	sum    [sha256.Size]byte
	stated uint64 // of the newest digest in the log
}

func (d *digests) note(p *Partition) {
	if p.last.Seq%digestEvery != 0 {
		return
	}
	d.seq = p.last.Seq
	d.sum = sha256.Sum256(p.Snapshot())
}

func (d *digests) check(data []byte) error {
	var stated wire.Digest
	if err := json.Unmarshal(data, &stated); err != nil {
		return fmt.Errorf("digest: %w", err)
	}
	d.stated = max(d.stated, stated.Seq)
	if stated.Seq == d.seq && stated.Version == snapshotVersion && !bytes.Equal(stated.Sum, d.sum[:]) {
		return fmt.Errorf("the owner's digest of the state at record %d is %x, this fold has %x", stated.Seq, stated.Sum, d.sum)
	}
	return nil
}

// owed is the digest that the owner should write, if any.
func (d *digests) owed() (wire.Digest, bool) {
	return wire.Digest{Seq: d.seq, Version: snapshotVersion, Sum: bytes.Clone(d.sum[:])}, d.seq > d.stated
}
