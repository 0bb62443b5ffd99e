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

// Unusual is the least crash point that is searched for in binary: smaller numbers
// stand in any binary protocol by chance, as lengths and counts.
const Unusual = 1 << 16

// Secret is what must not leave a process before a round has crashed. What is zero is
// not searched for.
type Secret struct {
	Seed [32]byte
	// Centi is the crash point. Under Unusual it is found in text only, where it
	// stands for itself: not in a word, nor where protocols write lengths.
	Centi int64
	End   int64 // game time of the crash, ns
}

// form is one way in which a secret may be written.
type form struct {
	name  string
	bytes []byte
	where func(b []byte, i, end int) bool // nil: anywhere
	plain bool                            // not in what was decoded: random bytes have it by chance
}

// Find lists the ways in which the secret is written in b, by name: raw, hex, base64
// at every alignment, decimal and varint, in either byte order. What stands in b as
// base64, a field of bytes in JSON for instance, is decoded and searched too.
func (s Secret) Find(b []byte) []string {
	var found []string
	texts := unwrapped(b)
	for _, f := range s.forms() {
		if f.in(b) || !f.plain && slices.ContainsFunc(texts[1:], f.in) {
			found = append(found, f.name)
		}
	}
	return found
}

func (s Secret) forms() []form {
	var fs []form
	if s.Seed != [32]byte{} {
		fs = append(fs, seedForms(s.Seed)...)
	}
	if s.End != 0 {
		fs = append(fs, numberForms("end in ns", s.End)...)
		fs = append(fs, numberForms("end in µs", s.End/1000)...)
	}
	if s.Centi != 0 {
		fs = append(fs, s.pointForms()...)
	}
	return fs
}

func (s Secret) pointForms() []form {
	text := fmt.Appendf(nil, "%d.%02d", s.Centi/100, s.Centi%100)
	bits := binary.BigEndian.AppendUint64(nil, math.Float64bits(float64(s.Centi)/100))
	where := wholeNumber
	var fs []form
	if s.Centi < Unusual {
		where = wholeValue
		fs = append(fs, form{name: "crash point, decimal", bytes: []byte(strconv.FormatInt(s.Centi, 10)), where: where})
	} else {
		fs = numberForms("crash point", s.Centi)
	}
	return append(fs,
		form{name: "crash point as text", bytes: text, where: where},
		form{name: "crash point as float, big endian", bytes: bits},
		form{name: "crash point as float, little endian", bytes: reversed(bits)})
}

func seedForms(seed [32]byte) []form {
	var fs []form
	for order, raw := range map[string][]byte{"": seed[:], ", reversed": reversed(seed[:])} {
		fs = append(fs,
			form{name: "seed, raw" + order, bytes: raw},
			form{name: "seed, hex" + order, bytes: []byte(hex.EncodeToString(raw))},
			form{name: "seed, upper hex" + order, bytes: []byte(strings.ToUpper(hex.EncodeToString(raw)))},
			form{name: "seed, decimal" + order, bytes: []byte(new(big.Int).SetBytes(raw).String()), where: wholeNumber},
			// Half of it is as bad: the rest of a seed in two frames must not hide it.
			form{name: "half a seed, raw" + order, bytes: raw[:16]},
			form{name: "half a seed, hex" + order, bytes: []byte(hex.EncodeToString(raw[:16]))})
		for shift := range 3 {
			fs = append(fs, form{name: fmt.Sprintf("seed, base64 at %d%s", shift, order), bytes: base64At(raw, shift, base64.RawStdEncoding)})
			fs = append(fs, form{name: fmt.Sprintf("seed, base64url at %d%s", shift, order), bytes: base64At(raw, shift, base64.RawURLEncoding)})
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
		{name: name + ", decimal", bytes: []byte(strconv.FormatInt(n, 10)), where: wholeNumber},
		{name: name + ", big endian", bytes: be8},
		{name: name + ", little endian", bytes: reversed(be8)},
	}
	small := n <= math.MaxUint32
	if small {
		fs = append(fs, form{name: name + ", 32 bits big endian", bytes: be8[4:]}, form{name: name + ", 32 bits little endian", bytes: reversed(be8[4:])})
	}
	// Three bytes, as a small number's varint has, are in any noise that is long enough,
	// and most of what decodes as base64 is words: it is searched for as it is.
	return append(fs,
		form{name: name + ", varint", bytes: binary.AppendUvarint(nil, uint64(n)), plain: small},
		form{name: name + ", zigzag varint", bytes: binary.AppendVarint(nil, n), plain: small})
}

func (f form) in(b []byte) bool {
	for from := 0; ; {
		i := bytes.Index(b[from:], f.bytes)
		if i < 0 {
			return false
		}
		i += from
		if f.where == nil || f.where(b, i, i+len(f.bytes)) {
			return true
		}
		from = i + 1
	}
}

// wholeNumber: no digit precedes or follows.
func wholeNumber(b []byte, i, end int) bool {
	return (i == 0 || !isDigit(b[i-1])) && (end == len(b) || !isDigit(b[end]))
}

// wholeValue: it is no part of a word, a path, a fraction or base64, and no length
// of a NATS message or a Redis string, which end their line with \r\n.
func wholeValue(b []byte, i, end int) bool {
	if i > 0 && (isBase64(b[i-1]) || b[i-1] == '.') {
		return false
	}
	rest := b[end:]
	if len(rest) > 0 && rest[0] == 'x' { // as multipliers are printed
		rest = rest[1:]
	}
	return !bytes.HasPrefix(rest, []byte("\r\n")) && (len(rest) == 0 || !isBase64(rest[0]))
}

// minWrapped is the least length of base64 that is decoded: shorter runs are words.
const minWrapped = 24

// unwrapped is b, and all that stands in it as base64, decoded again and again.
func unwrapped(b []byte) [][]byte {
	texts := [][]byte{b}
	for start := 0; start < len(b); start++ {
		end := start
		for end < len(b) && isBase64(b[end]) {
			end++
		}
		if end-start >= minWrapped {
			texts = append(texts, unwrapped(decoded(b[start:end]))...)
		}
		start = end
	}
	return texts
}

// decoded is what a run of characters of base64, of either alphabet, stands for.
func decoded(run []byte) []byte {
	if len(run)%4 == 1 { // six bits are no byte
		run = run[:len(run)-1]
	}
	std := bytes.Map(func(r rune) rune {
		switch r {
		case '-':
			return '+'
		case '_':
			return '/'
		}
		return r
	}, run)
	out := make([]byte, base64.RawStdEncoding.DecodedLen(len(std)))
	n, _ := base64.RawStdEncoding.Decode(out, std) // every character is of the alphabet
	return out[:n]
}

func isBase64(c byte) bool {
	return isDigit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '+' || c == '/' || c == '-' || c == '_'
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func reversed(b []byte) []byte {
	r := slices.Clone(b)
	slices.Reverse(r)
	return r
}
