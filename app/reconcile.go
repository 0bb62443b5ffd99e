package app

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
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
		Short: "Compare the ledger with the log, and book again what it lost",
		Long: `Folds the log of every partition, with what was trimmed from it, and compares the results in it with the ledger:
a database that lost its newest transactions in a failover, or was restored from a
backup, lacks some. With --repair exactly these are booked again, under their IDs and in
their order, and Redis gets a copy.

All ledger workers must be stopped, and serve as well. It needs the settings and the
secret of a room server, and the ledger's database.`,
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
	cmd.Flags().BoolVar(&repair, "repair", false, "book again what is missing")
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
	recorded, err := readLog(ctx, nc, stores, s.room)
	if err != nil {
		return err
	}
	l := &ledgerRole{process: &process{config: c}}
	if err := l.open(ctx); err != nil {
		return err
	}
	r, err := l.book.Reconcile(ctx, recorded, repair)
	if err == nil {
		err = printReconciliation(out.people, r, repair)
	}
	if err == nil && repair {
		err = errors.Join(l.book.Check(ctx), l.book.CopyTo(ctx, in.cache, log))
	}
	return errors.Join(err, l.close())
}

// readLog reads what all partitions have recorded.
func readLog(ctx context.Context, nc *nats.Conn, stores []archive.Store, secret []byte) ([]ledger.Recorded, error) {
	partitions, err := bus.StoredPartitions(ctx, nc)
	if err != nil {
		return nil, err
	}
	var recorded []ledger.Recorded
	for p := range partitions {
		cfg := room.PartitionConfig{
			ID: p, Cashier: cashier.Kind{},
			Kinds: []game.Kind{crash.New(crash.NewChains(secret, rand.Reader)), race.Kind{}},
		}
		err := room.History(ctx, nc, stores, cfg, func(b room.Booked) {
			recorded = append(recorded, ledger.Recorded{Booking: b.Booking, Result: b.Result, Time: b.Time})
		})
		if err != nil {
			return nil, err
		}
	}
	return recorded, nil
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
	if repair {
		fmt.Fprintf(w, "%d were booked again\n", r.Repaired)
	}
	switch {
	case len(r.Differs) > 0:
		return fmt.Errorf("%d bookings differ between ledger and log", len(r.Differs))
	case len(r.Missing) > r.Repaired:
		return fmt.Errorf("%d bookings are missing; --repair books them again", len(r.Missing)-r.Repaired)
	}
	_, err := fmt.Fprintln(w, "the ledger is as the log says")
	return err
}
