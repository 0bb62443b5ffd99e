package wire

import "fmt"

// Code is a stable error code. Codes are never renamed or reused.
type Code string

// Codes of the edge: what a gateway answers by itself.
const (
	CodeBadMessage     Code = "bad_message"      // not JSON, not an object, a field of the wrong kind
	CodeUnknownType    Code = "unknown_type"     // no such message type
	CodeHelloExpected  Code = "hello_expected"   // a message before hello
	CodeAlreadyHello   Code = "already_hello"    // a second hello
	CodeBadVersion     Code = "bad_version"      // a protocol version that is not spoken here
	CodeInvalidToken   Code = "invalid_token"    // missing, malformed, expired or wrongly signed token
	CodeUnknownRoom    Code = "unknown_room"     // no room of that ID
	CodeBadRoom        Code = "bad_room"         // not a room ID at all
	CodeNotJoined      Code = "not_joined"       // a command, chat or leave for a room that was not joined
	CodeTooManyRooms   Code = "too_many_rooms"   // MaxRoomsPerSession is reached
	CodeBadKey         Code = "bad_key"          // the command key is missing or malformed
	CodeBadOp          Code = "bad_op"           // the operation is missing or malformed
	CodeArgsTooLarge   Code = "args_too_large"   // args exceed MaxArgsBytes
	CodeBadPosition    Code = "bad_position"     // a position that cannot be one
	CodeRateLimited    Code = "rate_limited"     // too many messages; temporary
	CodeBusy           Code = "busy"             // MaxCommandsInFlight is reached; temporary
	CodeUnavailable    Code = "unavailable"      // the room cannot be asked at the moment; temporary, ask again with the same key
	CodeMuted          Code = "muted"            // an operator muted the player
	CodeBadText        Code = "bad_text"         // chat text empty, too long, not UTF-8 or with control characters
	CodeGuestsOff      Code = "guests_off"       // guest tokens are not issued here
	CodeTooManyPlayers Code = "too_many_players" // a limit per address or per player
)

// Codes of the fold: what the room decided. They are part of the log's meaning.
const (
	CodeBadArgs                Code = "bad_args"                // args do not parse
	CodeUnknownOp              Code = "unknown_op"              // the game has no such operation
	CodeConflict               Code = "conflict"                // the key was used with another body
	CodeStaleRound             Code = "stale_round"             // the named round is over
	CodeWrongRound             Code = "wrong_round"             // the named round is not one that the command can be for
	CodeWrongPhase             Code = "wrong_phase"             // not possible in this phase
	CodeTooManyCommands        Code = "too_many_commands"       // more keyed commands in one round than are kept
	CodeBadAmount              Code = "bad_amount"              // not a whole multiple of 100 minor units, or not a plain integer
	CodeBelowMinimum           Code = "below_minimum"           // stake below the room's minimum
	CodeAboveMaximum           Code = "above_maximum"           // stake above the room's maximum
	CodeBadTarget              Code = "bad_target"              // auto-cash-out target outside 1.01x and the cap
	CodeBadSlot                Code = "bad_slot"                // slot is not 0 or 1
	CodeSlotTaken              Code = "slot_taken"              // the slot has a bet already
	CodeNoBet                  Code = "no_bet"                  // no such bet of this player that could be meant
	CodeTooEarly               Code = "too_early"               // the multiplier still reads 1.00x
	CodeTooLate                Code = "too_late"                // at or after the crash
	CodeInsufficientFunds      Code = "insufficient_funds"      // the account does not cover the stake
	CodeTemporarilyUnavailable Code = "temporarily_unavailable" // the ledger did not confirm in time; temporary
	CodeBetVoided              Code = "bet_voided"              // the round was voided
	CodeTooFast                Code = "too_fast"                // more taps than a player can make
	CodeBalanceNotZero         Code = "balance_not_zero"        // refills are for players who cannot cover the smallest stake
	CodeRoomExists             Code = "room_exists"             // operator: create of a room that exists
	CodeNoRoom                 Code = "no_room"                 // operator: action on a room that does not exist in the log
	CodeUnknownGame            Code = "unknown_game"            // operator: create of a game that not all room servers know
	CodeBadSettings            Code = "bad_settings"            // operator: settings out of range
	CodeNotRunning             Code = "not_running"             // operator: pause of a paused room, void without a round
	CodeAlreadyRunning         Code = "already_running"         // operator: start of a running room
	CodeWalletRefused          Code = "wallet_refused"          // the operator's wallet does not take part in it
	CodeForbidden              Code = "forbidden"               // operator key missing or wrong
)

// Temporary reports whether the same request may succeed later unchanged.
func (c Code) Temporary() bool {
	switch c {
	case CodeRateLimited, CodeBusy, CodeUnavailable, CodeTemporarilyUnavailable:
		return true
	}
	return false
}

// Error is a refusal with a stable code: what was wrong and what would be right.
type Error struct {
	Code      Code   `json:"code"`
	Message   string `json:"message"`
	Temporary bool   `json:"temporary,omitempty"`
}

// Error implements error.
func (e *Error) Error() string { return string(e.Code) + ": " + e.Message }

// Errorf makes an Error; whether it is temporary follows from its code.
func Errorf(c Code, format string, args ...any) *Error {
	return &Error{Code: c, Message: fmt.Sprintf(format, args...), Temporary: c.Temporary()}
}

// CloseCode is a WebSocket close code of this protocol. The range is advice:
// after 3000–3499 and 4000–4499 a client reconnects, after 3500–3999 and
// 4500–4999 it does not.
type CloseCode int

// Close codes.
const (
	CloseShutdown         CloseCode = 3001 // the gateway stops
	CloseExpired          CloseCode = 3005 // the token expired
	CloseSlow             CloseCode = 3008 // the client reads too slowly
	CloseInsufficient     CloseCode = 3010 // the gateway lost the state behind this session
	CloseNoPong           CloseCode = 3012 // a ping was not answered
	CloseTooManyRequests  CloseCode = 3013 // far over the rate limit
	CloseInvalidToken     CloseCode = 3500 // hello with a bad token
	CloseBadRequest       CloseCode = 3501 // the client broke the protocol
	CloseStale            CloseCode = 3502 // no hello in time
	CloseKicked           CloseCode = 3503 // an operator removed the player
	CloseConnectionLimit  CloseCode = 3504 // too many connections of this player
	ClosePermissionDenied CloseCode = 3507 // not allowed
	CloseOverCapacity     CloseCode = 4100 // this gateway is full
	CloseMove             CloseCode = 4101 // this gateway drains; resume elsewhere
	CloseRoomClosed       CloseCode = 4500 // the room was closed
)

// Reconnect reports what the range of the code advises.
func (c CloseCode) Reconnect() bool {
	return c < 3500 || (c >= 4000 && c < 4500)
}
