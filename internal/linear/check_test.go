package linear

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

const limit = 20 * time.Second

// check checks a history of one account that opens with 100 and version 1.
func check(t *testing.T, history ...Operation) *Report {
	t.Helper()
	for i := range history {
		history[i].Account = "ann"
	}
	r, err := Check(history, Opening{Balance: 100, Version: 1}, limit)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func stake(amount, invoke, end, balance, version int64) Operation {
	return Operation{Kind: Stake, Amount: amount, Invoke: invoke, Return: end, Outcome: Done, Balance: balance, Version: version}
}

func TestHistories(t *testing.T) {
	short := Operation{Kind: Stake, Amount: 60, Invoke: 5, Return: 9, Outcome: Short}
	unknown := Operation{Kind: Stake, Amount: 60, Invoke: 5, Outcome: Unknown}
	payout := Operation{Kind: Payout, Amount: 90, Invoke: 6, Outcome: Done}
	read := func(invoke, end, balance, version int64) Operation {
		return Operation{Kind: Read, Invoke: invoke, Return: end, Outcome: Done, Balance: balance, Version: version}
	}
	for _, c := range []struct {
		why     string
		want    bool
		history []Operation
	}{
		{"nothing", true, nil},
		{"one stake", true, []Operation{stake(60, 1, 3, 40, 2)}},
		{"more than there is", false, []Operation{stake(160, 1, 3, -60, 2)}},
		{"the whole balance twice at once", false, []Operation{stake(100, 1, 3, 0, 2), stake(100, 1, 3, 0, 3)}},
		{"one of two is short", true, []Operation{stake(60, 1, 6, 40, 2), short}},
		{"short with enough", false, []Operation{short}},
		{"booked twice", false, []Operation{stake(60, 1, 3, 40, 2), read(7, 8, -20, 3)}},
		{"booked and not shown later", false, []Operation{stake(60, 1, 3, 40, 2), read(7, 8, 100, 1)}},
		{"shown while it is booked", true, []Operation{stake(60, 1, 9, 40, 2), read(7, 8, 100, 1)}},
		{"a change that nobody made", false, []Operation{stake(60, 1, 3, 40, 3)}},
		{"an unknown stake that was booked", true, []Operation{unknown, read(7, 8, 40, 2)}},
		{"an unknown stake that was not", true, []Operation{unknown, read(7, 8, 100, 1)}},
		{"an unknown stake half booked", false, []Operation{unknown, read(7, 8, 70, 2)}},
		{"refused for another reason", true, []Operation{{Kind: Stake, Amount: 10, Invoke: 1, Return: 2, Outcome: Refused}, read(7, 8, 100, 1)}},
		{"paid later", true, []Operation{stake(60, 1, 3, 40, 2), payout, read(7, 8, 40, 2), read(9, 10, 130, 3)}},
		{"paid twice", false, []Operation{stake(60, 1, 3, 40, 2), payout, read(9, 10, 220, 4)}},
		{"paid before it was won", false, []Operation{stake(60, 1, 3, 40, 2), payout, read(4, 5, 130, 3)}},
		{"the balance goes back", false, []Operation{stake(60, 1, 3, 40, 2), payout, read(7, 8, 130, 3), read(9, 10, 40, 2)}},
	} {
		if r := check(t, c.history...); r.OK() != c.want {
			t.Errorf("%s: %v, want %v\n%s", c.why, r.OK(), c.want, r)
		}
	}
}

// TestLongHistories makes histories by an account, with overlapping operations and lost
// answers, then falsifies one balance.
func TestLongHistories(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 0))
		var history []Operation
		for p := range 5 {
			a := account{balance: 100, version: 1}
			for i := range int64(200) {
				at := 100 * (i + 1)
				o := Operation{Account: fmt.Sprint("player-", p), Amount: 1 + r.Int64N(60), Invoke: at - r.Int64N(250), Return: at + r.Int64N(250), Outcome: Done}
				switch r.IntN(3) {
				case 0:
					o.Kind = Payout
					a = a.changed(o.Amount)
				case 1:
					o.Kind, o.Amount = Read, 0
				default:
					if o.Kind = Stake; a.balance < o.Amount {
						o.Outcome = Short
						history = append(history, o)
						continue
					}
					a = a.changed(-o.Amount)
				}
				if o.Kind == Stake && r.IntN(20) == 0 {
					o.Outcome = Unknown
				} else if o.Kind != Payout {
					o.Balance, o.Version = a.balance, a.version
				}
				history = append(history, o)
			}
		}
		report, err := Check(history, Opening{100, 1}, limit)
		if err != nil || !report.OK() || report.Accounts != 5 || report.Operations != len(history) {
			t.Fatalf("seed %d: %v\n%s", seed, err, report)
		}
		i := r.IntN(len(history))
		for history[i].Version == 0 {
			i = (i + 1) % len(history)
		}
		history[i].Balance++
		report, err = Check(history, Opening{100, 1}, limit)
		if err != nil || len(report.Wrong) != 1 || report.Wrong[0].Account != history[i].Account {
			t.Fatalf("seed %d: the balance of operation %d is false: %v\n%s", seed, i, err, report)
		}
	}
}

func TestLoad(t *testing.T) {
	var lines strings.Builder
	want := []Operation{stake(60, 1, 3, 40, 2), {Kind: Payout, Amount: 5, Invoke: 3, Outcome: Done}}
	for _, o := range want {
		b, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&lines, string(b))
	}
	got, err := Load(strings.NewReader(lines.String()))
	if err != nil || len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Fatalf("%+v, %v", got, err)
	}
	for _, bad := range []string{
		`{`, `{"kind":"steal","outcome":"done"}`, `{"kind":"stake","amount":0,"outcome":"done"}`, `{"kind":"payout","amount":1,"outcome":"unknown"}`,
		`{"kind":"read","outcome":"done"}`, `{"kind":"stake","amount":1,"outcome":"perhaps"}`, `{"kind":"stake","amount":1,"outcome":"done","invoke":5,"return":4}`,
	} {
		if _, err := Load(strings.NewReader(bad)); err == nil {
			t.Errorf("%s: no error", bad)
		}
	}
}
