package app_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"tickcast/internal/testsvc"
	"tickcast/ledger"
)

// exportLog is the log of a box that was stopped, in a file.
func (d *deployment) exportLog(name string) string {
	d.t.Helper()
	path := filepath.Join(d.t.TempDir(), name+".jsonl")
	runCommand(d.t, nil, "audit", "export", path, "--data", filepath.Dir(d.database))
	return path
}

// wantMended audits a box of which one payout was lost by the log and noted: as it is, by the
// log alone, with the log of before, and with ledgers that were altered in the shadow of it.
func (d *deployment) wantMended(t *testing.T, round uint64, unmended string) {
	t.Helper()
	export := d.exportLog("mended")
	for _, args := range [][]string{{"--data", filepath.Dir(d.database)}, {"--export", export}} {
		out, err := tryCommand(t, nil, append([]string{"audit"}, args...)...)
		if err != nil || !strings.Contains(out, "no difference") || !strings.Contains(out, ", 1 of mends (first: ") {
			t.Errorf("the audit of what was mended, %v: %v\n%s", args, err, out)
		}
		if mark := fmt.Sprintf("void %d  voided  1 mended  ", round); strings.Contains(out, mark) != (args[0] == "--data") || strings.Count(out, "  1 mended  ") > 1 {
			t.Errorf("rounds that are marked, %v, want %q in\n%s", args, mark, out)
		}
	}
	const note = `FROM bookings WHERE id LIKE 'reconcile/%'`
	const paid = `(SELECT 'payout/' || substr(id, 17) ` + note + `)`
	const other = `(SELECT MAX(bet) FROM ends WHERE kind = 'payout' AND transfer <> ` + paid + `)`
	const noteOfOther = `INSERT INTO bookings SELECT 'reconcile/' || ` + other + `, kind, digest, booked, code, player, balance, version, at ` + note
	for _, c := range []struct{ name, alter, want string }{
		{"without its note", `DELETE ` + note, "end of the bet"},
		{"a larger payout", enlarged(paid), "what is kept by"},
		{"half a payout", `UPDATE entries SET amount = amount + 100 WHERE transfer = ` + paid + ` AND account <> '.house'`, "entries.amount of the end"},
		{"a credit in place of the note", `UPDATE bookings SET kind = 'credit' WHERE id LIKE 'reconcile/%'`, "mend of the bet"},
		{"a note of a bet that needs none", noteOfOther, "nothing to mend"},
		{"a larger payout with a note of its own", enlarged(`'payout/' || substr(`+other+`, 7)`) + `;` + noteOfOther, "one whose result is in the log"},
		{"a note of nothing", `INSERT INTO bookings SELECT id || 'x', kind, digest, booked, code, player, balance, version, at ` + note, "nothing to mend"},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantDifference(t, c.want, "--export", export, "--sql", alteredBook(t, d.database, c.alter))
		})
	}
	wantDifference(t, "what is kept by", "--export", export, "--sql", onPostgres(t, alteredBook(t, d.database, enlarged(paid))))
	if out, err := tryCommand(t, nil, "audit", "--export", export, "--sql", onPostgres(t, d.database)); err != nil || !strings.Contains(out, "  1 mended  ") {
		t.Errorf("the same ledger on PostgreSQL: %v\n%s", err, out)
	}
	t.Run("a note that the log does not know", func(t *testing.T) {
		wantDifference(t, "refused with no_bet", "--export", unmended, "--sql", d.database)
	})
}

// enlarged gives a player, with all that belongs to it, a hundred more for a bet.
func enlarged(payout string) string {
	return `UPDATE entries SET amount = amount + CASE account WHEN '.house' THEN -100 ELSE 100 END WHERE transfer = ` + payout + `;
		UPDATE transfers SET amount = amount + 100 WHERE id = ` + payout + `;
		UPDATE ends SET amount = amount + 100 WHERE transfer = ` + payout + `;
		UPDATE accounts SET balance = balance + 100 WHERE id = 'ann'`
}

// onPostgres copies a ledger, which nobody has open, to PostgreSQL.
func onPostgres(t *testing.T, book string) (address string) {
	t.Helper()
	address = testsvc.Postgres(t)
	made, err := ledger.Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	if err := made.Close(); err != nil {
		t.Fatal(err)
	}
	from, err := sql.Open("sqlite", "file:"+book+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = from.Close() }()
	to, err := sql.Open("pgx", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = to.Close() }()
	for _, table := range []string{"accounts", "transfers", "entries", "bets", "ends", "bookings", "rounds"} {
		copyRows(t, from, to, table)
	}
	return address
}

func copyRows(t *testing.T, from, to *sql.DB, table string) {
	t.Helper()
	rows, err := from.Query(`SELECT * FROM ` + table)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	row, into, marks := make([]any, len(columns)), make([]any, len(columns)), make([]string, len(columns))
	for i := range columns {
		into[i], marks[i] = &row[i], fmt.Sprintf("$%d", i+1)
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		if _, err := to.Exec(`INSERT INTO `+table+` VALUES (`+strings.Join(marks, ", ")+`) ON CONFLICT DO NOTHING`, row...); err != nil {
			t.Fatalf("%s: %v", table, err)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}
