package wire

// Lost is the payload of OwnerLost.
type Lost struct {
	// Why tells operators how the owner knows: what was in the log once, or is in the
	// ledger, and is not in the log.
	Why string `json:"why"`
}

// Orphans is the payload of OwnerOrphans.
type Orphans struct {
	Stakes []OpenStake `json:"stakes"` // at most MaxOrphans
}

// MaxOrphans bounds the stakes of one Orphans and of one StakesReply.
const MaxOrphans = 1000

// OpenStake is a stake that the ledger has booked and no end of, or asks a wallet for.
type OpenStake struct {
	ID     string `json:"id"` // of its booking
	Player string `json:"player"`
	Room   string `json:"room"`
	Round  uint64 `json:"round"`
	Amount int64  `json:"amount"` // minor units
}

// StakesQuery are the arguments of QueryStakes: what the rooms of a partition know.
type StakesQuery struct {
	// Rounds are the current rounds of rooms, by the rooms' UUIDs.
	Rounds map[string]uint64 `json:"rounds"`
	// Open are stakes that are open in their rooms, by the IDs of their bookings; at most
	// MaxOrphans.
	Open []string `json:"open,omitempty"`
}

// StakesReply is what the ledger knows beside it.
type StakesReply struct {
	Open     []OpenStake       `json:"open,omitempty"`     // of the current rounds and later ones; at most MaxOrphans
	Ended    []string          `json:"ended,omitempty"`    // of the query's open stakes
	Archived map[string]uint64 `json:"archived,omitempty"` // the newest archived rounds, by the rooms' UUIDs
	// Queued is the newest message of the work queue, and Booked the newest up to which all
	// were worked on before the rest of the reply was read; 0 from older servers.
	Queued uint64 `json:"queued,omitempty"`
	Booked uint64 `json:"booked,omitempty"`
}
