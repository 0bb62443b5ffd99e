package ledger

import (
	"encoding/json"
	"math"
	"strings"
	"unicode/utf8"

	"tickcast/wire"
)

const (
	// Limits on texts in bytes. They keep index rows far below what PostgreSQL
	// can index, and the archive free of what no client could have sent.
	maxIDBytes     = 256
	maxTextBytes   = 128
	maxReasonBytes = 1024
	// grantPrefix begins the IDs of transfers that open accounts. No booking may
	// have such an ID.
	grantPrefix = "grant/"
)

// validID reports whether an outcome can be stored under the ID.
func validID(id string) bool {
	return id != "" && text(id, maxIDBytes) && !strings.HasPrefix(id, grantPrefix)
}

// invalid is why a booking cannot be booked whatever the book says, or empty. What
// passes can be stored.
func invalid(b *wire.Booking) wire.Code {
	if !validID(b.ID) || !text(b.Room, maxTextBytes) || !text(b.Name, maxTextBytes) || !text(b.Operator, maxTextBytes) ||
		!text(b.Reason, maxReasonBytes) || b.Player != "" && !wire.ValidPlayer(b.Player) {
		return wire.CodeBadArgs
	}
	switch b.Kind {
	case wire.BookStake:
		return first(checkPlayer(b), checkBet(b.Bet), checkAmount(b.Amount))
	case wire.BookPayout:
		return first(checkPlayer(b), checkStake(b.Stake), checkAmount(b.Amount))
	case wire.BookCancel:
		return first(checkPlayer(b), checkStake(b.Stake))
	case wire.BookCredit:
		return first(checkPlayer(b), checkAmount(b.Amount))
	case wire.BookRefill:
		if b.Amount == 0 {
			return checkPlayer(b) // DefaultInitialCredit
		}
		return first(checkPlayer(b), checkAmount(b.Amount))
	case wire.BookRound:
		return checkRound(b.Round, true)
	case wire.BookScores:
		return first(checkRound(b.Round, false), checkScores(b.Scores))
	case wire.BookAudit:
		return checkAudit(b.Audit)
	}
	return wire.CodeBadArgs
}

func first(codes ...wire.Code) wire.Code {
	for _, c := range codes {
		if c != "" {
			return c
		}
	}
	return ""
}

func checkPlayer(b *wire.Booking) wire.Code {
	if b.Player == "" {
		return wire.CodeBadArgs
	}
	return ""
}

func checkAmount(n int64) wire.Code {
	if n <= 0 || n > MaxAmount {
		return wire.CodeBadAmount
	}
	return ""
}

func checkStake(id string) wire.Code {
	if !validID(id) {
		return wire.CodeBadArgs
	}
	return ""
}

func checkBet(r *wire.BetRecord) wire.Code {
	if r == nil || r.RoomUUID == "" || !text(r.RoomUUID, maxTextBytes) || !text(r.Game, maxTextBytes) || r.Round > math.MaxInt64 {
		return wire.CodeBadArgs
	}
	return ""
}

func checkRound(r *wire.RoundRecord, archive bool) wire.Code {
	if r == nil || r.RoomUUID == "" || !text(r.RoomUUID, maxTextBytes) || r.Round > math.MaxInt64 ||
		r.Game == "" || !text(r.Game, maxTextBytes) {
		return wire.CodeBadArgs
	}
	if archive && len(r.Outcome) > 0 && !storable(r.Outcome) {
		return wire.CodeBadArgs
	}
	return ""
}

func checkScores(list []wire.Score) wire.Code {
	if len(list) > wire.MaxScores {
		return wire.CodeBadArgs
	}
	for _, s := range list {
		if !wire.ValidPlayer(s.Player) || !text(s.Name, maxTextBytes) || s.Points > MaxAmount || s.Points < -MaxAmount {
			return wire.CodeBadArgs
		}
	}
	return ""
}

func checkAudit(a *wire.Action) wire.Code {
	if a == nil || !text(a.Operator, maxTextBytes) || !text(a.Op, maxTextBytes) || len(a.Args) > 0 && !storable(a.Args) {
		return wire.CodeBadArgs
	}
	return ""
}

// storable reports whether raw JSON can be written to a text column.
func storable(raw json.RawMessage) bool { return utf8.Valid(raw) && json.Valid(raw) }

// text reports whether s can be stored: PostgreSQL has no NUL in texts.
func text(s string, limit int) bool {
	return len(s) <= limit && utf8.ValidString(s) && !strings.ContainsRune(s, 0)
}
