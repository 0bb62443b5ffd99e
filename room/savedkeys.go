package room

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"

	"tickcast/room/game"
)

// A keyTable in a snapshot is a list of the filed entries and one of the keyless,
// each a count and the entries. Most of a snapshot are keys: as JSON they would take
// four times as long.

var errKeys = errors.New("malformed keys")

func (f frozenKeys) save() []byte {
	slices.SortFunc(f.newest, func(a, b *keyEntry) int { return cmp.Compare(a.Ref.Player, b.Ref.Player) })
	b := make([]byte, 0, 256*(len(f.filed)+len(f.newest)))
	for _, list := range [...][]*keyEntry{f.filed, f.newest} {
		b = binary.AppendUvarint(b, uint64(len(list)))
		for _, e := range list {
			b = e.append(b)
		}
	}
	return b
}

func (e *keyEntry) append(b []byte) []byte {
	b = append(b, e.Body[:]...)
	b = binary.AppendUvarint(b, e.Round)
	for _, s := range [...]string{e.Ref.Player, e.Ref.Key, e.Gateway} {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	return append(binary.AppendUvarint(b, uint64(len(e.Answer))), e.Answer...)
}

// restoreKeys reads what save wrote. The table keeps parts of b.
func restoreKeys(b []byte) (*keyTable, error) {
	t := newKeyTable()
	r := keyReader{b: b}
	for range r.count() {
		t.file(r.entry())
	}
	for range r.count() {
		t.fileKeyless(r.entry())
	}
	if r.failed || len(r.b) > 0 {
		return nil, errKeys
	}
	return t, nil
}

// keyReader reads entries. Behind the first malformed one everything is empty.
type keyReader struct {
	b      []byte
	failed bool
}

// count is the length of a list, each element of which has bytes of its own.
func (r *keyReader) count() uint64 {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.failed = true
		return 0
	}
	return n
}

func (r *keyReader) entry() *keyEntry {
	e := &keyEntry{}
	copy(e.Body[:], r.take(uint64(len(e.Body))))
	e.Round = r.uvarint()
	e.Ref = game.Ref{Player: string(r.take(r.uvarint())), Key: string(r.take(r.uvarint()))}
	e.Gateway = string(r.take(r.uvarint()))
	if answer := r.take(r.uvarint()); len(answer) > 0 {
		e.Answer = answer
	}
	return e
}

func (r *keyReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.b, r.failed = nil, true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *keyReader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.b, r.failed = nil, true
		return nil
	}
	taken := r.b[:n:n]
	r.b = r.b[n:]
	return taken
}
