package server

import (
	"bytes"
	"encoding/json"
	"strconv"

	"tickcast/server/internal/rest"
	"tickcast/wire"
)

// maxPositionSeq is the largest number that a JavaScript client can have counted
// to.
const maxPositionSeq = 1<<53 - 1

// One of these is in every such message whose type is not written with escapes.
var (
	quotedCmd  = []byte(strconv.Quote(wire.TypeCmd))
	quotedPong = []byte(strconv.Quote(wire.TypePong))
)

// parseMessage reads a message from a client, which must be UTF-8. Only the fields that its type
// defines are looked at. On a refusal the type is set if it could be read.
func parseMessage(p []byte) (wire.ClientMessage, *wire.Error) {
	var m wire.ClientMessage
	p = bytes.TrimLeft(p, " \t\r\n")
	if len(p) == 0 || p[0] != '{' {
		return m, wire.Errorf(wire.CodeBadMessage, "a message is a JSON object")
	}
	// Most messages are commands, or answers to pings. One that is as it should be is read in one go,
	// all else when its type is known.
	if bytes.Contains(p, quotedCmd) {
		if m, refusal, ok := parseCommand(p); ok {
			return m, refusal
		}
	}
	if bytes.Contains(p, quotedPong) {
		if m, ok := parsePong(p); ok {
			return m, nil
		}
	}
	var head struct {
		Type *string `json:"type"`
	}
	if err := json.Unmarshal(p, &head); err != nil {
		return m, badMessage(err)
	}
	if head.Type == nil {
		return m, wire.Errorf(wire.CodeBadMessage, `a message has a string field "type"`)
	}
	m.Type = *head.Type
	return m, parseFields(p, &m)
}

// parseFields reads the fields of m.Type into m.
func parseFields(p []byte, m *wire.ClientMessage) *wire.Error {
	var err error
	switch m.Type {
	case wire.TypeHello:
		v := struct {
			Protocol *int
			Token    *string
			Session  *string
		}{&m.Protocol, &m.Token, &m.Session}
		err = json.Unmarshal(p, &v)
	case wire.TypeJoin:
		v := struct {
			ID       *uint64
			Room     *string
			Position **wire.Position
		}{&m.ID, &m.Room, &m.Position}
		err = json.Unmarshal(p, &v)
	case wire.TypeLeave:
		v := struct {
			ID   *uint64
			Room *string
		}{&m.ID, &m.Room}
		err = json.Unmarshal(p, &v)
	case wire.TypeCmd: // one that parseCommand did not take
		v := commandFields(m)
		err = json.Unmarshal(p, &v)
	case wire.TypeChat:
		v := struct {
			ID   *uint64
			Room *string
			Text *string
		}{&m.ID, &m.Room, &m.Text}
		err = json.Unmarshal(p, &v)
	case wire.TypePing:
		v := struct{ ID *uint64 }{&m.ID}
		err = json.Unmarshal(p, &v)
	case wire.TypePong:
		v := pongFields(m)
		err = json.Unmarshal(p, &v)
	default:
		return wire.Errorf(wire.CodeUnknownType, "there is no message type %q", clip(m.Type))
	}
	if err != nil {
		return badMessage(err)
	}
	return nil
}

// commandMessage are the fields of a command, in a message's own.
type commandMessage struct {
	Type  *string
	Room  *string
	Key   *string
	Op    *string
	Round *uint64
	Args  *json.RawMessage
}

func commandFields(m *wire.ClientMessage) commandMessage {
	return commandMessage{&m.Type, &m.Room, &m.Key, &m.Op, &m.Round, &m.Args}
}

// parseCommand reads a command; ok is false when p is none, or has a field that cannot be read.
func parseCommand(p []byte) (m wire.ClientMessage, refusal *wire.Error, ok bool) {
	v := commandFields(&m)
	if json.Unmarshal(p, &v) != nil || v.Type == nil || m.Type != wire.TypeCmd {
		return wire.ClientMessage{}, nil, false
	}
	if string(m.Args) == "null" {
		m.Args = nil
	}
	if len(m.Args) > 0 && m.Args[0] != '{' {
		return m, wire.Errorf(wire.CodeBadMessage, "args is an object"), true
	}
	return m, nil, true
}

// pongMessage are the fields of a pong, in a message's own.
type pongMessage struct {
	Type    *string
	ID      *uint64
	Applied *map[string]uint64
}

func pongFields(m *wire.ClientMessage) pongMessage { return pongMessage{&m.Type, &m.ID, &m.Applied} }

// parsePong reads a pong; ok is false when p is none, or has a field that cannot be read.
func parsePong(p []byte) (m wire.ClientMessage, ok bool) {
	v := pongFields(&m)
	if json.Unmarshal(p, &v) != nil || v.Type == nil || m.Type != wire.TypePong {
		return wire.ClientMessage{}, false
	}
	return m, true
}

// badMessage tells whoever writes a client what the decoder met.
func badMessage(err error) *wire.Error {
	return wire.Errorf(wire.CodeBadMessage, "%s", clip(rest.Decoding(err)))
}

// clip bounds a text that repeats what a client said.
func clip(s string) string {
	const most = 120
	if len(s) <= most {
		return s
	}
	return string([]rune(s[:most])) + "…"
}

// checkCommand judges the shape of a command. Which room it is for has been
// judged before.
func checkCommand(m *wire.ClientMessage) *wire.Error {
	switch {
	case !wire.ValidKey(m.Key):
		return wire.Errorf(wire.CodeBadKey, "key is 1 to %d printable ASCII characters without space", wire.MaxKeyBytes)
	case !wire.ValidOp(m.Op):
		return wire.Errorf(wire.CodeBadOp, "op is 1 to %d letters a to z or _", wire.MaxOpBytes)
	case len(m.Args) > wire.MaxArgsBytes:
		return wire.Errorf(wire.CodeArgsTooLarge, "args has %d bytes, at most %d", len(m.Args), wire.MaxArgsBytes)
	}
	return nil
}

// checkPosition judges whether p can be a position at all.
func checkPosition(p *wire.Position) *wire.Error {
	if p != nil && (p.Log == "" || len(p.Log) > 64 || p.Seq > maxPositionSeq) {
		return wire.Errorf(wire.CodeBadPosition, "a position has the log and the seq of a joined or update message")
	}
	return nil
}

// checkRoom judges whether a room can exist.
func checkRoom(room string) *wire.Error {
	if !wire.ValidRoomID(room) {
		return wire.Errorf(wire.CodeBadRoom, "%q is not a room ID: 1 to %d of a-z, 0-9, _ and -, not beginning with _ or -", clip(room), wire.MaxRoomIDBytes)
	}
	return nil
}

// encode marshals a value of our own types, which cannot fail.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("server: marshal: " + err.Error())
	}
	return b
}
