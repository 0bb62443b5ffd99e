package wire

import "encoding/json"

// Types of messages from clients. See docs/protocol.md.
const (
	TypeHello = "hello"
	TypeJoin  = "join"
	TypeLeave = "leave"
	TypeCmd   = "cmd"
	TypeChat  = "chat"
	TypePing  = "ping"
	TypePong  = "pong"
)

// ClientMessage is any message from a client: the union of the fields of all
// types. Which fields a type needs is stated in docs/protocol.md.
type ClientMessage struct {
	Type     string            `json:"type"`
	ID       uint64            `json:"id,omitempty"`       // join, leave, chat, ping: echoed in the reply
	Protocol int               `json:"protocol,omitempty"` // hello
	Token    string            `json:"token,omitempty"`    // hello
	Session  string            `json:"session,omitempty"`  // hello: the session to go on with
	Room     string            `json:"room,omitempty"`     // join, leave, cmd, chat
	Position *Position         `json:"position,omitempty"` // join: resume behind this
	Key      string            `json:"key,omitempty"`      // cmd: idempotency key
	Op       string            `json:"op,omitempty"`       // cmd
	Round    uint64            `json:"round,omitempty"`    // cmd
	Args     json.RawMessage   `json:"args,omitempty"`     // cmd: an object, judged by the game
	Text     string            `json:"text,omitempty"`     // chat
	Applied  map[string]uint64 `json:"applied,omitempty"`  // pong: room to last applied seq
}

// Position names a place in a room's updates: everything up to Seq in the log
// named Log. Only another Log makes a position invalid.
type Position struct {
	Log string `json:"log"`
	Seq uint64 `json:"seq"`
}
