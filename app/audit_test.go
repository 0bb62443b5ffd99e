package app_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	_ "modernc.org/sqlite" // to alter the ledger

	"tickcast/archive"
	"tickcast/bus"
	"tickcast/internal/testkit"
	"tickcast/wire"
)

// played is a log and a ledger of real play.
type played struct {
	t                 *testing.T
	dir, export, book string
}

// play lets bots play both games in a server, which then rests and stops, and bet until
// some have won and some have lost.
func play(t *testing.T) *played {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	p := &played{t: t, dir: dir, export: filepath.Join(t.TempDir(), "log.jsonl"), book: filepath.Join(dir, "ledger.db")}
	s := newServer(t, nil, "serve", "--data", dir)
	s.startReady()
	rooms := p.operator(s, "rooms")
	testkit.Eventually(t, "both rooms run", deadline, func() bool { return strings.Count(rooms("list"), "running") == 2 })
	rooms("create", "dash", "--game", "race", "--set", "gathering_ms=500", "--set", "running_ms=2000", "--set", "finished_ms=500")
	rooms("create", "quick", "--paused", "--set", "betting_ms=1000", "--set", "lock_ms=500", "--set", "crashed_ms=500", "--set", "cap=200", "--set", "rtp_bp=8000")
	p.operator(s, "players")("credit", "ann", "5", "--reason", "a gift")
	racing := startSwarm(t, s, "--room", "dash", "--game", "race", "--duration", "10s")
	p.bet(s)
	racing.wantPassed()
	p.await(s, "dash", 2)
	rooms("close", "dash")
	testkit.Eventually(t, "a room is closed", deadline, func() bool { return strings.Contains(rooms("list"), "closed") })
	if out, err := tryCommand(t, nil, "audit", "--data", dir); err == nil || !strings.Contains(out, "in use by process") {
		t.Fatalf("the log of a server that runs: %v\n%s", err, out)
	}
	p.stop(s)
	for tries := 0; !p.ended("payout") || !p.ended("lost"); tries++ {
		if tries == 5 {
			t.Fatal("all bets end alike")
		}
		s.startReady()
		p.bet(s)
		p.stop(s)
	}
	runCommand(t, nil, "audit", "export", p.export, "--data", dir)
	return p
}

// operator gives orders to a server.
func (p *played) operator(s *server, what string) func(args ...string) string {
	return func(args ...string) string {
		return runCommand(p.t, nil, append([]string{what, "--data", p.dir, "--api", s.internal}, args...)...)
	}
}

// bet lets bots play for a while in the room quick, which then rests.
func (p *played) bet(s *server) {
	rooms := p.operator(s, "rooms")
	rooms("start", "quick")
	startSwarm(p.t, s, "--room", "quick", "--game", "crash", "--cash-out-delay", "2s").wantPassed()
	p.await(s, "quick", 2)
	rooms("pause", "quick")
	testkit.Eventually(p.t, "the room rests", deadline, func() bool { return strings.Contains(rooms("list"), "paused") })
}

// await waits until a room's round is over.
func (p *played) await(s *server, room string, round int) {
	testkit.Eventually(p.t, "a round is archived", deadline, func() bool {
		_, rounds := s.get(s.public + "/api/rooms/" + room + "/rounds")
		return strings.Contains(rounds, fmt.Sprintf(`"round":%d,`, round))
	})
}

func (p *played) stop(s *server) {
	if code := s.stop(); code != 0 {
		p.t.Fatalf("exit code %d", code)
	}
}

// ended reports whether a bet of the book ended so.
func (p *played) ended(kind string) (is bool) {
	db, err := sql.Open("sqlite", "file:"+p.book+"?mode=ro")
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := db.QueryRow(`SELECT COUNT(*) > 0 FROM ends WHERE kind = ?`, kind).Scan(&is); err != nil {
		p.t.Fatal(err)
	}
	return is
}

func (p *played) audit(args ...string) (string, error) {
	p.t.Helper()
	return tryCommand(p.t, nil, append([]string{"audit", "--sql", p.book}, args...)...)
}

// TestAudit audits real play as it is, and altered in every way.
func TestAudit(t *testing.T) {
	t.Parallel()
	p := play(t)
	out := runCommand(t, nil, "audit", "--data", p.dir)
	if !strings.Contains(out, "no difference") || !strings.Contains(out, "quick 2 ") || !strings.Contains(out, "dash 2 ") {
		t.Fatalf("the log of a server that was stopped:\n%s", out)
	}
	key := signingKey(t)
	signed, err := p.audit("--export", p.export, "--json", "--key-file", key)
	if err != nil {
		t.Fatalf("the export: %v\n%s", err, signed)
	}
	earlier := filepath.Join(t.TempDir(), "earlier.jsonl")
	write(t, earlier, signed)
	if out, err := p.audit("--export", p.export, "--against", earlier); err != nil {
		t.Errorf("a second auditor: %v\n%s", err, out)
	}
	write(t, earlier, strings.Replace(signed, `"round":2,`, `"round":4,`, 1))
	if out, err := p.audit("--export", p.export, "--against", earlier); err == nil || !strings.Contains(out+err.Error(), "signature") {
		t.Errorf("a statement that was altered: %v\n%s", err, out)
	}
	write(t, earlier, signed)
	p.trim(t, out)
	p.alterBook(t)
	p.alterExport(t, earlier)
}

// trim trims the logs of a copy of the data, which must then be found as they were: in the
// archive, in a copy of it, or in both, but not without.
func (p *played) trim(t *testing.T, before string) {
	t.Helper()
	dir, away := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "segments")
	if err := os.CopyFS(dir, os.DirFS(p.dir)); err != nil {
		t.Fatal(err)
	}
	archiveLogs(t, dir)
	if after := runCommand(t, nil, "audit", "--data", dir); after != before {
		t.Errorf("the audit of the trimmed logs:\n%s\nof the whole ones:\n%s", after, before)
	}
	export := filepath.Join(t.TempDir(), "trimmed.jsonl")
	runCommand(t, nil, "audit", "export", export, "--data", dir)
	if got, want := read(t, export), read(t, p.export); got != want {
		t.Errorf("the export of the trimmed logs has %d bytes and is another one than before, of %d", len(got), len(want))
	}
	if out := runCommand(t, nil, "audit", "archive", away, "--data", dir); !strings.Contains(out, " segments copied") || strings.HasPrefix(out, "0 ") {
		t.Errorf("copied: %s", out)
	}
	if out := runCommand(t, nil, "ledger", "reconcile", "--data", dir); !strings.Contains(out, "the ledger is as the log says") {
		t.Errorf("reconciliation with trimmed logs:\n%s", out)
	}
	forgetArchive(t, dir)
	if out, err := tryCommand(t, nil, "audit", "--data", dir); err == nil || !strings.Contains(out, "the archive lacks records 1 and later of partition") {
		t.Errorf("without the archive: %v\n%s", err, out)
	}
	if after := runCommand(t, nil, "audit", "--data", dir, "--archive", away); after != before {
		t.Errorf("the audit of the copied segments:\n%s\nof the whole logs:\n%s", after, before)
	}
}

// atLogs works on the logs of a data directory as a room server.
func atLogs(t testing.TB, dir string, work func(nc *nats.Conn, js jetstream.JetStream)) {
	t.Helper()
	e, err := bus.StartEmbedded(bus.EmbeddedConfig{StoreDir: filepath.Join(dir, "nats")})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Shutdown()
	nc, err := e.Connect(bus.RoleRoom, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	work(nc, js)
}

// archiveLogs trims the logs of a data directory by all but some records.
func archiveLogs(t *testing.T, dir string) {
	t.Helper()
	atLogs(t, dir, func(nc *nats.Conn, js jetstream.JetStream) {
		partitions, err := bus.StoredPartitions(t.Context(), nc)
		if err != nil {
			t.Fatal(err)
		}
		r, err := archive.NewReader(nc)
		if err != nil {
			t.Fatal(err)
		}
		trimmed := 0
		for p := range partitions {
			stream, err := js.Stream(t.Context(), wire.PartitionStream(p))
			if err != nil {
				t.Fatal(err)
			}
			w := archive.NewWriter(r, archive.NewBucket(js), p)
			w.Records = 50
			e, err := w.Extend(t.Context(), stream.CachedInfo().State.LastSeq, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			if e.To == 0 {
				continue
			}
			if err := stream.Purge(t.Context(), jetstream.WithPurgeSequence(e.To)); err != nil {
				t.Fatal(err)
			}
			trimmed++
		}
		if trimmed < 2 {
			t.Fatalf("the logs of %d partitions were long enough to be trimmed", trimmed)
		}
	})
}

// forgetArchive removes all segments from NATS.
func forgetArchive(t *testing.T, dir string) {
	t.Helper()
	atLogs(t, dir, func(_ *nats.Conn, js jetstream.JetStream) {
		o, err := js.ObjectStore(t.Context(), wire.BucketArchive)
		if err != nil {
			t.Fatal(err)
		}
		list, err := o.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range list {
			if err := o.Delete(t.Context(), s.Name); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func signingKey(t *testing.T) string {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "auditor.pem")
	write(t, path, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	return path
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// bookAlteration is a way to alter the ledger, and what the audit says of it.
type bookAlteration struct{ name, alter, want string }

// otherSide is what the audit says when it does not follow balances, which would tell first.
const otherSide = "other side of a transfer"

func bookAlterations() []bookAlteration {
	const won = `(SELECT bet FROM ends WHERE kind = 'payout' ORDER BY bet LIMIT 1)`
	const lost = `(SELECT bet FROM ends WHERE kind = 'lost' ORDER BY bet LIMIT 1)`
	const payout = `(SELECT transfer FROM ends WHERE kind = 'payout' ORDER BY bet LIMIT 1)`
	const player = `(SELECT id FROM accounts WHERE kind = 'player' ORDER BY id LIMIT 1)`
	const other = `(SELECT id FROM accounts WHERE kind = 'player' AND id <> (SELECT player FROM bets WHERE id = ` + won + `) ORDER BY id LIMIT 1)`
	return []bookAlteration{
		{"a stake is smaller", `UPDATE transfers SET amount = amount - 100 WHERE id = ` + won, "transfers.amount of the stake"},
		{"an entry is larger", `UPDATE entries SET amount = amount + 100 WHERE transfer = ` + payout + ` AND account <> '.house'`, "entries.amount of the end"},
		{"both entries are larger", `UPDATE entries SET amount = amount * 2 WHERE transfer = ` + payout, "entries.amount of the end"},
		{"the house's entry is larger", `UPDATE entries SET amount = amount - 100 WHERE transfer = ` + payout + ` AND account = '.house'`, "sum of all entries"},
		{"an entry is missing", `DELETE FROM entries WHERE transfer = ` + won + ` AND account <> '.house'`, "entries.amount of the stake"},
		{"a bet is missing", `DELETE FROM bets WHERE id = ` + won, "stake in the book"},
		{"a payout is missing", `DELETE FROM ends WHERE bet = ` + won, "end of the bet"},
		{"a payout is another", `UPDATE ends SET centi = centi + 1 WHERE bet = ` + won, "ends.centi"},
		{"a lost bet is paid", `UPDATE ends SET kind = 'payout', transfer = bet, amount = 1, centi = 100 WHERE bet = ` + lost, "end of the bet"},
		{"a payout twice", `INSERT INTO transfers SELECT id || '2', kind, player, amount, room, stake, operator, reason, at FROM transfers WHERE id = ` + payout + `;
			INSERT INTO entries SELECT transfer || '2', account, amount FROM entries WHERE transfer = ` + payout, "payout or refund"},
		{"a bet that nobody placed", `INSERT INTO bets SELECT id || '2', player, room, room_uuid, game, round, slot, stake, auto, at FROM bets WHERE id = ` + won, "bets of the round"},
		{"a bet of a round that never was", `INSERT INTO bets SELECT id || '2', player, room, room_uuid, game, 9999, slot, stake, auto, at FROM bets WHERE id = ` + won, "rounds in bets"},
		{"a balance from nothing", `UPDATE accounts SET balance = balance + 100000 WHERE id = ` + player, "balance of"},
		{"a balance with a transfer from nothing", `INSERT INTO transfers VALUES ('credit/x', 'credit', ` + player + `, 100, '_', '', '', '', 1);
			INSERT INTO entries VALUES ('credit/x', ` + player + `, 100), ('credit/x', '.house', -100);
			UPDATE accounts SET balance = balance + 100 WHERE id = ` + player, "transfer credit/x"},
		{"a credit is larger", `UPDATE transfers SET amount = amount + 100 WHERE kind = 'credit'`, "transfers.amount of credit/"},
		{"a grant is larger", `UPDATE transfers SET amount = amount + 100 WHERE id = (SELECT id FROM transfers WHERE kind = 'grant' LIMIT 1)`, "transfers.amount of grant/"},
		{"a crash point is another", `UPDATE rounds SET outcome = replace(outcome, '"centi":', '"centi":1') WHERE game = 'crash'`, "rounds.outcome.centi"},
		{"a round is missing", `DELETE FROM rounds WHERE round = 2 AND game = 'crash'`, "archived round"},
		{"points of a race are others", `UPDATE round_scores SET points = points + 1`, "round_scores.points"},
		{"a result is another", `UPDATE bookings SET balance = balance + 1 WHERE id = ` + won, "bookings.balance of the stake"},
		{"a result of a credit is another", `UPDATE bookings SET balance = balance + 1 WHERE kind = 'credit'`, "bookings.balance of credit/"},
		{"a credit of another time", `UPDATE transfers SET at = at + 1 WHERE kind = 'credit'`, "transfers.at of credit/"},
		{"a stake in another room", `UPDATE transfers SET room = 'lobby' WHERE id = ` + won, "transfers.room of the stake"},
		{"a stake of another time", `UPDATE transfers SET at = at + 1 WHERE id = ` + won, "transfers.at of the stake"},
		{"a payout of another time", `UPDATE transfers SET at = at + 1 WHERE id = ` + payout, "transfers.at of the end"},
		{"a bet that was won at another time", `UPDATE ends SET at = at + 1 WHERE bet = ` + won, "ends.at"},
		{"a bet that was lost at another time", `UPDATE ends SET at = at + 1 WHERE bet = ` + lost, "ends.at"},
		{"a stake that was booked without a transfer", `INSERT INTO bookings VALUES ('stake/x', 'stake', 'x', 1, '', ` + player + `, 1, 1, 1)`, "booking that was booked (stake/x)"},
		{"a round whose booking was refused", `UPDATE bookings SET booked = 0, code = 'no_bet' WHERE id IN (SELECT booking FROM rounds)`, "booking of an archived round"},
		{"an account is missing", `DELETE FROM accounts WHERE id = ` + player, "account of an entry"},
		{"a player's account is the house's", `UPDATE accounts SET kind = 'house', balance = NULL WHERE id = ` + player, "kind of an account"},
		{"the house's money is in another account", `INSERT INTO accounts VALUES ('.till', 'house', 0, '', NULL, 0, 0);
			UPDATE entries SET account = '.till' WHERE account = '.house'`, "kind of an account (.till)"},
		{"money from nothing, said to be in a wallet", `INSERT INTO accounts VALUES ('.wallet', 'house', 0, '', NULL, 0, 0);
			UPDATE accounts SET balance = balance + 100 WHERE kind = 'player'`, "player's entry ("},
		{"a stake went to another player", `UPDATE accounts SET balance = balance + (SELECT stake FROM bets WHERE id = ` + won + `) WHERE id = ` + other + `;
			UPDATE entries SET account = ` + other + ` WHERE account = '.house' AND transfer = ` + won, otherSide},
	}
}

// alterBook alters copies of the ledger. Each must be found and named.
func (p *played) alterBook(t *testing.T) {
	for _, c := range bookAlterations() {
		t.Run(c.name, func(t *testing.T) {
			args := []string{"--export", p.export, "--sql", alteredBook(t, p.book, c.alter)}
			if c.want == otherSide {
				args = append(args, "--rooms", "quick")
			}
			wantDifference(t, c.want, args...)
		})
	}
}

// alteredBook is an altered copy of a ledger that nobody has open.
func alteredBook(t *testing.T, book, alter string) string {
	t.Helper()
	altered := filepath.Join(t.TempDir(), "ledger.db")
	write(t, altered, read(t, book))
	db, err := sql.Open("sqlite", "file:"+altered+"?_pragma=ignore_check_constraints(1)")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(alter); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return altered
}

// wantDifference runs an audit that must find something.
func wantDifference(t *testing.T, want string, args ...string) {
	t.Helper()
	out, err := tryCommand(t, nil, append([]string{"audit"}, args...)...)
	if err == nil || !strings.Contains(out+fmt.Sprint(err), want) {
		t.Fatalf("want a difference about %q: %v\n%s", want, err, out)
	}
	if i := strings.Index(out, "DIFFERENCE"); i >= 0 {
		t.Log(strings.TrimSpace(out[i:]))
	}
}

// exported is a line of an export.
type exported struct {
	Stream  string              `json:"stream"`
	Seq     uint64              `json:"seq"`
	Time    int64               `json:"ts"`
	Subject string              `json:"subject"`
	Headers map[string][]string `json:"headers,omitempty"`
	Data    []byte              `json:"data"`
}

// commands reports whether the record is a command of an operation.
func (e exported) commands(op string) bool {
	c, err := wire.DecodeCommand(e.Data)
	return strings.HasPrefix(e.Subject, "cmd.") && err == nil && c.Op == op
}

// alteration is a way to alter the records of the partition in which bots bet, and what
// the audit says of it.
type alteration struct {
	name, want string
	alter      func(log []exported) []exported
}

func alterations(t *testing.T) []alteration {
	return []alteration{
		{"a record is missing", "follows record", func(log []exported) []exported { return append(log[:30:30], log[31:]...) }},
		{"a record twice", "follows record", func(log []exported) []exported { return append(log[:31:31], log[30:]...) }},
		{"records in another order", "follows record", func(log []exported) []exported { log[30], log[31] = log[31], log[30]; return log }},
		{"a tick is missing and nobody could tell", "earlier statement", func(log []exported) []exported {
			i := lastWith(log, "evt.", `"k":"tick"`, len(log)*2/3)
			for i > 0 && log[i].Time-log[i-1].Time < int64(100*time.Millisecond) { // it may be the record with which a phase ends
				i = lastWith(log, "evt.", `"k":"tick"`, i)
			}
			return renumbered(append(log[:i:i], log[i+1:]...))
		}},
		{"a timestamp is another", "earlier statement", func(log []exported) []exported { log[40].Time++; return log }},
		// Of commands some were refused: nothing follows from those.
		{"bets are missing", "", func(log []exported) []exported {
			return renumbered(slices.DeleteFunc(log, func(e exported) bool { return e.commands("bet") }))
		}},
		{"bets are larger", "", func(log []exported) []exported {
			for i, e := range log {
				if e.commands("bet") {
					log[i].Data = bytes.Replace(e.Data, []byte(`00`), []byte(`50`), 1)
				}
			}
			return log
		}},
		{"commands are of somebody else", "", func(log []exported) []exported {
			for i, e := range log {
				if !e.commands("cashout") {
					continue
				}
				c, err := wire.DecodeCommand(e.Data)
				if err != nil {
					t.Fatal(err)
				}
				c.Player = "eve"
				log[i].Data, _ = c.AppendBinary(nil)
			}
			return log
		}},
		{"another seed", "SHA-256 of the revealed seed", func(log []exported) []exported {
			i := lastWith(log, "evt.", `"k":"reveal"`, len(log))
			at := bytes.Index(log[i].Data, []byte(`"seed":"`)) + 8
			log[i].Data[at] ^= 1 // of a digit: another digit
			return log
		}},
		{"newer versions than there are", "version of records: expected at most 3", func(log []exported) []exported {
			return altered(log, "evt.", `"records":3`, `"records":4`)
		}},
		{"older versions than came into force", "others than are in force", func(log []exported) []exported {
			return altered(log, "evt.", `"records":3`, `"records":1`)
		}},
		{"owners of older versions", "as the owner's claim says", func(log []exported) []exported {
			return altered(log, "own.", `"records":3`, `"records":1`)
		}},
		{"an unknown record", "subject of a record", func(log []exported) []exported { log[30].Subject = "gift.1"; return log }},
		{"a balance in a result", "balance at version", func(log []exported) []exported {
			i := lastWith(log, "res.", `"payout/`, len(log))
			log[i].Data = bytes.Replace(log[i].Data, []byte(`"balance":`), []byte(`"balance":1`), 1)
			return log
		}},
	}
}

// alterExport alters copies of the export.
func (p *played) alterExport(t *testing.T, earlier string) {
	text, err := os.ReadFile(p.export)
	if err != nil {
		t.Fatal(err)
	}
	quick := wire.PartitionStream(wire.PartitionOf("quick", wire.DefaultPartitions))
	for _, c := range alterations(t) {
		t.Run(c.name, func(t *testing.T) {
			var before, log, after []exported
			for _, l := range bytes.Split(bytes.TrimSpace(text), []byte("\n")) {
				var e exported
				if err := json.Unmarshal(l, &e); err != nil {
					t.Fatal(err)
				}
				switch {
				case e.Stream == quick:
					log = append(log, e)
				case len(log) == 0:
					before = append(before, e)
				default:
					after = append(after, e)
				}
			}
			var out bytes.Buffer
			lines := json.NewEncoder(&out)
			for _, e := range append(append(before, c.alter(log)...), after...) {
				if err := lines.Encode(e); err != nil {
					t.Fatal(err)
				}
			}
			path := filepath.Join(t.TempDir(), "log.jsonl")
			write(t, path, out.String())
			args := []string{"--export", path, "--sql", p.book}
			if c.want == "earlier statement" {
				args = append(args, "--against", earlier)
			}
			wantDifference(t, c.want, args...)
		})
	}
}

// altered replaces a text in all records on a subject.
func altered(log []exported, subject, text, by string) []exported {
	for i, e := range log {
		if strings.HasPrefix(e.Subject, subject) {
			log[i].Data = bytes.Replace(e.Data, []byte(text), []byte(by), 1)
		}
	}
	return log
}

// lastWith is the index of the last record before another on a subject with a text in it.
func lastWith(log []exported, subject, text string, before int) int {
	for i := before - 1; i >= 0; i-- {
		if strings.HasPrefix(log[i].Subject, subject) && bytes.Contains(log[i].Data, []byte(text)) {
			return i
		}
	}
	return -1
}

func renumbered(log []exported) []exported {
	for i := range log {
		log[i].Seq = uint64(i + 1)
	}
	return log
}

// TestAuditBesideADeployment audits roles on real NATS and PostgreSQL while bots play.
func TestAuditBesideADeployment(t *testing.T) {
	t.Parallel()
	d := startDeployment(t)
	api := d.gateways[0].internal
	d.run("rooms", "create", "quick", "--api", api, "--set", "betting_ms=1000", "--set", "crashed_ms=500", "--set", "cap=300")
	d.run("rooms", "create", "dash", "--api", api, "--game", "race", "--set", "gathering_ms=500", "--set", "running_ms=2000", "--set", "finished_ms=500")
	testkit.Eventually(t, "the gateway has heard of both rooms", deadline, func() bool {
		_, list := d.gateways[0].get(d.gateways[0].public + "/api/rooms")
		return strings.Contains(list, `"quick"`) && strings.Contains(list, `"dash"`)
	})
	source := []string{"audit", "--nats", d.natsURL, "--sql", d.database}
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	var heard lockedBuffer
	follower := exec.Command(path, append(source, "--follow", "--book-every", "1s")...)
	follower.Env, follower.Stdout, follower.Stderr = append(cleanEnvironment(), d.secrets...), &heard, &heard
	if err := follower.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- follower.Wait() }()
	t.Cleanup(func() { _ = follower.Process.Kill() }) // or it has ended
	t.Log(d.run("swarm", "--bots", "20", "--duration", "12s", "--settle", deadline.String(), "--room", "quick", "--url", d.gateways[0].socket(), "--cash-out-delay", "1s"))
	testkit.Eventually(t, "audits while rounds go on state a second round", deadline, func() bool {
		out := d.run(source...)
		if !strings.Contains(out, "no difference") {
			t.Fatalf("an audit while rounds go on:\n%s", out)
		}
		return strings.Contains(out, "quick 2 ")
	})
	testkit.Eventually(t, "the follower has stated rounds of both rooms", deadline, func() bool {
		return strings.Contains(heard.String(), "quick 3 ") && strings.Contains(heard.String(), "dash 3 ")
	})
	_ = follower.Process.Signal(os.Interrupt)
	select {
	case err := <-ended:
		if err != nil || !strings.Contains(heard.String(), "no difference") {
			t.Errorf("the follower: %v\n%s", err, &heard)
		}
	case <-time.After(deadline):
		t.Fatalf("the follower does not end\n%s", &heard)
	}
}
