package wire

import "time"

// Limits of the protocol. They are part of docs/protocol.md.
const (
	// ProtocolVersion is the version of the client protocol.
	ProtocolVersion = 1
	// MaxClientMessageBytes is the size limit of a message from a client. The
	// largest sensible one, a hello with a JWT, is under 2 KiB.
	MaxClientMessageBytes = 4096
	// MaxRoomIDBytes, MaxKeyBytes, MaxOpBytes, MaxPlayerBytes and MaxNameBytes
	// bound the names that clients choose.
	MaxRoomIDBytes = 64
	MaxKeyBytes    = 64
	MaxOpBytes     = 32
	MaxPlayerBytes = 64
	MaxNameBytes   = 32
	// MaxArgsBytes bounds the JSON of a command's arguments.
	MaxArgsBytes = 512
	// MaxChatBytes bounds the UTF-8 text of a chat line.
	MaxChatBytes = 280
	// MaxRoomsPerSession bounds the rooms that one connection may have joined.
	MaxRoomsPerSession = 16
	// MaxCommandsInFlight bounds the commands of one session that wait for an
	// answer; one more is refused with CodeBusy.
	MaxCommandsInFlight = 16
	// KeptRounds is for how many rounds a room keeps command keys and answers.
	// Commands that name an older round are answered CodeStaleRound.
	KeptRounds = 20
	// MaxPartitions bounds the number of partitions of a deployment.
	MaxPartitions = 1024
	// DefaultPartitions is the number of partitions when nothing else is said.
	DefaultPartitions = 8
)

// Amounts of play credits in minor units (100 = 1.00 credit).
const (
	// GrantAmount is what a guest's account is opened with and what a refill
	// credits.
	GrantAmount = 100_000
	// SmallestStake is the smallest stake that any room may allow; a player who
	// cannot cover it may ask for a refill.
	SmallestStake = 100
)

// Times of the protocol.
const (
	// HelloTimeout is how long a fresh connection may take to say hello.
	HelloTimeout = 5 * time.Second
	// PingInterval is how often a gateway pings a client that said nothing else.
	PingInterval = 25 * time.Second
	// PongTimeout is how long the pong may take.
	PongTimeout = 8 * time.Second
	// DedupeWindow is how long the log's server drops a second message of the
	// same Msg-Id. The fold dedupes for much longer (KeptRounds).
	DedupeWindow = 30 * time.Second
)
