package linear

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
)

// Kind is what an operation does to an account.
type Kind string

// The kinds of operations.
const (
	Stake  Kind = "stake"  // takes Amount, if the account has it
	Payout Kind = "payout" // adds Amount
	Refund Kind = "refund" // adds Amount: a cancelled or voided stake, a refill
	Read   Kind = "read"   // shows the balance
)

// Outcome is how an operation ended, as far as its client knows.
type Outcome string

// The outcomes. Of operations other than stakes only Done is possible.
const (
	Done    Outcome = "done"
	Short   Outcome = "short"   // nothing happened: the account did not have Amount
	Refused Outcome = "refused" // nothing happened, for any other reason
	Unknown Outcome = "unknown" // the answer never came
)

// Operation is one operation on an account as its client saw it. Invoke and Return are
// in nanoseconds of one clock, or of clocks that differ by less than operations take.
type Operation struct {
	Account string  `json:"account"`
	Kind    Kind    `json:"kind"`
	Amount  int64   `json:"amount,omitempty"` // minor units, > 0; 0 for Read
	Invoke  int64   `json:"invoke"`           // it took effect at or after
	Return  int64   `json:"return,omitempty"` // and at or before; 0 for any time later
	Outcome Outcome `json:"outcome"`
	Version int64   `json:"version,omitempty"` // of Balance: how often the account has changed; 0 when no balance was told
	Balance int64   `json:"balance,omitempty"` // of the account after the operation
}

// end is when the operation has taken effect.
func (o *Operation) end() int64 {
	if o.Return == 0 || o.Outcome == Unknown {
		return math.MaxInt64
	}
	return o.Return
}

func (o *Operation) validate() error {
	switch o.Kind {
	case Payout, Refund:
		if o.Outcome != Done {
			return fmt.Errorf("a %s of %s is %q", o.Kind, o.Account, o.Outcome)
		}
	case Read:
		if o.Outcome != Done || o.Version == 0 || o.Amount != 0 {
			return fmt.Errorf("a read of %s shows no balance, or has another outcome", o.Account)
		}
	case Stake:
		if o.Outcome != Done && o.Outcome != Short && o.Outcome != Refused && o.Outcome != Unknown {
			return fmt.Errorf("a stake of %s is %q", o.Account, o.Outcome)
		}
	default:
		return fmt.Errorf("there is no operation %q", o.Kind)
	}
	if o.Kind != Read && o.Amount <= 0 {
		return fmt.Errorf("a %s of %s has the amount %d", o.Kind, o.Account, o.Amount)
	}
	if o.end() < o.Invoke {
		return fmt.Errorf("a %s of %s ends before it begins", o.Kind, o.Account)
	}
	return nil
}

// Load reads a history: one JSON object a line. It checks them as Check does.
func Load(r io.Reader) ([]Operation, error) {
	var history []Operation
	for in := json.NewDecoder(bufio.NewReader(r)); ; {
		var o Operation
		err := in.Decode(&o)
		if errors.Is(err, io.EOF) {
			return history, nil
		}
		if err == nil {
			err = o.validate()
		}
		if err != nil {
			return nil, fmt.Errorf("operation %d of the history: %w", len(history)+1, err)
		}
		history = append(history, o)
	}
}
