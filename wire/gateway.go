package wire

import "encoding/json"

// Types of messages from gateways (besides cmd answers and room updates, whose
// bytes are made by the room's owner and passed on unchanged).
const (
	TypeWelcome  = "welcome"
	TypeJoined   = "joined"
	TypeLeft     = "left"
	TypeUpdate   = "update"
	TypeTick     = "tick"
	TypeAnswer   = "answer"
	TypeNotice   = "notice"
	TypeBalance  = "balance"
	TypePresence = "presence"
	TypeSkip     = "skip"
	TypeMove     = "move"
	TypeRetry    = "retry"
	TypeError    = "error"
)

// Welcome answers hello.
type Welcome struct {
	Type     string              `json:"type"` // TypeWelcome
	Protocol int                 `json:"protocol"`
	Session  string              `json:"session"` // give it in the hello after a reconnect
	Resumed  bool                `json:"resumed"` // the session given in hello was known
	Gateway  string              `json:"gateway"`
	Player   Player              `json:"player"`
	Rooms    map[string]Position `json:"rooms,omitempty"` // last known positions of a resumed session
	PingMS   int64               `json:"ping_ms"`
	Now      int64               `json:"now"` // gateway's wall clock, Unix ms; for display only
}

// Player is who a connection speaks for.
type Player struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Guest bool   `json:"guest,omitempty"`
}

// Source is where that comes from which a client gets when it joins.
type Source string

// The sources, cheapest first.
const (
	SourceRing     Source = "ring"     // the updates behind the position, which this gateway kept
	SourceGateway  Source = "gateway"  // the same, from another gateway
	SourceOwner    Source = "owner"    // the same, from the room's owner
	SourceFollower Source = "follower" // the same, from a follower of the owner
	SourceSnapshot Source = "snapshot" // the whole state
)

// Joined answers join. Recovered tells that the updates behind the given
// position follow; otherwise Snapshot is the whole public state at Position, and
// the updates behind Position follow. Clients apply both alike: by Seq.
type Joined struct {
	Type string `json:"type"` // TypeJoined
	ID   uint64 `json:"id,omitempty"`
	// WasRecovering tells that the client gave a position.
	WasRecovering bool   `json:"was_recovering"`
	Source        Source `json:"source"`

	Room      string          `json:"room"`
	Recovered bool            `json:"recovered"`
	Position  Position        `json:"position"`
	Epoch     uint64          `json:"epoch"`              // of the owner that made the snapshot
	Time      int64           `json:"t"`                  // game time of the snapshot, microseconds
	Snapshot  json.RawMessage `json:"snapshot,omitempty"` // the game's public view
	You       json.RawMessage `json:"you,omitempty"`      // the game's view for this player
	Chat      []ChatLine      `json:"chat,omitempty"`     // the last lines, oldest first
	Players   int             `json:"players"`            // connections in the room, all gateways
}

// Update is a numbered batch of events of a room. The room's owner encodes it
// once; its bytes are the same for every client on every gateway.
type Update struct {
	Type   string            `json:"type"` // TypeUpdate
	Room   string            `json:"room"`
	Seq    uint64            `json:"seq"` // grows by one, across owners
	Time   int64             `json:"t"`   // game time of the cut, microseconds
	Events []json.RawMessage `json:"events"`
}

// Tick carries the room's clock. It has no number of its own; Seq is the newest
// update before it. Only the newest tick counts.
type Tick struct {
	Type  string `json:"type"` // TypeTick
	Room  string `json:"room"`
	Seq   uint64 `json:"seq"`
	Time  int64  `json:"t"` // game time, microseconds
	Epoch uint64 `json:"epoch"`
}

// Answer is the one answer to a command. Exactly one of Result and Error is set.
type Answer struct {
	Type   string          `json:"type"` // TypeAnswer
	Room   string          `json:"room"`
	Key    string          `json:"key"`
	OK     bool            `json:"ok"`
	Result json.RawMessage `json:"result,omitempty"`
	Error  *Error          `json:"error,omitempty"`
}

// Notice tells one player what concerns him and is no answer.
type Notice struct {
	Type  string          `json:"type"` // TypeNotice
	Room  string          `json:"room"`
	Event json.RawMessage `json:"event"`
}

// Balance is a player's balance in minor units. Version grows with every change;
// a client keeps the highest.
type Balance struct {
	Type    string `json:"type"` // TypeBalance
	Amount  int64  `json:"amount"`
	Version int64  `json:"version"`
}

// ChatLine is one stored chat line.
type ChatLine struct {
	Type   string `json:"type,omitempty"` // TypeChat when sent alone
	Room   string `json:"room,omitempty"`
	ID     uint64 `json:"id"` // grows within the room
	At     int64  `json:"at"` // Unix ms
	Player string `json:"player"`
	Name   string `json:"name"`
	Text   string `json:"text"`
}

// RoomPlayers is the presence message: how many connections a room has.
type RoomPlayers struct {
	Type    string `json:"type"` // TypePresence
	Room    string `json:"room"`
	Players int    `json:"players"`
}

// Left answers leave, and tells that a room was closed.
type Left struct {
	Type string `json:"type"` // TypeLeft
	ID   uint64 `json:"id,omitempty"`
	Room string `json:"room"`
}

// Ping asks for a Pong (type pong) with the same ID and the applied positions.
type Ping struct {
	Type string `json:"type"` // TypePing
	ID   uint64 `json:"id"`
	Now  int64  `json:"now"` // gateway's wall clock, Unix ms
}

// Pong answers a client's ping, so that it can measure its round trip.
type Pong struct {
	Type string `json:"type"` // TypePong
	ID   uint64 `json:"id"`
	Now  int64  `json:"now"` // gateway's wall clock, Unix ms
}

// Skip announces that updates From to To are not sent to this connection because
// it reads too slowly; a snapshot follows (a joined message without an ID).
type Skip struct {
	Type string `json:"type"` // TypeSkip
	Room string `json:"room"`
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
}

// Move asks the client to open a new connection within the time given, resume
// there, and then close this one.
type Move struct {
	Type     string `json:"type"` // TypeMove
	WithinMS int64  `json:"within_ms"`
}

// Retry tells when to reconnect; a close follows.
type Retry struct {
	Type    string `json:"type"` // TypeRetry
	AfterMS int64  `json:"after_ms"`
}

// ErrorMessage refuses a message that was not a command.
type ErrorMessage struct {
	Type string `json:"type"` // TypeError
	ID   uint64 `json:"id,omitempty"`
	Room string `json:"room,omitempty"`
	Error
}
