package wire

import (
	"hash/fnv"
	"strconv"
	"strings"
)

// Names of the JetStream streams and key-value buckets of one deployment.
const (
	StreamLedger     = "LEDGER"    // work queue of transfers and archive records
	StreamChat       = "CHAT"      // chat lines, republished to ChatOutSubject
	StreamSessions   = "SESSIONS"  // logins and sessions, archived to SQL
	BucketSystem     = "system"    // facts fixed at the first start, e.g. the number of partitions
	BucketRooms      = "rooms"     // the room directory: room ID to RoomInfo
	BucketSanctions  = "sanctions" // mutes and kicks: player to Sanction
	BucketCheckpoint = "ckpt"      // object store of partition checkpoints
	BucketArchive    = "archive"   // object store of what was trimmed from the logs
)

// CashierRoom is the room that every partition has and nobody creates: it takes
// what concerns a player and no room (refills, credits, mutes, kicks). Its name
// cannot be a room ID.
const CashierRoom = "_"

// PartitionStream names the stream that holds the log of partition p.
func PartitionStream(p int) string { return "P" + strconv.Itoa(p) }

// PartitionSubjects lists the subjects stored in the stream of partition p.
func PartitionSubjects(p int) []string {
	n := strconv.Itoa(p)
	return []string{"cmd." + n + ".*", "adm." + n + ".*", "own." + n, "evt." + n, "res." + n}
}

// PartitionOf maps a room to one of n partitions. The mapping is part of the
// stored format: the same room always has the same partition for the same n.
func PartitionOf(room string, n int) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(room))
	return int(h.Sum32() % uint32(n))
}

// Kind is what a log record is, told by the first token of its subject. NATS
// permissions decide who may write which kind.
type Kind string

// The kinds of records of a partition's log.
const (
	KindCommand Kind = "cmd" // a player's command, written by gateways
	KindAction  Kind = "adm" // an operator's action, written by the operator API
	KindClaim   Kind = "own" // a claim of ownership; its sequence is the epoch
	KindOwner   Kind = "evt" // a timer or fact appended by the owner
	KindResult  Kind = "res" // the result of a transfer, written by ledger workers
)

// Subjects of a partition's log.

// CommandSubject is where a gateway publishes a command for a room.
func CommandSubject(p int, room string) string { return partitionSubject("cmd", p, room) }

// ActionSubject is where the operator API publishes an action on a room.
func ActionSubject(p int, room string) string { return partitionSubject("adm", p, room) }

// ClaimSubject is where a room server claims partition p.
func ClaimSubject(p int) string { return "own." + strconv.Itoa(p) }

// OwnerSubject is where the owner of partition p appends its records.
func OwnerSubject(p int) string { return "evt." + strconv.Itoa(p) }

// ResultSubject is where ledger workers append the results of transfers.
func ResultSubject(p int) string { return "res." + strconv.Itoa(p) }

// FeedSubject is the wildcard on which the committed records of partition p are
// republished over core NATS, each under its own subject behind "log.<p>.".
func FeedSubject(p int) string { return "log." + strconv.Itoa(p) + ".>" }

// Subjects of what owners say over core NATS.

// OutSubject is the wildcard of everything that partition p says about a room to
// the gateways: one subscription per room and gateway.
func OutSubject(p int, room string) string { return partitionSubject("out", p, room) + ".*" }

// OutClassSubject is where the owner publishes one class of messages of a room.
func OutClassSubject(p int, room string, c OutClass) string {
	return partitionSubject("out", p, room) + "." + string(c)
}

// AnswerSubject is where answers for one gateway (or operator API) go.
func AnswerSubject(node string) string { return "rsp." + node }

// AskSubject is where the owner of partition p answers requests (see Ask).
func AskSubject(p int) string { return "ask." + strconv.Itoa(p) }

// FollowerSubject is where the followers of partition p, a queue group, answer requests
// that the owner did not. They fold the log up to its end first, so that they
// know as much as an owner.
func FollowerSubject(p int) string { return "asf." + strconv.Itoa(p) }

// RingSubject is where a gateway gives others the updates that it kept of a room.
func RingSubject(gateway string) string { return "gwr." + gateway }

// PingSubject is where the owner of partition p answers "who owns this": the
// reply is a Pong. No responders means that nobody does.
func PingSubject(p int) string { return "ping." + strconv.Itoa(p) }

// Subjects of the rest.

// LedgerSubject is where the owner of partition p queues bookings.
func LedgerSubject(p int) string { return "ldg." + strconv.Itoa(p) }

// LedgerQuerySubject is where ledger workers (a queue group) answer queries.
const LedgerQuerySubject = "ldq"

// LedgerOrderSubject is where ledger workers (a queue group) take orders of operators.
const LedgerOrderSubject = "ldo"

// ChatSubject is where a gateway appends a chat line of a room.
func ChatSubject(room string) string { return "chat." + room }

// ChatOutSubject is where stored chat lines of a room are republished.
func ChatOutSubject(room string) string { return "chatout.chat." + room }

// SessionSubject is where a gateway appends session events.
func SessionSubject(gateway string) string { return "ses." + gateway }

// NodeSubject is where a node publishes its NodeInfo once a second.
func NodeSubject(role, id string) string { return "node." + role + "." + id }

// PresenceSubject is where a gateway publishes its Presence once a second.
func PresenceSubject(gateway string) string { return "prs." + gateway }

func partitionSubject(kind string, p int, room string) string {
	return kind + "." + strconv.Itoa(p) + "." + room
}

// ParseLogSubject splits the subject of a log record into its kind, partition
// and room (empty for own, evt and res). ok is false for any other subject, with
// the kind if there is one.
func ParseLogSubject(s string) (kind Kind, partition int, room string, ok bool) {
	k, rest, _ := strings.Cut(s, ".")
	kind = Kind(k)
	num, room, hasRoom := strings.Cut(rest, ".")
	p, err := strconv.Atoi(num)
	if err != nil || p < 0 || num != strconv.Itoa(p) {
		return kind, 0, "", false
	}
	switch kind {
	case KindCommand, KindAction:
		ok = hasRoom && (room == CashierRoom || ValidRoomID(room))
	case KindClaim, KindOwner, KindResult:
		ok = !hasRoom
	}
	return kind, p, room, ok
}
