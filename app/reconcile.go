package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"tickcast/archive"
	"tickcast/bus"
	"tickcast/ledger"
	"tickcast/room"
	"tickcast/room/cashier"
	"tickcast/room/crash"
	"tickcast/room/game"
	"tickcast/room/race"
)

// differencesShown bounds what is printed of each kind.
const differencesShown = 20

func newReconcile() *cobra.Command {
	var repair bool
	cmd := &cobra.Command{
		Use:   "reconcile",
		Short: "Compare the ledger with the log, and mend what either of them lost",
		Long: `Folds the log of every partition, with what was trimmed from it, and compares the results in it with the ledger:
a database that lost its newest transactions in a failover, or was restored from a
backup, lacks some. With --repair exactly these are booked again, under their IDs and in
their order, and Redis gets a copy.

A log that lost its tail in a power cut does not ask for all that the ledger has booked.
With --repair players get what the log owes them beyond what they were paid; what they
were paid beyond that stays theirs, and a note of it is archived. The log is told of it,
so that the audit knows.

All ledger workers must be stopped, and serve as well. It needs the settings and the
secret of a room server, and the ledger's database; --repair also needs the password of
the user ledger.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := load(cmd.Flags(), environment())
			if err != nil {
				return err
			}
			kind := ProcessServe
			if !c.embeddedNATS() {
				kind = ProcessLedger // which cannot embed a database or Redis
			}
			if err := c.validate(kind); err != nil {
				return err
			}
			return reconcile(cmd.Context(), c, repair, output{cmd.OutOrStdout(), cmd.ErrOrStderr()})
		},
	}
	addFlags(cmd.Flags())
	cmd.Flags().BoolVar(&repair, "repair", false, "book what is missing again, and mend what was settled otherwise")
	return cmd
}

// reconcile compares, and repairs if it shall. An error is a ledger that is not as the
// log says at the end.
func reconcile(ctx context.Context, c *Config, repair bool, out output) error {
	log := newLogger(c, out.log)
	if c.embeddedNATS() {
		release, err := lockData(c)
		if err != nil {
			return err
		}
		defer release()
	}
	if c.embeddedNATS() && c.RoomSecret+c.RoomSecretFile == "" {
		c.RoomSecretFile = filepath.Join(c.secretsDir(), roomSecretName)
	}
	s, err := loadSecrets(c, ProcessRoom, false)
	if err != nil {
		return err
	}
	in, err := openInfra(c, log)
	defer in.close()
	if err != nil {
		return err
	}
	nc, err := in.connect(ctx, bus.RoleRoom, "reconcile")
	if err != nil {
		return err
	}
	stores, err := archiveStores(nc, c.ArchiveDir)
	if err != nil {
		return err
	}
	said, err := readLog(ctx, nc, stores, s.room)
	if err != nil {
		return err
	}
	l := &ledgerRole{process: &process{config: c}}
	if err := l.open(ctx); err != nil {
		return err
	}
	r, err := l.book.Reconcile(ctx, said, repair)
	if err == nil && repair {
		err = tell(ctx, in, r.Untold)
	}
	if err == nil {
		err = printReconciliation(out.people, r, repair)
	}
	if err == nil && repair {
		err = errors.Join(l.book.Check(ctx), l.book.CopyTo(ctx, in.cache, log))
	}
	return errors.Join(err, l.close())
}

// tell tells the log what the ledger has mended.
func tell(ctx context.Context, in *infra, list []ledger.Untold) error {
	if len(list) == 0 {
		return nil
	}
	nc, err := in.connect(ctx, bus.RoleLedger, "reconcile")
	if err != nil {
		return err
	}
	return ledger.Tell(ctx, nc, list)
}

// readLog reads what all partitions say of the ledger.
func readLog(ctx context.Context, nc *nats.Conn, stores []archive.Store, secret []byte) (ledger.Log, error) {
	said := ledger.Log{Rounds: map[string]uint64{}, Mends: map[string]bool{}}
	partitions, err := bus.StoredPartitions(ctx, nc)
	if err != nil {
		return said, err
	}
	said.Partitions = partitions
	for p := range partitions {
		cfg := room.PartitionConfig{
			ID: p, Cashier: cashier.Kind{},
			Kinds: []game.Kind{crash.New(crash.NewChains(secret, rand.Reader)), race.Kind{}},
		}
		rest, err := room.History(ctx, nc, stores, cfg, func(b room.Booked) {
			said.Recorded = append(said.Recorded, ledger.Recorded{Booking: b.Booking, Result: b.Result, Time: b.Time})
		})
		if err != nil {
			return said, err
		}
		said.Outstanding = append(said.Outstanding, rest.Bookings...)
		maps.Copy(said.Rounds, rest.Rounds)
		for _, id := range rest.Mends {
			said.Mends[id] = true
		}
	}
	return said, nil
}

// printReconciliation says what was found. What is left is an error.
func printReconciliation(w io.Writer, r ledger.Reconciliation, repair bool) error {
	fmt.Fprintf(w, "%d bookings have a result in the log\n%d of them are missing in the ledger\n", r.Recorded, len(r.Missing))
	for _, m := range r.Missing[:min(len(r.Missing), differencesShown)] {
		fmt.Fprintf(w, "  missing %s of %s, amount %d\n", m.Booking.ID, m.Booking.Player, m.Booking.Amount)
	}
	for _, d := range r.Differs[:min(len(r.Differs), differencesShown)] {
		fmt.Fprintf(w, "  differs %s\n", d)
	}
	fmt.Fprintf(w, "%d bets, credits and rounds of the ledger were settled otherwise than the log asks for\n", len(r.Discrepancies))
	for _, d := range r.Discrepancies[:min(len(r.Discrepancies), differencesShown)] {
		if d.Player == "" {
			fmt.Fprintf(w, "  %s of room %s: %s\n", d.ID, d.Room, told(d.Mend))
			continue
		}
		fmt.Fprintf(w, "  %s of %s in room %s, round %d: paid %d, owed %d: %s\n", d.ID, d.Player, d.Room, d.Round, d.Paid, d.Owed, told(d.Mend))
	}
	if repair {
		fmt.Fprintf(w, "%d were booked again, %d mended\n", r.Repaired, r.Mended)
		fmt.Fprintf(w, "the log was told of %d mends\n", len(r.Untold))
	}
	missing, unmended := len(r.Missing)-r.Repaired, r.Mendable()-r.Mended
	switch {
	case len(r.Differs) > 0:
		return fmt.Errorf("%d bookings differ between ledger and log", len(r.Differs))
	case missing+unmended > 0:
		return fmt.Errorf("%d bookings are missing and %d were settled otherwise; --repair books and mends them", missing, unmended)
	case len(r.Untold) > 0 && !repair:
		return fmt.Errorf("the log does not know of %d mends; --repair tells it", len(r.Untold))
	case len(r.Discrepancies) > r.Mended:
		return fmt.Errorf("%d bets of rounds that are not over differ: start room servers and ledger workers, which see to them", len(r.Discrepancies)-r.Mended)
	}
	_, err := fmt.Fprintln(w, "the ledger is as the log says")
	return err
}

// told says what a repair does.
func told(m ledger.Mend) string {
	switch m {
	case ledger.MendKeep:
		return "stays, of which a repair takes note"
	case ledger.MendCancel:
		return "a repair cancels the stake"
	case ledger.MendCredit:
		return "a repair credits what is short"
	default:
		return "the round is not over"
	}
}
