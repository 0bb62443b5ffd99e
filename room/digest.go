package room

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"tickcast/wire"
)

// digestEvery is after how many records every fold takes the digest of its state
// and the owner writes its own into the log: a busy partition takes one in a second
// or so and an idle one never. A digest costs a snapshot, so that one of a large state
// comes later: after as many records as take as long.
const digestEvery = 1 << 14

// digests compares this fold with the owner's.
type digests struct {
	seq    uint64  // of the newest digest taken, 0 for none
	newest *digest // nil if seq comes from a snapshot
	stated uint64  // of the newest digest in the log
}

// digest is computed in the background, unless the partition is to do it inline.
type digest struct {
	done chan struct{}
	sum  [sha256.Size]byte // once done is closed
}

func (d *digests) note(p *Partition) {
	if p.last.Seq%digestEvery != 0 || p.last.Seq-d.seq < p.weight() {
		return
	}
	d.wait() // one at a time
	d.seq, d.newest = p.last.Seq, &digest{done: make(chan struct{})}
	state, taken := p.freeze(), d.newest
	if p.cfg.Inline {
		taken.take(state)
	} else {
		go taken.take(state)
	}
}

func (d *digest) take(state *frozen) {
	defer close(d.done)
	d.sum = sha256.Sum256(state.encode())
}

// wait returns when no digest is being computed.
func (d *digests) wait() {
	if d.newest != nil {
		<-d.newest.done
	}
}

func (d *digests) check(data []byte) error {
	var stated wire.Digest
	if err := json.Unmarshal(data, &stated); err != nil {
		return fmt.Errorf("digest: %w", err)
	}
	d.stated = max(d.stated, stated.Seq)
	if stated.Seq != d.seq || stated.Version != snapshotVersion || d.newest == nil {
		return nil
	}
	d.wait()
	if !bytes.Equal(stated.Sum, d.newest.sum[:]) {
		return fmt.Errorf("the owner's digest of the state at record %d is %x, this fold has %x", stated.Seq, stated.Sum, d.newest.sum)
	}
	return nil
}

// owed is the digest that the owner should write, if there is one yet.
func (d *digests) owed() (wire.Digest, bool) {
	if d.newest == nil || d.seq <= d.stated {
		return wire.Digest{}, false
	}
	select {
	case <-d.newest.done:
		return wire.Digest{Seq: d.seq, Version: snapshotVersion, Sum: d.newest.sum[:]}, true
	default:
		return wire.Digest{}, false
	}
}
