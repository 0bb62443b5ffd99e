package linear

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// Opening is what every account has before the first operation. Version 0 means that
// it is not known.
type Opening struct{ Balance, Version int64 }

// Report is what Check found.
type Report struct {
	Accounts   int
	Operations int       // those that had an effect, or may have had one
	Wrong      []Finding // accounts that no order explains
	Undecided  []string  // accounts whose search took longer than the limit
}

// Finding is an account that no order of its operations explains.
type Finding struct {
	Account    string
	Operations int
	Explained  int       // the most that one order explains
	First      Operation // the earliest that this order has no place for
}

// OK reports that every account is explained.
func (r *Report) OK() bool { return len(r.Wrong)+len(r.Undecided) == 0 }

// String is the report for people, in one line and one for each finding.
func (r *Report) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%d operations on %d accounts: %d accounts are wrong, %d undecided", r.Operations, r.Accounts, len(r.Wrong), len(r.Undecided))
	for _, f := range r.Wrong {
		fmt.Fprintf(&s, "\n%s: no order explains more than %d of %d operations; first without a place: %+v", f.Account, f.Explained, f.Operations, f.First)
	}
	return s.String()
}

// Check looks for an order of the operations of each account, at most limit long per
// account. An error means that the history is malformed.
func Check(history []Operation, opening Opening, limit time.Duration) (*Report, error) {
	accounts := map[string][]porcupine.Operation{}
	report := &Report{}
	for i := range history {
		o := history[i]
		if err := o.validate(); err != nil {
			return nil, fmt.Errorf("operation %d of the history: %w", i+1, err)
		}
		if o.Outcome == Refused {
			continue
		}
		report.Operations++
		accounts[o.Account] = append(accounts[o.Account], porcupine.Operation{Input: o, Call: o.Invoke, Return: o.end()})
	}
	report.Accounts = len(accounts)
	model := modelFrom(opening)
	for _, account := range slices.Sorted(maps.Keys(accounts)) {
		ops := accounts[account]
		switch verdict, info := porcupine.CheckOperationsVerbose(model, ops, limit); verdict {
		case porcupine.Unknown:
			report.Undecided = append(report.Undecided, account)
		case porcupine.Illegal:
			report.Wrong = append(report.Wrong, explain(account, ops, info))
		}
	}
	return report, nil
}

// explain finds what the longest order that was found leaves out.
func explain(account string, ops []porcupine.Operation, info porcupine.LinearizationInfo) Finding {
	var longest []int
	for _, partition := range info.PartialLinearizations() {
		for _, order := range partition {
			if len(order) > len(longest) {
				longest = order
			}
		}
	}
	f := Finding{Account: account, Operations: len(ops), Explained: len(longest)}
	first := int64(-1)
	for i, op := range ops {
		if !slices.Contains(longest, i) && (first < 0 || op.Return < first) {
			f.First, first = op.Input.(Operation), op.Return
		}
	}
	return f
}

// account is the state of an account. Version 0 is one that is not known.
type account struct{ balance, version int64 }

// modelFrom is one account as the ledger keeps it.
func modelFrom(opening Opening) porcupine.Model {
	model := porcupine.NondeterministicModel{
		Init: func() []any { return []any{account{opening.Balance, opening.Version}} },
		Step: func(state, input, _ any) []any {
			var next []any
			o := input.(Operation)
			for _, a := range state.(account).after(o) {
				if o.Version != 0 {
					if a.balance != o.Balance || a.version != 0 && a.version != o.Version {
						continue
					}
					a.version = o.Version
				}
				next = append(next, a)
			}
			return next
		},
		Equal: func(a, b any) bool { return a == b },
	}
	return model.ToModel()
}

// after are the states that an operation may leave.
func (a account) after(o Operation) []account {
	switch {
	case o.Kind == Read:
		return []account{a}
	case o.Kind != Stake:
		return []account{a.changed(o.Amount)}
	case o.Outcome == Short && a.balance < o.Amount:
		return []account{a}
	case o.Outcome == Done && a.balance >= o.Amount:
		return []account{a.changed(-o.Amount)}
	case o.Outcome == Unknown && a.balance >= o.Amount:
		return []account{a.changed(-o.Amount), a}
	case o.Outcome == Unknown:
		return []account{a}
	}
	return nil
}

func (a account) changed(amount int64) account {
	a.balance += amount
	if a.version != 0 {
		a.version++
	}
	return a
}
