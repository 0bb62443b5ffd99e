package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"tickcast/wire"
)

// houseAccount cannot be a player's ID, which has no dots.
const houseAccount = ".house"

// batch is one transaction: what was read, the decisions, and what is to be
// written. It belongs to the goroutine of the transaction.
type batch struct {
	tx      tx
	initial int64
	custody bool // players' money is in a wallet of the operator's
	waits   waits

	accounts map[string]*account
	bets     map[string]*bet // by the ID of the stake; those that the batch names
	outcomes map[string]outcome
	archived map[roundKey]bool
	calls    map[string]*call    // of the wallet, by booking
	verdicts map[string]*verdict // by booking

	out     writes
	scored  map[scoreKey]*delta
	changed applied
}

// account is a player's account.
type account struct {
	id, name string
	balance  int64
	version  int64
	guest    bool  // of a fresh account
	opened   int64 // of a fresh account, Unix ms
	stored   bool  // there is a row
	dirty    bool  // the row is behind
}

// bet is a booked stake.
type bet struct {
	player string
	stake  int64
	round  roundKey
	end    endKind
}

type endKind string

const (
	endOpen   endKind = ""
	endPayout endKind = "payout"
	endCancel endKind = "cancel"
	endLost   endKind = "lost"
)

type roundKey struct {
	uuid  string
	round uint64
}

// outcome is the first outcome of a booking's ID.
type outcome struct {
	digest string // empty for a tombstone
	result wire.BookingResult
}

// writes are rows that wait for flush, in the order of their tables.
type writes struct {
	transfers, entries, bets, ends, bookings, roundScores, audit rows
}

func newBatch(t tx, b *Book, verdicts map[string]*verdict) *batch {
	return &batch{
		tx: t, initial: b.initial, custody: b.custody, waits: b.waits, calls: map[string]*call{}, verdicts: verdicts,
		accounts: map[string]*account{}, bets: map[string]*bet{},
		outcomes: map[string]outcome{}, archived: map[roundKey]bool{},
		scored: map[scoreKey]*delta{},
	}
}

// book decides one booking. Everything but the end of a round is decided in
// memory and written by flush.
func (x *batch) book(ctx context.Context, b *wire.Booking) error {
	if !validID(b.ID) {
		x.answer(wire.BookingResult{ID: b.ID, Code: wire.CodeBadArgs}, "")
		return nil
	}
	digest, err := digestOf(b)
	if err != nil {
		x.answer(wire.BookingResult{ID: b.ID, Code: wire.CodeBadArgs}, "")
		return nil // raw JSON that is none; it cannot come from the queue
	}
	if x.custody && movesMoney(b.Kind) {
		x.bookAtWallet(b, digest)
		return nil
	}
	if known, ok := x.outcomes[b.ID]; ok {
		tombstone := known.digest == "" && b.Kind == wire.BookStake
		if known.digest == digest || tombstone {
			x.answer(known.result, "repeated")
		} else {
			x.answer(wire.BookingResult{ID: b.ID, Code: wire.CodeConflict, Player: known.result.Player}, "")
		}
		return nil
	}
	code := invalid(b)
	malformed := code != ""
	if !malformed {
		if code, err = x.decide(ctx, b); err != nil {
			return err
		}
	}
	r := x.result(b, code)
	x.remember(b, digest, r, malformed)
	x.answer(r, "")
	return nil
}

// decide applies the rule of the booking's kind. It returns the code of a
// refusal, or nothing when the booking is booked.
func (x *batch) decide(ctx context.Context, b *wire.Booking) (wire.Code, error) {
	switch b.Kind {
	case wire.BookStake:
		return x.stake(b), nil
	case wire.BookPayout:
		return x.payout(b), nil
	case wire.BookCancel:
		return x.cancel(b), nil
	case wire.BookCredit:
		return x.credit(b), nil
	case wire.BookRefill:
		return x.refill(b), nil
	case wire.BookRound:
		return x.archiveRound(ctx, b)
	case wire.BookScores:
		return x.archiveScores(b), nil
	case wire.BookAudit:
		return x.archiveAudit(b)
	}
	panic(fmt.Sprintf("ledger: kind %q passed validation", b.Kind))
}

func (x *batch) result(b *wire.Booking, code wire.Code) wire.BookingResult {
	r := wire.BookingResult{ID: b.ID, Booked: code == "", Code: code}
	if !wire.ValidPlayer(b.Player) {
		return r
	}
	r.Player = b.Player
	if a := x.accounts[b.Player]; a != nil {
		r.Balance, r.Version = a.balance, a.version
	}
	return r
}

// remember keeps the outcome for ever.
func (x *batch) remember(b *wire.Booking, digest string, r wire.BookingResult, malformed bool) {
	kind := string(b.Kind)
	if malformed && !knownKind(b.Kind) {
		kind = "unknown"
	}
	x.outcomes[b.ID] = outcome{digest, r}
	x.out.bookings.add(b.ID, kind, digest, flag(r.Booked), string(r.Code), r.Player, r.Balance, r.Version, b.At)
}

func (x *batch) answer(r wire.BookingResult, label string) {
	if label == "" {
		label = "booked"
		if !r.Booked {
			label = string(r.Code)
		}
	}
	x.changed.results = append(x.changed.results, r)
	x.changed.outcomes = append(x.changed.outcomes, label)
}

// done is what the transaction changed, once it is committed. The balances of those
// whose bookings changed nothing are told as well: of a repeated booking it is not
// known whether whoever booked it first lived long enough to copy the balance.
func (x *batch) done() applied {
	for _, a := range x.accounts {
		x.changed.balances = append(x.changed.balances, Balance{a.id, a.balance, a.version})
	}
	return x.changed
}

// flush writes everything that was decided so far.
func (x *batch) flush(ctx context.Context) error {
	if err := x.flushAccounts(ctx); err != nil {
		return err
	}
	if err := x.flushCalls(ctx); err != nil {
		return err
	}
	w := &x.out
	for _, t := range []struct {
		rows *rows
		head string
	}{
		{&w.transfers, `INSERT INTO transfers (id, kind, player, amount, room, stake, operator, reason, at)`},
		{&w.entries, `INSERT INTO entries (transfer, account, amount)`},
		{&w.bets, `INSERT INTO bets (id, player, room, room_uuid, game, round, slot, stake, auto, at)`},
		{&w.ends, `INSERT INTO ends (bet, kind, booking, transfer, amount, centi, at)`},
		{&w.bookings, `INSERT INTO bookings (id, kind, digest, booked, code, player, balance, version, at)`},
		{&w.roundScores, `INSERT INTO round_scores (booking, player, room_uuid, round, name, points)`},
		{&w.audit, `INSERT INTO audit (booking, room, operator, op, action, outcome, at)`},
	} {
		if err := x.tx.insert(ctx, t.rows, t.head, ""); err != nil {
			return err
		}
	}
	return nil
}

// flushAccounts inserts fresh accounts without "on conflict": when two workers
// open the same one, the second must start over and see it.
func (x *batch) flushAccounts(ctx context.Context) error {
	const head = `INSERT INTO accounts (id, kind, guest, name, balance, version, opened)`
	var fresh, known rows
	for _, id := range x.dirtyAccounts() {
		a := x.accounts[id]
		r := &known
		if !a.stored {
			r, a.stored = &fresh, true
		}
		r.add(a.id, "player", flag(a.guest), a.name, a.balance, a.version, a.opened)
	}
	if err := x.tx.insert(ctx, &fresh, head, ""); err != nil {
		return err
	}
	return x.tx.insert(ctx, &known, head, `ON CONFLICT (id) DO UPDATE
		SET name = excluded.name, balance = excluded.balance, version = excluded.version`)
}

// dirtyAccounts are sorted, so that the same changes are the same statements.
func (x *batch) dirtyAccounts() []string {
	var ids []string
	for id, a := range x.accounts {
		if a.dirty {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// digestOf tells whether two bookings of the same ID say the same. 128 bits are
// enough: nobody who could forge a booking needs a collision.
func digestOf(b *wire.Booking) (string, error) {
	text, err := json.Marshal(b)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return base64.RawURLEncoding.EncodeToString(sum[:16]), nil
}

func knownKind(k wire.BookingKind) bool {
	switch k {
	case wire.BookStake, wire.BookPayout, wire.BookCancel, wire.BookCredit, wire.BookRefill,
		wire.BookRound, wire.BookScores, wire.BookAudit:
		return true
	}
	return false
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// cutText keeps at most n bytes of a text for people.
func cutText(s string, n int) string {
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "?")
	if len(s) > n {
		s = strings.ToValidUTF8(s[:n], "")
	}
	return s
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
