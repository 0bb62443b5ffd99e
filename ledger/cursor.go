package ledger

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
)

// cursor is the place of the last row of a page: lists are ordered by time, and by
// ID within a millisecond, newest first.
type cursor struct {
	at int64
	id string
}

// cursorFormat begins every encoded cursor, so that another format can be told.
const cursorFormat = 1

var errCursor = errors.New("not a cursor of this list")

// newest is before all rows: the cursor of the first page. The ID sorts behind
// every other, but no row has that time.
func newest() cursor { return cursor{at: math.MaxInt64} }

func (c cursor) encode() string {
	b := binary.BigEndian.AppendUint64([]byte{cursorFormat}, uint64(c.at))
	return base64.RawURLEncoding.EncodeToString(append(b, c.id...))
}

// parseCursor reads what encode wrote; empty means newest.
func parseCursor(s string) (cursor, error) {
	if s == "" {
		return newest(), nil
	}
	if len(s) > 2*maxIDBytes {
		return cursor{}, errCursor
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) < 9 || b[0] != cursorFormat {
		return cursor{}, errCursor
	}
	c := cursor{at: int64(binary.BigEndian.Uint64(b[1:])), id: string(b[9:])}
	if !text(c.id, maxIDBytes) {
		return cursor{}, errCursor
	}
	return c, nil
}
