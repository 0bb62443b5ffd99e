package testkit

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// Secret is what must not leave a process before a round has crashed.
type Secret struct {
	Seed  [32]byte
	Centi int64 // the crash point; choose rounds in which it is unusual: 65,536 or more
	End   int64 // game time of the crash, ns
}

// form is one way in which a secret may be written.
type form struct {
	name   string
	bytes  []byte
	digits bool // matches only where no digit precedes or follows
}

// Find lists the ways in which the secret is written in b, by name: raw, hex, base64
// at every alignment, decimal and varint, in either byte order.
func (s Secret) Find(b []byte) []string {
	var found []string
	for _, f := range s.forms() {
		if f.in(b) {
			found = append(found, f.name)
		}
	}
	return found
}

func (s Secret) forms() []form {
	fs := seedForms(s.Seed)
	fs = append(fs, numberForms("crash point", s.Centi)...)
	fs = append(fs, numberForms("end in ns", s.End)...)
	fs = append(fs, numberForms("end in µs", s.End/1000)...)
	text := fmt.Sprintf("%d.%02d", s.Centi/100, s.Centi%100)
	bits := binary.BigEndian.AppendUint64(nil, math.Float64bits(float64(s.Centi)/100))
	return append(fs,
		form{"crash point as text", []byte(text), true},
		form{"crash point as float, big endian", bits, false},
		form{"crash point as float, little endian", reversed(bits), false})
}

func seedForms(seed [32]byte) []form {
	var fs []form
	for order, raw := range map[string][]byte{"": seed[:], ", reversed": reversed(seed[:])} {
		fs = append(fs,
			form{"seed, raw" + order, raw, false},
			form{"seed, hex" + order, []byte(hex.EncodeToString(raw)), false},
			form{"seed, upper hex" + order, []byte(strings.ToUpper(hex.EncodeToString(raw))), false},
			form{"seed, decimal" + order, []byte(new(big.Int).SetBytes(raw).String()), true},
			// Half of it is as bad: the rest of a seed in two frames must not hide it.
			form{"half a seed, raw" + order, raw[:16], false},
			form{"half a seed, hex" + order, []byte(hex.EncodeToString(raw[:16])), false})
		for shift := range 3 {
			fs = append(fs, form{fmt.Sprintf("seed, base64 at %d%s", shift, order), base64At(raw, shift, base64.RawStdEncoding), false})
			fs = append(fs, form{fmt.Sprintf("seed, base64url at %d%s", shift, order), base64At(raw, shift, base64.RawURLEncoding), false})
		}
	}
	return fs
}

// base64At is the part of the encoding that is the same whatever stands around the
// bytes, when they begin shift bytes into a group of three.
func base64At(raw []byte, shift int, e *base64.Encoding) []byte {
	padded := append(make([]byte, shift), raw...)
	text := e.EncodeToString(padded[:len(padded)/3*3])
	if shift > 0 {
		text = text[4:]
	}
	return []byte(text)
}

func numberForms(name string, n int64) []form {
	be8 := binary.BigEndian.AppendUint64(nil, uint64(n))
	fs := []form{
		{name + ", decimal", []byte(strconv.FormatInt(n, 10)), true},
		{name + ", big endian", be8, false},
		{name + ", little endian", reversed(be8), false},
	}
	if n <= math.MaxUint32 {
		return append(fs, form{name + ", 32 bits big endian", be8[4:], false}, form{name + ", 32 bits little endian", reversed(be8[4:]), false})
	}
	// Short varints are found in any noise; one of four bytes and more is a finding.
	return append(fs,
		form{name + ", varint", binary.AppendUvarint(nil, uint64(n)), false},
		form{name + ", zigzag varint", binary.AppendVarint(nil, n), false})
}

func (f form) in(b []byte) bool {
	if !f.digits {
		return bytes.Contains(b, f.bytes)
	}
	for {
		i := bytes.Index(b, f.bytes)
		if i < 0 {
			return false
		}
		end := i + len(f.bytes)
		if (i == 0 || !isDigit(b[i-1])) && (end == len(b) || !isDigit(b[end])) {
			return true
		}
		b = b[i+1:]
	}
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func reversed(b []byte) []byte {
	r := slices.Clone(b)
	slices.Reverse(r)
	return r
}
