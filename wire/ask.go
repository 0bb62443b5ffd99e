package wire

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
)

// Ask is a request to the owner of a partition on AskSubject, to a follower on
// FollowerSubject, or (AskSince only) to a gateway on RingSubject, answered by an
// AskReply. It changes nothing.
type Ask struct {
	Op      string   `json:"op"`
	Room    string   `json:"room"`
	Seq     uint64   `json:"seq,omitempty"`     // AskSince: updates behind this one
	Sum     []byte   `json:"sum,omitempty"`     // AskSince: UpdateSum of update Seq as the asker has it; empty when it has none
	Players []string `json:"players,omitempty"` // AskYou; at most MaxAskPlayers
	Player  string   `json:"player,omitempty"`  // AskAnswer; empty for an operator's action
	Key     string   `json:"key,omitempty"`     // AskAnswer
	Body    []byte   `json:"body,omitempty"`    // AskAnswer: BodyHash
}

// MaxAskPlayers bounds the players of one AskYou.
const MaxAskPlayers = 200

// Operations of Ask.
const (
	AskSnapshot = "snapshot" // Log, Seq, Sum, Epoch, Time, View
	AskSince    = "since"    // Log, Updates behind Seq, or none and Lost when they are gone, or update Seq is another one here
	AskYou      = "you"      // You
	AskAnswer   = "answer"   // Answer, or Pending when the command is known and not yet definite; neither when it is unknown
)

// AskReply answers an Ask.
type AskReply struct {
	Error   *Error                     `json:"error,omitempty"` // CodeUnknownRoom, CodeUnavailable
	Log     string                     `json:"log,omitempty"`
	Seq     uint64                     `json:"seq,omitempty"` // newest update that View contains
	Sum     []byte                     `json:"sum,omitempty"` // AskSnapshot: UpdateSum of update Seq; empty when it is not kept
	Epoch   uint64                     `json:"epoch,omitempty"`
	Time    int64                      `json:"t,omitempty"` // game time, nanoseconds
	View    json.RawMessage            `json:"view,omitempty"`
	Updates []OutRecord                `json:"updates,omitempty"`
	Lost    bool                       `json:"lost,omitempty"`
	You     map[string]json.RawMessage `json:"you,omitempty"`
	Answer  json.RawMessage            `json:"answer,omitempty"`
	Pending bool                       `json:"pending,omitempty"`
	// Follower tells that no owner answered.
	Follower bool `json:"follower,omitempty"`
}

// OutRecord is an update as it was published: Message is the client message, byte
// for byte.
type OutRecord struct {
	Seq     uint64 `json:"seq"`
	Time    int64  `json:"t"` // game time, nanoseconds
	Message []byte `json:"message"`
}

// UpdateSum tells updates of one number apart: behind a lost tail numbers are used again. It is the first 8 bytes of
// the SHA-256 of a client message.
func UpdateSum(message []byte) []byte {
	sum := sha256.Sum256(message)
	return sum[:8]
}

// OwnerPong is what the owner of a partition answers on PingSubject.
type OwnerPong struct {
	Node  string `json:"node"`
	Epoch uint64 `json:"epoch"`
}

// RoomInfo is a room's line in the directory (BucketRooms, key: the room's ID).
// The owner writes it when it changes.
type RoomInfo struct {
	ID        string `json:"id"`
	UUID      string `json:"uuid"`
	Game      string `json:"game"`
	Name      string `json:"name"`
	State     string `json:"state"` // "running", "pausing", "paused", "closed"
	Partition int    `json:"partition"`
	Created   int64  `json:"created"` // Unix ms
}

// NodeInfo is what every node says about itself once a second on NodeSubject.
// A node that was not heard for 3 s is gone.
type NodeInfo struct {
	ID          string          `json:"id"`
	Role        string          `json:"role"` // "gateway", "room", "ledger"
	Version     string          `json:"version"`
	Started     int64           `json:"started"` // Unix ms
	Draining    bool            `json:"draining,omitempty"`
	Connections int             `json:"connections,omitempty"` // gateway
	Capacity    int             `json:"capacity,omitempty"`    // gateway
	Address     string          `json:"address,omitempty"`     // internal listener, host:port
	Partitions  []PartitionInfo `json:"partitions,omitempty"`  // room
	Folds       Versions        `json:"folds,omitempty"`       // room: the newest versions that it can fold, and it can all before
}

// PartitionInfo is a room server's view of one partition.
type PartitionInfo struct {
	Partition   int    `json:"partition"`
	Owner       bool   `json:"owner"` // this node speaks for it
	Epoch       uint64 `json:"epoch"`
	Seq         uint64 `json:"seq"`       // last folded record
	Lag         uint64 `json:"lag"`       // records in the log that are not folded yet
	GameTime    int64  `json:"game_time"` // nanoseconds
	Rooms       int    `json:"rooms"`
	Outstanding int    `json:"outstanding"`       // bookings without a result
	Halted      string `json:"halted,omitempty"`  // why this replica stopped, e.g. a digest mismatch
	LostAt      int64  `json:"lost_at,omitempty"` // when it was noticed that the log had lost its tail, Unix ms; the newest time
	// Versions are in force where the replica stands.
	Versions Versions `json:"versions,omitempty"`
}

// Presence is what a gateway says once a second on PresenceSubject: connections
// per room, rooms without any left out.
type Presence struct {
	Gateway string         `json:"gateway"`
	Rooms   map[string]int `json:"rooms"`
}

// PlayerKey encodes a player ID as a key of a bucket: base64url, because a
// player ID may have characters that a key may not.
func PlayerKey(player string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(player))
}
