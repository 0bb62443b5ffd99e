package loadtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strconv"

	"tickcast/wire"
)

// head is what every bot needs of every message: its type, and for updates and
// ticks their place. Its bytes alias the message.
type head struct {
	kind  []byte
	room  []byte
	seq   uint64
	t     int64
	epoch uint64
	has   fields
}

type fields uint8

const (
	hasKind fields = 1 << iota
	hasRoom
	hasSeq
	hasT
	hasEpoch

	updateFields = hasKind | hasRoom | hasSeq | hasT
	tickFields   = updateFields | hasEpoch
)

var errHead = errors.New("not a message: no JSON object with a string field \"type\"")

// readHead reads the head of a message. A thousand bots read the same update a
// thousand times, so it looks no further than it must, and the whole message is
// decoded once for all bots (or for messages to one bot, once). What the quick
// scan does not understand is left to encoding/json.
func readHead(b []byte) (head, error) {
	if h, ok := scanHead(b); ok {
		return h, nil
	}
	return decodeHead(b)
}

func wanted(kind []byte) fields {
	switch string(kind) {
	case wire.TypeUpdate:
		return updateFields
	case wire.TypeTick:
		return tickFields
	}
	return hasKind
}

// scanHead reads the fields of a flat prefix of an object. It gives up (false) at
// the first value that is neither a plain string nor a plain unsigned integer.
func scanHead(b []byte) (h head, ok bool) {
	s := scanner{b: b}
	if !s.take('{') {
		return h, false
	}
	for {
		key, ok := s.str()
		if !ok || !s.take(':') || !h.scanField(key, &s) {
			return h, false
		}
		if h.has&hasKind != 0 {
			if w := wanted(h.kind); h.has&w == w {
				return h, true
			}
		}
		if !s.take(',') {
			return h, false
		}
	}
}

func (h *head) scanField(key []byte, s *scanner) (ok bool) {
	switch string(key) {
	case "type":
		h.kind, ok = s.str()
		h.has |= hasKind
	case "room":
		h.room, ok = s.str()
		h.has |= hasRoom
	case "seq":
		h.seq, ok = s.num()
		h.has |= hasSeq
	case "t":
		var t uint64
		t, ok = s.num()
		h.t = int64(t & math.MaxInt64)
		ok = ok && t <= math.MaxInt64
		h.has |= hasT
	case "epoch":
		h.epoch, ok = s.num()
		h.has |= hasEpoch
	default:
		ok = s.skipScalar()
	}
	return ok
}

// scanner walks over JSON that has no white space, as encoders write it.
type scanner struct {
	b []byte
	i int
}

func (s *scanner) take(c byte) bool {
	if s.i >= len(s.b) || s.b[s.i] != c {
		return false
	}
	s.i++
	return true
}

// str reads a string of printable ASCII without escapes.
func (s *scanner) str() ([]byte, bool) {
	if !s.take('"') {
		return nil, false
	}
	for i := s.i; i < len(s.b); i++ {
		switch c := s.b[i]; {
		case c == '"':
			v := s.b[s.i:i]
			s.i = i + 1
			return v, true
		case c == '\\' || c < ' ' || c > '~':
			return nil, false
		}
	}
	return nil, false
}

// num reads an unsigned integer of at most 19 digits.
func (s *scanner) num() (n uint64, ok bool) {
	start := s.i
	for s.i < len(s.b) && s.i-start < 19 && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
		n = n*10 + uint64(s.b[s.i]-'0')
		s.i++
	}
	if digits := s.i - start; digits == 0 || (digits > 1 && s.b[start] == '0') || s.i >= len(s.b) {
		return 0, false
	}
	// Anything else behind the digits (a fraction, an exponent, more digits) is for
	// the real decoder.
	return n, s.b[s.i] == ',' || s.b[s.i] == '}'
}

func (s *scanner) skipScalar() bool {
	if s.i < len(s.b) && s.b[s.i] == '"' {
		_, ok := s.str()
		return ok
	}
	_, ok := s.num()
	return ok
}

// decodeHead does the same with encoding/json, for any spelling of the message.
func decodeHead(b []byte) (head, error) {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(b, &m); err != nil {
		return head{}, errHead
	}
	var h head
	var kind, room string
	if json.Unmarshal(m["type"], &kind) != nil || bytes.Equal(m["type"], []byte("null")) {
		return head{}, errHead
	}
	h.kind, h.has = []byte(kind), hasKind
	if json.Unmarshal(m["room"], &room) == nil {
		h.room, h.has = []byte(room), h.has|hasRoom
	}
	for name, set := range map[string]func(uint64){
		"seq":   func(n uint64) { h.seq, h.has = n, h.has|hasSeq },
		"epoch": func(n uint64) { h.epoch, h.has = n, h.has|hasEpoch },
		"t": func(n uint64) {
			if n <= math.MaxInt64 {
				h.t, h.has = int64(n), h.has|hasT
			}
		},
	} {
		if n, err := strconv.ParseUint(string(m[name]), 10, 64); err == nil {
			set(n)
		}
	}
	if w := wanted(h.kind); h.has&w != w {
		return h, errors.New("a " + kind + " without one of its fields")
	}
	return h, nil
}
