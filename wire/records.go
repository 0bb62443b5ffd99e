package wire

import "encoding/json"

// Claim is the payload of an own record.
type Claim struct {
	Node     string `json:"node"`
	Binary   string `json:"binary"`             // build version, for people
	Replaces uint64 `json:"replaces,omitempty"` // the epoch seen dead, or the node's own at a checkpoint
	Offered  bool   `json:"offered,omitempty"`  // the owner of that epoch is alive and offered the partition
	// Folds are the newest versions that the node can fold; nil in records of older servers.
	// The fold makes nothing of it: it is for who audits what the node puts into force.
	Folds Versions `json:"folds,omitempty"`
}

// OwnerRecord is the payload of an evt record. The fold ignores it unless Epoch
// is the current one.
type OwnerRecord struct {
	Epoch uint64          `json:"e"`
	Kind  string          `json:"k"`
	Room  string          `json:"r,omitempty"` // for facts about a room
	Data  json.RawMessage `json:"d,omitempty"`
}

// Kinds of owner records. Any other kind is a fact that the room's game asked
// for (a duty) and is handed to that game.
const (
	OwnerTick   = "tick"   // carries the clock past a due point
	OwnerDigest = "digest" // Digest: what the owner's state was
	// OwnerLost (Lost): the log lost its tail, and what was in it never happened. Rounds
	// under way are voided, and rooms go on under another name of their log.
	OwnerLost = "lost"
	// OwnerOrphans (Orphans): the ledger has booked stakes that were in the lost tail. They
	// are cancelled.
	OwnerOrphans = "orphans"
	// OwnerVersions (Versions) puts versions into force, from this record on.
	OwnerVersions = "versions"
)

// Versions are versions of what a log is folded by: of the rules of games, by name, and
// of Records. What is not in it is not known, or not in use.
type Versions map[string]int

// Records names the version of the records themselves: kinds, payloads, and what the fold
// does around the games.
const Records = "records"

// Least has what both have, in the older of both versions.
func (v Versions) Least(other Versions) Versions {
	least := Versions{}
	for name, version := range v {
		if version = min(version, other[name]); version > 0 {
			least[name] = version
		}
	}
	return least
}

// Digest tells the digest of the public state after the record at Seq.
type Digest struct {
	Seq     uint64 `json:"seq"`
	Version int    `json:"v"`   // of the snapshot's format; another one has another sum
	Sum     []byte `json:"sum"` // SHA-256 of the partition's canonical snapshot
}

// Action is an operator's action, the payload of an adm record.
type Action struct {
	ID       string          `json:"id"` // UUIDv7; a second action of the same ID has no effect
	Operator string          `json:"operator"`
	ReplyTo  string          `json:"reply_to,omitempty"` // node whose AnswerSubject gets the answer
	Op       string          `json:"op"`
	At       int64           `json:"at"` // Unix ms, for the audit list
	Args     json.RawMessage `json:"args,omitempty"`
}

// Operations of operators. Start, pause, resume, void and set go to the room's
// game; create and close to its partition; the others to the cashier.
const (
	ActionCreate = "create" // CreateArgs
	ActionClose  = "close"  // no further round, then the room is gone
	ActionStart  = "start"
	ActionPause  = "pause" // after the current round
	ActionResume = "resume"
	ActionVoid   = "void" // the current round
	ActionSet    = "set"  // the game's settings, in part
	ActionCredit = "credit"
	ActionMute   = "mute" // Until 0 ends the mute
	ActionKick   = "kick"
)

// CreateArgs are the arguments of ActionCreate.
type CreateArgs struct {
	UUID     string          `json:"uuid"` // UUIDv7, drawn by the operator API
	Game     string          `json:"game"`
	Name     string          `json:"name"`               // display name, 1 to 32 bytes
	Paused   bool            `json:"paused,omitempty"`   // do not start rounds yet
	Settings json.RawMessage `json:"settings,omitempty"` // the game's settings, in part
}

// PlayerArgs are the arguments of ActionCredit, ActionMute and ActionKick.
type PlayerArgs struct {
	Player string `json:"player"`
	Amount int64  `json:"amount,omitempty"` // credit: minor units, 100 to 10^12
	Until  int64  `json:"until,omitempty"`  // mute, kick: Unix ms
	Reason string `json:"reason,omitempty"`
}

// Sanction is the value of BucketSanctions under the player's ID (encoded by
// PlayerKey). Gateways watch the bucket.
type Sanction struct {
	Player     string `json:"player"`
	MutedUntil int64  `json:"muted_until,omitempty"` // Unix ms
	// KickedUntil: connections are closed with CloseKicked, and hello is refused
	// until then. Unix ms.
	KickedUntil int64 `json:"kicked_until,omitempty"`
}

// SessionEvent is a record of StreamSessions.
type SessionEvent struct {
	ID      string `json:"id"` // UUIDv7
	Session string `json:"session"`
	Player  string `json:"player"`
	Name    string `json:"name"`
	Guest   bool   `json:"guest,omitempty"`
	Gateway string `json:"gateway"`
	Kind    string `json:"kind"` // "login", "resume", "end"
	Address string `json:"address"`
	Reason  string `json:"reason,omitempty"` // end: why
	At      int64  `json:"at"`               // Unix ms
}

// ChatRecord is a record of StreamChat.
type ChatRecord struct {
	Player string `json:"player"`
	Name   string `json:"name"`
	Text   string `json:"text"`
}
