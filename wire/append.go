package wire

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
)

// The messages that an owner makes by the ten thousand are written here field by
// field: the same bytes as json.Marshal's, which would check and copy again every
// message within a message. JSON inside of them comes from json.Marshal or from here.

// AppendJSON appends t as JSON.
func (t *Tick) AppendJSON(b []byte) []byte {
	b = appendText(append(b, `{"type":`...), t.Type)
	b = appendText(append(b, `,"room":`...), t.Room)
	b = strconv.AppendUint(append(b, `,"seq":`...), t.Seq, 10)
	b = strconv.AppendInt(append(b, `,"t":`...), t.Time, 10)
	b = strconv.AppendUint(append(b, `,"epoch":`...), t.Epoch, 10)
	return append(b, '}')
}

// AppendJSON appends u as JSON.
func (u *Update) AppendJSON(b []byte) []byte {
	b = appendText(append(b, `{"type":`...), u.Type)
	b = appendText(append(b, `,"room":`...), u.Room)
	b = strconv.AppendUint(append(b, `,"seq":`...), u.Seq, 10)
	b = strconv.AppendInt(append(b, `,"t":`...), u.Time, 10)
	b = append(b, `,"events":`...)
	b = appendList(b, len(u.Events), func(b []byte, i int) []byte { return append(b, u.Events[i]...) })
	return append(b, '}')
}

// AppendJSON appends a as JSON.
func (a *Answer) AppendJSON(b []byte) []byte {
	b = appendText(append(b, `{"type":`...), a.Type)
	b = appendText(append(b, `,"room":`...), a.Room)
	b = appendText(append(b, `,"key":`...), a.Key)
	b = strconv.AppendBool(append(b, `,"ok":`...), a.OK)
	if len(a.Result) > 0 {
		b = append(append(b, `,"result":`...), a.Result...)
	}
	if a.Error != nil {
		b = appendAny(append(b, `,"error":`...), a.Error)
	}
	return append(b, '}')
}

// AppendJSON appends n as JSON.
func (n *Notice) AppendJSON(b []byte) []byte {
	b = appendText(append(b, `{"type":`...), n.Type)
	b = appendText(append(b, `,"room":`...), n.Room)
	b = append(append(b, `,"event":`...), n.Event...)
	return append(b, '}')
}

// AppendPrivates appends l as JSON: the body of an OutPrivate message.
func AppendPrivates(b []byte, l []Private) []byte {
	return appendList(b, len(l), func(b []byte, i int) []byte {
		b = appendText(append(b, `{"player":`...), l[i].Player)
		b = append(append(b, `,"message":`...), l[i].Message...)
		return append(b, '}')
	})
}

// AppendAnswers appends l as JSON: a message on an answer subject.
func AppendAnswers(b []byte, l []RoutedAnswer) []byte {
	return appendList(b, len(l), func(b []byte, i int) []byte {
		a := &l[i]
		b = append(b, '{')
		if a.Player != "" {
			b = append(appendText(append(b, `"player":`...), a.Player), ',')
		}
		b = appendText(append(b, `"room":`...), a.Room)
		b = appendText(append(b, `,"key":`...), a.Key)
		if len(a.Body) > 0 {
			b = base64.StdEncoding.AppendEncode(append(b, `,"body":"`...), a.Body)
			b = append(b, '"')
		}
		b = append(append(b, `,"answer":`...), a.Answer...)
		return append(b, '}')
	})
}

// appendList appends n elements; json.Marshal writes null for a list that is nil,
// nobody has one of those here.
func appendList(b []byte, n int, element func(b []byte, i int) []byte) []byte {
	b = append(b, '[')
	for i := range n {
		if i > 0 {
			b = append(b, ',')
		}
		b = element(b, i)
	}
	return append(b, ']')
}

// appendText appends a string as JSON. IDs and keys are nearly always plain.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ', c > '~', c == '"', c == '\\', c == '<', c == '>', c == '&':
			return appendAny(b, s)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

func appendAny(b []byte, v any) []byte {
	j, err := json.Marshal(v)
	if err != nil {
		panic("wire: marshal: " + err.Error()) // strings and our own types have no way to fail
	}
	return append(b, j...)
}
