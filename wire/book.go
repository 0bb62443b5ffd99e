package wire

import "encoding/json"

// BookingKind is what a Booking asks the ledger to do.
type BookingKind string

// Kinds of bookings.
const (
	BookStake  BookingKind = "stake"  // player → house, refused when not covered or cancelled before
	BookPayout BookingKind = "payout" // house → player, for a booked stake without another end
	BookCancel BookingKind = "cancel" // reverse the stake if it was booked, else a tombstone that refuses it later
	BookCredit BookingKind = "credit" // house → player, by an operator
	BookRefill BookingKind = "refill" // house → player, refused unless the player cannot cover the smallest stake
	BookRound  BookingKind = "round"  // archive a finished round; its remaining open bets are lost
	BookScores BookingKind = "scores" // archive scores of a round and add them to the leaderboards
	BookAudit  BookingKind = "audit"  // archive an operator's action
)

// Booking is a message of StreamLedger: a transfer or a record for the archive.
// Booking it twice is the same as once. Every booking is answered by one
// BookingResult on ResultSubject(Partition); the owner repeats it until then.
type Booking struct {
	ID        string       `json:"id"` // derived from the record that caused it, unique for ever
	Kind      BookingKind  `json:"kind"`
	Partition int          `json:"p"`
	Room      string       `json:"room"`
	At        int64        `json:"at"` // Unix ms of the log record that caused it
	Player    string       `json:"player,omitempty"`
	Name      string       `json:"name,omitempty"`
	Guest     bool         `json:"guest,omitempty"`  // stake, refill: open a guest's account if there is none
	Amount    int64        `json:"amount,omitempty"` // minor units, > 0
	Stake     string       `json:"stake,omitempty"`  // payout, cancel: ID of the stake's booking
	Operator  string       `json:"operator,omitempty"`
	Reason    string       `json:"reason,omitempty"`
	Bet       *BetRecord   `json:"bet,omitempty"`     // stake
	Centi     int64        `json:"centi,omitempty"`   // payout: the multiplier paid, in hundredths
	Round     *RoundRecord `json:"round,omitempty"`   // round, scores
	Scores    []Score      `json:"scores,omitempty"`  // scores; at most MaxScores
	Audit     *Action      `json:"audit,omitempty"`   // audit
	Outcome   *Error       `json:"outcome,omitempty"` // audit: the refusal, nil when done
}

// MendPrefix and the ID of a booking are the ID of the booking that mends what the log of a
// lost tail made of it. No record asks for that one, but its result is in the log.
const MendPrefix = "reconcile/"

// MaxScores bounds the scores of one booking, which must fit a NATS message.
const MaxScores = 1000

// BetRecord says what a stake is for.
type BetRecord struct {
	RoomUUID string `json:"room_uuid"`
	Game     string `json:"game"`
	Round    uint64 `json:"round"`
	Slot     int    `json:"slot"`
	Auto     int64  `json:"auto,omitempty"` // auto-cash-out target in hundredths, 0 for none
}

// RoundRecord is a finished round for the archive.
type RoundRecord struct {
	RoomUUID string          `json:"room_uuid"`
	Game     string          `json:"game"`
	Round    uint64          `json:"round"`
	Voided   bool            `json:"voided,omitempty"`
	Started  int64           `json:"started"` // Unix ms of the log record
	Ended    int64           `json:"ended"`   // Unix ms of the log record
	Outcome  json.RawMessage `json:"outcome"` // public, the game's own, e.g. crash point and seed
}

// Score is one player's result in a round.
type Score struct {
	Player string `json:"player"`
	Name   string `json:"name"`
	Points int64  `json:"points"`
}

// BookingResult is the payload of a res record.
type BookingResult struct {
	ID      string `json:"id"`
	Booked  bool   `json:"booked"`
	Code    Code   `json:"code,omitempty"` // why it was refused
	Player  string `json:"player,omitempty"`
	Balance int64  `json:"balance,omitempty"` // of Player after it, minor units
	Version int64  `json:"version,omitempty"` // of that balance
	// Kept is what Player keeps by a mend that moves nothing (MendPrefix), minor units.
	Kept int64 `json:"kept,omitempty"`
}

// LedgerQuery asks a ledger worker. Which fields are used depends on Op.
type LedgerQuery struct {
	Op     string `json:"op"`
	Player string `json:"player,omitempty"`
	Guest  bool   `json:"guest,omitempty"` // balance: a guest without an account yet has the grant
	Room   string `json:"room,omitempty"`
	Board  string `json:"board,omitempty"`  // leaderboard: "<game>:all" or "<game>:YYYY-MM-DD"
	Before string `json:"before,omitempty"` // cursor of the page before; empty for the first
	Limit  int    `json:"limit,omitempty"`  // 1 to 100, 0 means 50
	Token  string `json:"token,omitempty"`  // authenticate: what an operator's page gave the player

	Stakes *StakesQuery `json:"stakes,omitempty"` // stakes
}

// Operations of LedgerQuery.
const (
	QueryBalance     = "balance"     // Balance
	QueryRounds      = "rounds"      // RoundPage of Room, newest first
	QueryBets        = "bets"        // BetPage of Player, newest first
	QueryLeaderboard = "leaderboard" // []Score, best first
	QueryAudit       = "audit"       // AuditPage, newest first
	QuerySessions    = "sessions"    // SessionPage, newest first
	QueryHealth      = "health"      // LedgerHealth
	QueryWallet      = "wallet"      // WalletPage, newest first
	QueryStakes      = "stakes"      // StakesReply
	QueryLogin       = "login"       // Player whom the operator's wallet knows by Token
)

// WalletOrder is an operator's order about a call of the wallet whose outcome is not
// known, sent on LedgerOrderSubject and answered by a LedgerReply without data.
type WalletOrder struct {
	Op       string `json:"op"`
	ID       string `json:"id"` // of the WalletCall
	Operator string `json:"operator"`
	Reason   string `json:"reason,omitempty"`
}

// Operations of WalletOrder.
const (
	WalletRetry  = "retry"  // ask the wallet at once
	WalletDone   = "done"   // the wallet has done it, as a person saw or saw to
	WalletDenied = "denied" // withdrawals only: the wallet has not taken the money, and never will
)

// WalletCall is something that an operator's wallet was asked for in vain.
type WalletCall struct {
	ID          string `json:"id"` // of the booking
	Op          string `json:"op"` // "withdraw", "deposit", "rollback"
	Transaction string `json:"transaction"`
	Player      string `json:"player"`
	Amount      int64  `json:"amount"` // minor units
	Tries       int64  `json:"tries"`  // each of a few seconds
	Error       string `json:"error"`  // of the last one
	Since       int64  `json:"since"`  // Unix ms
	Next        int64  `json:"next"`   // Unix ms: when the wallet is asked again
}

// WalletPage is a page of the queue.
type WalletPage struct {
	Calls []WalletCall `json:"calls"`
	Next  string       `json:"next,omitempty"`
}

// LedgerReply answers a LedgerQuery.
type LedgerReply struct {
	Error *Error          `json:"error,omitempty"`
	Data  json.RawMessage `json:"data,omitempty"`
}

// RoundPage is a page of archived rounds.
type RoundPage struct {
	Rounds []RoundRecord `json:"rounds"`
	Next   string        `json:"next,omitempty"` // cursor, empty at the end
}

// PlacedBet is a player's bet as the ledger knows it.
type PlacedBet struct {
	ID     string `json:"id"`
	Room   string `json:"room"`
	Round  uint64 `json:"round"`
	Slot   int    `json:"slot"`
	Stake  int64  `json:"stake"`
	Auto   int64  `json:"auto,omitempty"`
	State  string `json:"state"` // "open", "won", "lost", "refunded"
	Centi  int64  `json:"centi,omitempty"`
	Payout int64  `json:"payout,omitempty"`
	At     int64  `json:"at"` // Unix ms
}

// BetPage is a page of a player's bets.
type BetPage struct {
	Bets []PlacedBet `json:"bets"`
	Next string      `json:"next,omitempty"`
}

// AuditEntry is an operator's action with its outcome.
type AuditEntry struct {
	Room    string `json:"room"`
	Action  Action `json:"action"`
	Outcome *Error `json:"outcome,omitempty"`
}

// AuditPage is a page of the audit list.
type AuditPage struct {
	Entries []AuditEntry `json:"entries"`
	Next    string       `json:"next,omitempty"`
}

// SessionPage is a page of the archived session events.
type SessionPage struct {
	Events []SessionEvent `json:"events"`
	Next   string         `json:"next,omitempty"`
}

// LedgerHealth is what the console shows of the ledger.
type LedgerHealth struct {
	Database  string `json:"database"`  // "sqlite" or "postgres"
	EntrySum  int64  `json:"entry_sum"` // must be zero
	Transfers int64  `json:"transfers"`
	Accounts  int64  `json:"accounts"`
	Queued    uint64 `json:"queued"` // bookings that wait in the work queue
	// Wallet is about the operator's wallet; nil when players' money is in the ledger.
	Wallet *WalletHealth `json:"wallet,omitempty"`
}

// WalletHealth is what the console shows of an operator's wallet.
type WalletHealth struct {
	Queued int64 `json:"queued"`           // calls whose outcome is not known
	Oldest int64 `json:"oldest,omitempty"` // Unix ms: since when the oldest of them waits
}
