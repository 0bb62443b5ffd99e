package audit

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"time"

	"tickcast/archive"
	"tickcast/audit/judge"
	"tickcast/wire"
)

// Config configures an audit.
type Config struct {
	Source  Source   // required
	Book    *Book    // nil: the log alone
	Rooms   []string // IDs; empty means all, which the rest of the book wants
	Key     ed25519.PrivateKey
	Against Against               // earlier statements to compare with; nil means none
	State   func(Statement) error // called for each settled round; required
	// Wallet: players' money is in an operator's wallet, so balances are not followed. A
	// Book tells by itself.
	Wallet bool
	// Every is how often Follow looks for records; 0 means 250 ms. BookEvery is how often
	// it checks the whole book besides; 0 means never.
	Every, BookEvery time.Duration
	// Warn tells Follow's failures, which it gets over; nil means nobody hears.
	Warn func(error)
}

// Report is what an audit found.
type Report struct {
	OK         bool              `json:"ok"`
	Rounds     int               `json:"rounds"` // settled ones, each with its statement
	Bets       int               `json:"bets"`   // of these rounds
	Unsettled  int               `json:"unsettled"`
	Players    int               `json:"players"`
	Booked     bool              `json:"booked"` // compared with the ledger
	Partitions []PartitionReport `json:"partitions"`
	Difference *judge.Difference `json:"difference,omitempty"`
}

// PartitionReport is what was read of a partition.
type PartitionReport struct {
	Partition   int           `json:"partition"`
	Last        uint64        `json:"last"` // newest record that was read
	Head        string        `json:"head"` // of the log up to there, hex
	Outstanding int           `json:"outstanding"`
	Notes       judge.Notes   `json:"notes"`
	Versions    wire.Versions `json:"versions"` // in force there
}

// auditor is an audit under way.
type auditor struct {
	Config
	accounts *judge.Accounts
	logs     []*judge.Log
	settled  []*judge.Round // and not compared yet
	book     comparison
	report   Report
}

// settleEvery is after how many settled rounds they are compared, whose bets are in
// memory until then.
const settleEvery = 64

func newAuditor(ctx context.Context, c Config) (*auditor, error) {
	a := &auditor{Config: c}
	if !c.Wallet && (c.Book == nil || !c.Book.custody) {
		a.accounts = judge.NewAccounts(wire.GrantAmount)
	}
	a.book.known, a.book.mends.due = map[string]uint64{}, map[string]int64{}
	a.report.Booked = c.Book != nil
	n, err := c.Source.Partitions(ctx)
	if err != nil {
		return nil, err
	}
	var rooms map[string]bool
	if len(c.Rooms) > 0 {
		rooms = map[string]bool{}
		for _, id := range c.Rooms {
			rooms[id] = true
		}
	}
	for p := range n {
		a.logs = append(a.logs, judge.New(judge.Config{
			Partition: p, Rooms: rooms, Accounts: a.accounts,
			Settled: func(rd *judge.Round) error { a.settled = append(a.settled, rd); return nil },
		}))
	}
	return a, nil
}

// Run audits a deployment as it is. The report tells the first difference; an error means
// that the audit could not be done.
func Run(ctx context.Context, c Config) (Report, error) {
	a, err := newAuditor(ctx, c)
	if err != nil {
		return Report{}, err
	}
	return a.done(a.run(ctx))
}

// done makes a report of how an audit ended.
func (a *auditor) done(err error) (Report, error) {
	if d, ok := errors.AsType[*judge.Difference](err); ok {
		a.report.Difference, err = d, nil
	} else if err != nil {
		return Report{}, err
	}
	a.report.OK = a.report.Difference == nil
	players := map[string]bool{}
	for _, l := range a.logs {
		for _, player := range l.Players() {
			players[player] = true
		}
	}
	a.report.Players = len(players)
	for p, l := range a.logs {
		head := l.Head()
		a.report.Partitions = append(a.report.Partitions, PartitionReport{
			Partition: p, Last: l.Judged(), Head: hex.EncodeToString(head[:]), Outstanding: l.Outstanding(), Notes: l.Notes(), Versions: l.Versions(),
		})
		a.report.Unsettled += len(l.Unsettled())
	}
	return a.report, nil
}

func (a *auditor) run(ctx context.Context) error {
	must, err := a.lasts(ctx)
	if err != nil {
		return err
	}
	if err := a.openPage(ctx, must); err != nil {
		return err
	}
	defer a.closePage()
	to, err := a.lasts(ctx)
	if err != nil {
		return err
	}
	for p, l := range a.logs {
		if err := a.read(ctx, p, to[p]); err != nil {
			return err
		}
		left := l.Close()
		if err := a.settle(ctx); err != nil {
			return err
		}
		if left != nil {
			return left
		}
	}
	if err := a.Against.missing(); err != nil {
		return err
	}
	if a.Book == nil {
		return a.logAlone()
	}
	for _, l := range a.logs {
		for _, rd := range l.Unsettled() {
			if err := a.book.round(ctx, rd); err != nil {
				return err
			}
		}
	}
	if len(a.Rooms) == 0 {
		if err := a.book.rest(ctx, a.logs, a.accounts); err != nil {
			return err
		}
	}
	if err := a.book.untold(a.logs); err != nil {
		return err
	}
	return a.book.invariants(ctx, a.Book.custody)
}

// logAlone checks what the logs tell of balances, once nothing is on its way.
func (a *auditor) logAlone() error {
	for _, l := range a.logs {
		if a.accounts == nil || l.Outstanding() > 0 || len(l.Abandoned()) > 0 || len(a.Rooms) > 0 {
			return nil
		}
	}
	if d := a.accounts.Gap(); d != nil {
		return d
	}
	return nil
}

func (a *auditor) lasts(ctx context.Context) ([]uint64, error) {
	last := make([]uint64, len(a.logs))
	for p := range a.logs {
		var err error
		if last[p], err = a.Source.Last(ctx, p); err != nil {
			return nil, err
		}
	}
	return last, nil
}

func (a *auditor) openPage(ctx context.Context, must []uint64) error {
	if a.Book == nil {
		return nil
	}
	var err error
	a.book.must = must
	a.book.page, err = a.Book.open(ctx)
	return err
}

func (a *auditor) closePage() {
	if a.book.page != nil {
		a.book.page.close()
		a.book.page = nil
	}
}

// read judges a partition up to a record.
func (a *auditor) read(ctx context.Context, p int, to uint64) error {
	l := a.logs[p]
	return a.Source.Read(ctx, p, l.Read()+1, to, func(r archive.Record) error {
		if err := l.Feed(judged(&r)); err != nil {
			return err
		}
		if len(a.settled) < settleEvery {
			return nil
		}
		return a.settle(ctx)
	})
}

// settle compares the rounds that were settled with the book and states them.
func (a *auditor) settle(ctx context.Context) error {
	for len(a.settled) > 0 {
		rd := a.settled[0]
		if a.book.page != nil {
			if err := a.book.round(ctx, rd); err != nil {
				return err
			}
		}
		s := stateOf(rd, a.Book != nil, a.book.mends.round, a.Key)
		if err := a.Against.compare(rd, &s); err != nil {
			return err
		}
		if err := a.State(s); err != nil {
			return err
		}
		a.report.Rounds++
		a.report.Bets += len(rd.Bets)
		a.settled = a.settled[1:]
	}
	return nil
}
