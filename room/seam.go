package room

import (
	"errors"
	"time"

	"tickcast/wire"
)

// Log is the log of one partition as its Replica sees it: in JetStream, or in a
// simulation. Append and Claim do not block, their outcome comes as an event of the
// Replica; the other methods return when they know. A Log calls nothing of the
// Replica, and is used by the goroutine of its Replica only; but Last, At and Read may be
// called by another one too, which looks whether a checkpoint fits.
type Log interface {
	// Created is when the log was made, Unix ns; with the partition it names the log.
	Created() int64
	// Window is how many owner records may be on their way at once.
	Window() int
	// Last asks for the newest sequence in the log.
	Last() (uint64, error)
	// At reads one record; nil without an error when the log does not have it.
	At(seq uint64) (*Record, error)
	// Read hands the records from to, inclusive, to apply, in order and without a gap.
	// It returns when it has handed over all, with the error of apply, with ErrClosed,
	// with ErrTrimmed when the log begins behind from, or with why it cannot be read at any
	// time.
	Read(from, to uint64, apply func(Record) error) error
	// Append writes an owner record unless there is a newer claim than its epoch. Each
	// ends in one Settled; what is on its way together is stored in any order.
	Append(rec wire.OwnerRecord)
	// Claim writes a claim if the newest record on the claims' subject is expected. It
	// ends in one Claimed.
	Claim(c wire.Claim, expected uint64)
	// Waiting is how many live records wait for the fold.
	Waiting() int
}

// Errors of a Log that a Replica branches on. Any other error of Append and Claim
// leaves open whether the record was stored.
var (
	ErrFenced  = errors.New("room: a newer claim is in the log") // not stored
	ErrClosed  = errors.New("room: the log was closed on this side")
	ErrTrimmed = errors.New("room: the log was trimmed")
)

// Voice is how a Replica is heard: core messaging, the ledger's queue and the
// directory. Nothing it does blocks; what it says may be lost. The bytes belong to the
// caller again when a method returns. It calls nothing of the Replica, and is used by
// the goroutine of its Replica only.
type Voice interface {
	// Listen begins to answer pings as the owner of an epoch and to take asks as the
	// owner, or goes on under another epoch.
	Listen(epoch uint64) error
	// Mute ends that, and what Introduce began. From here on it takes the asks that
	// no owner answers, as it did before the first Listen.
	Mute()
	// Say tells all gateways of a room. log is the name of its log if that has lost its tail, else empty.
	Say(room string, class wire.OutClass, log string, message []byte)
	// Answer sends a list of answers to a gateway or an operator's API.
	Answer(node string, answers []byte)
	// Book queues a booking for the ledger. An error means that it was not sent.
	Book(id string, booking []byte) error
	// List announces rooms and sanctions that changed.
	List(rooms []wire.RoomInfo, sanctions []wire.Sanction)
	// Introduce announces all rooms and sanctions of the partition, by who claimed it then.
	Introduce(claimed time.Time, rooms []wire.RoomInfo, sanctions []wire.Sanction)
	// Ping asks who owns the partition; the answer comes as Pong with the same number,
	// or never. An error says nothing about the owner.
	Ping(n uint64) error
	// Offer sends an offer of the partition to another node; the answer, if there is
	// one, comes as Declined with the same number. An error means that it was not sent.
	Offer(n uint64, node string, offer []byte) error
	// AskLedger sends a query to a ledger worker; the answer comes as Witnessed with the same
	// number, or never. An error means that it was not sent.
	AskLedger(n uint64, query []byte) error
	// Flush waits a moment until what was said is on its way.
	Flush()
}
