package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"tickcast/archive"
	"tickcast/audit"
	"tickcast/bus"
)

// errDifference makes the exit code 1 when the audit found a difference, which was
// printed.
var errDifference = errors.New("the audit found a difference")

// auditFlags say what is audited.
type auditFlags struct {
	nats, sql, data, export string
	archive                 string
	rooms                   []string
	key, against            string
	asJSON, follow, wallet  bool
	bookEvery               time.Duration
}

func newAudit() *cobra.Command {
	o := &auditFlags{}
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Recompute rounds, payouts and balances from the log, and compare with the ledger",
		Long: `Reads the logs of all partitions, recomputes rounds, crash points, seeds, payouts
and balances by a code path of its own, compares them with the ledger, and prints
a digest of each round. The exit code is 1 if there is a difference, which is
printed with its room, round, bet and record, or if the audit could not be done.

The logs come from a cluster (--nats, user auditor), from the directory of a
server that was stopped (--data), or from an export (--export). What was trimmed from them
is read from the archive.`,
		Example: `  tickcast audit --nats nats://nats:4222 --sql postgres://… --json
  tickcast audit --data data
  tickcast audit --export log.jsonl --sql ledger.db --key-file auditor.pem
  tickcast audit --nats nats://nats:4222 --sql postgres://… --follow`,
		GroupID: "operators",
		Args:    onlyCommands,
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	o.addSource(cmd)
	f.StringVar(&o.export, "export", "", "file that audit export wrote")
	f.StringVar(&o.sql, "sql", "", "postgres:// address or SQLite file of the ledger; empty: that of --data, else the log alone")
	f.StringSliceVar(&o.rooms, "rooms", []string{"all"}, "IDs of the rooms to judge, or all; money of players is compared for all only")
	f.StringVar(&o.key, "key-file", "", "Ed25519 key (PKCS #8, PEM) that signs the digests")
	f.StringVar(&o.against, "against", "", "file of an earlier audit's --json output, whose digests must be the same")
	f.BoolVar(&o.wallet, "wallet", false, "players' money is in an operator's wallet; a ledger tells by itself")
	f.BoolVar(&o.asJSON, "json", false, "print JSON: a line per round, then the report")
	f.BoolVar(&o.follow, "follow", false, "go on beside the cluster, with a line per round, until a difference or a signal")
	f.DurationVar(&o.bookEvery, "book-every", time.Minute, "how often --follow checks the sums of the whole ledger; 0: never")
	cmd.AddCommand(newAuditExport(), newAuditArchive())
	return cmd
}

func (o *auditFlags) addSource(cmd *cobra.Command) {
	o.addPlace(cmd)
	cmd.Flags().StringVar(&o.archive, "archive", "", "directory of segments that are not, or no longer, in the archive of NATS")
}

func (o *auditFlags) addPlace(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.nats, "nats", "", "NATS servers; without a user in it "+string(bus.RoleAuditor)+" with the password in "+bus.PasswordVariable(bus.RoleAuditor))
	cmd.Flags().StringVar(&o.data, "data", "", "data directory of a server that was stopped")
}

func newAuditExport() *cobra.Command {
	o := &auditFlags{}
	cmd := &cobra.Command{
		Use:     "export FILE",
		Short:   "Write the logs of all partitions to a file; - is the standard output",
		Example: "  tickcast audit export log.jsonl --nats nats://nats:4222",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			source, done, err := o.open(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			if args[0] == "-" {
				return audit.WriteExport(cmd.Context(), source, cmd.OutOrStdout())
			}
			f, err := os.OpenFile(args[0], os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
			if err != nil {
				return fmt.Errorf("export: %w", err)
			}
			return errors.Join(audit.WriteExport(cmd.Context(), source, f), f.Sync(), f.Close())
		},
	}
	o.addSource(cmd)
	return cmd
}

func newAuditArchive() *cobra.Command {
	o := &auditFlags{}
	cmd := &cobra.Command{
		Use:   "archive DIR",
		Short: "Copy what was trimmed from the logs to a directory, checked",
		Long: `Copies the segments of the archive of NATS that a directory lacks, each checked. The
directory is made if it does not exist. What was copied may be removed from NATS, but for
the newest segment of each partition; audits then need --archive DIR.`,
		Example: "  tickcast audit archive /mnt/archive --nats nats://nats:4222",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if (o.nats == "") == (o.data == "") {
				return errors.New("give one source of the archive: --nats or --data")
			}
			if err := os.MkdirAll(args[0], 0o700); err != nil {
				return fmt.Errorf("copy archive: %w", err)
			}
			nc, done, err := o.connect(cmd.Context())
			if err != nil {
				return err
			}
			defer done()
			stores, err := archiveStores(nc, args[0])
			if err != nil {
				return err
			}
			n, err := archive.Copy(cmd.Context(), stores[1], stores[0])
			_, printed := fmt.Fprintf(cmd.OutOrStdout(), "%d segments copied\n", n)
			return errors.Join(err, printed)
		},
	}
	o.addPlace(cmd)
	return cmd
}

// archiveStores are where trimmed records are: in a directory, if one is given, and in NATS.
func archiveStores(nc *nats.Conn, dir string) ([]archive.Store, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("read the archive: %w", err)
	}
	if dir == "" {
		return []archive.Store{archive.NewBucket(js)}, nil
	}
	return []archive.Store{archive.Directory(dir), archive.NewBucket(js)}, nil
}

// open opens the source. The caller calls done, unless there is an error.
func (o *auditFlags) open(ctx context.Context) (source audit.Source, done func(), err error) {
	given := 0
	for _, from := range []string{o.nats, o.data, o.export} {
		if from != "" {
			given++
		}
	}
	switch {
	case given != 1:
		return nil, nil, errors.New("give one source of the log: --nats, --data or --export")
	case o.export != "":
		e, err := audit.OpenExport(o.export)
		if err != nil {
			return nil, nil, err
		}
		return e, func() { _ = e.Close() }, nil
	}
	nc, done, err := o.connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	stores, err := archiveStores(nc, o.archive)
	if err != nil {
		done()
		return nil, nil, err
	}
	streams, err := audit.NewStreams(nc, stores...)
	if err != nil {
		done()
		return nil, nil, err
	}
	return streams, done, nil
}

// connect reaches the log of a deployment, or of a data directory, as the auditor. The
// caller calls done, unless there is an error.
func (o *auditFlags) connect(ctx context.Context) (nc *nats.Conn, done func(), err error) {
	c := &Config{NATSURL: o.nats, Data: o.data, NATSPasswords: map[bus.Role]string{}}
	in := &infra{config: c}
	if o.nats != "" {
		c.NATSPasswords[bus.RoleAuditor] = strings.Trim(os.Getenv(bus.PasswordVariable(bus.RoleAuditor)), `"'`)
	} else if err := in.openStopped(); err != nil {
		in.close()
		return nil, nil, err
	}
	if nc, err = in.connect(ctx, bus.RoleAuditor, "audit"); err != nil {
		in.close()
		return nil, nil, err
	}
	return nc, in.close, nil
}

// openStopped starts the embedded log of a data directory that no process uses.
func (in *infra) openStopped() error {
	if _, err := os.Stat(in.config.natsDir()); err != nil {
		return fmt.Errorf("open the log of %s: %w", in.config.Data, err)
	}
	unlock, err := lockData(in.config)
	if err != nil {
		return err
	}
	in.closers = append(in.closers, unlock)
	e, err := bus.StartEmbedded(bus.EmbeddedConfig{StoreDir: in.config.natsDir()})
	if err != nil {
		return err
	}
	in.nats = e
	in.closers = append(in.closers, e.Shutdown)
	return nil
}

func (o *auditFlags) run(cmd *cobra.Command) error {
	ctx := cmd.Context()
	c := audit.Config{BookEvery: o.bookEvery, Wallet: o.wallet, State: o.printer(cmd.OutOrStdout())}
	c.Warn = func(err error) { cmd.PrintErrln("Warning:", err) }
	if len(o.rooms) != 1 || o.rooms[0] != "all" {
		c.Rooms = o.rooms
	}
	if err := o.files(&c); err != nil {
		return err
	}
	if o.sql == "" && o.data != "" {
		o.sql = (&Config{Data: o.data}).ledgerPath()
	}
	if o.sql != "" {
		book, err := audit.OpenBook(ctx, o.sql)
		if err != nil {
			return err
		}
		defer func() { _ = book.Close() }()
		c.Book = book
	}
	source, done, err := o.open(ctx)
	if err != nil {
		return err
	}
	defer done()
	c.Source = source
	work := audit.Run
	if o.follow {
		work = audit.Follow
	}
	report, err := work(ctx, c)
	if err != nil {
		return err
	}
	return o.print(cmd.OutOrStdout(), &report)
}

func (o *auditFlags) files(c *audit.Config) error {
	var err error
	if o.key != "" {
		if c.Key, err = audit.ReadKey(o.key); err != nil {
			return err
		}
	}
	if o.against == "" {
		return nil
	}
	f, err := os.Open(o.against)
	if err != nil {
		return fmt.Errorf("read statements: %w", err)
	}
	defer func() { _ = f.Close() }()
	c.Against, err = audit.ReadAgainst(f)
	return err
}

// printer prints a line per round.
func (o *auditFlags) printer(w io.Writer) func(audit.Statement) error {
	if o.asJSON {
		lines := json.NewEncoder(w)
		return func(s audit.Statement) error { return lines.Encode(s) }
	}
	return func(s audit.Statement) error {
		what := fmt.Sprintf("%d.%02dx  %d bets  stake %s  paid %s", s.Centi/100, s.Centi%100, s.Bets, credits(s.Stake), credits(s.Paid))
		if s.Game == "race" {
			what = strconv.Itoa(s.Players) + " players"
		}
		if s.Voided {
			what = "voided"
		}
		if s.Mended > 0 {
			what += fmt.Sprintf("  %d mended", s.Mended)
		}
		_, err := fmt.Fprintf(w, "%s %d  %s  %s\n", s.Room, s.Round, what, s.Digest)
		return err
	}
}

func credits(minor int64) string { return fmt.Sprintf("%d.%02d", minor/100, minor%100) }

func (o *auditFlags) print(w io.Writer, r *audit.Report) error {
	if o.asJSON {
		if err := json.NewEncoder(w).Encode(r); err != nil {
			return fmt.Errorf("print report: %w", err)
		}
	} else {
		o.printText(w, r)
	}
	if !r.OK {
		return errDifference
	}
	return nil
}

func (o *auditFlags) printText(w io.Writer, r *audit.Report) {
	for _, p := range r.Partitions {
		n := p.Notes
		fmt.Fprintf(w, "partition %d: %d records, head %s", p.Partition, p.Last, p.Head)
		for _, x := range []struct {
			what  string
			count uint64
			first uint64
		}{
			{"foreign", n.Foreign.Count, n.Foreign.First},
			{"malformed", n.Malformed.Count, n.Malformed.First},
			{"of a lost tail", n.Lost.Count, n.Lost.First},
			{"of mends", n.Mended.Count, n.Mended.First},
			{"of deposed owners", n.Deposed.Count, n.Deposed.First},
			{"repeated results", n.Repeated.Count, n.Repeated.First},
			{"rounds without a seed", n.Unjudged.Count, n.Unjudged.First},
		} {
			if x.count > 0 {
				fmt.Fprintf(w, ", %d %s (first: %d)", x.count, x.what, x.first)
			}
		}
		fmt.Fprintln(w)
	}
	book := "compared with the ledger"
	if !r.Booked {
		book = "not compared with a ledger"
	}
	fmt.Fprintf(w, "%d rounds, %d bets, %d players, %s; %d rounds are not settled\n", r.Rounds, r.Bets, r.Players, book, r.Unsettled)
	if r.Difference != nil {
		fmt.Fprintf(w, "DIFFERENCE: %v\n", r.Difference)
		return
	}
	fmt.Fprintln(w, "no difference")
}
