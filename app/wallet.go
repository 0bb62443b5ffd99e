package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"tickcast/ledger/wallet"
	"tickcast/wire"
)

func newWallet() *cobra.Command {
	o := &operatorFlags{}
	cmd := &cobra.Command{
		Use:     "wallet",
		Short:   "See and resolve what the operator's own wallet did not answer",
		GroupID: "operators",
		Args:    onlyCommands,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	o.add(cmd)
	cmd.AddCommand(newWalletQueue(o),
		newWalletOrder(o, wire.WalletRetry, "Ask the wallet again at once"),
		newWalletOrder(o, wire.WalletDone, "Say that the wallet has done it, as you saw or saw to"),
		newWalletOrder(o, wire.WalletDenied, "Say that a withdrawal was not made and never will be"),
		newSimulator())
	return cmd
}

func newWalletQueue(o *operatorFlags) *cobra.Command {
	var asJSON bool
	var before string
	cmd := &cobra.Command{
		Use:   "queue",
		Short: "List what the wallet was asked for and whose outcome is not known, newest first",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := o.client(cmd)
			if err != nil {
				return err
			}
			var page wire.WalletPage
			if err := client.call(cmd.Context(), http.MethodGet, "/wallet?before="+url.QueryEscape(before), nil, &page); err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(page)
			}
			return printWalletQueue(cmd.OutOrStdout(), page)
		},
	}
	cmd.Flags().StringVar(&before, "before", "", "the end of the page before")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printWalletQueue(w io.Writer, page wire.WalletPage) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tOP\tPLAYER\tAMOUNT\tSINCE\tTRIES\tNEXT\tERROR")
	for _, c := range page.Calls {
		since := time.UnixMilli(c.Since).UTC().Format(time.DateTime)
		next := max(0, time.Until(time.UnixMilli(c.Next))).Round(time.Second)
		fmt.Fprintf(t, "%s\t%s\t%s\t%d.%02d\t%s\t%d\t%s\t%s\n", c.ID, c.Op, c.Player, c.Amount/100, c.Amount%100, since, c.Tries, next, c.Error)
	}
	if page.Next != "" {
		fmt.Fprintf(t, "more: --before %s\n", page.Next)
	}
	return t.Flush()
}

func newWalletOrder(o *operatorFlags, op, short string) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   op + " ID",
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			body := map[string]any{"id": args[0], "reason": reason}
			return o.do(cmd, http.MethodPost, "/wallet/"+op, body, fmt.Sprintf("%s: %s", args[0], op))
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the audit list")
	return cmd
}

// newSimulator serves a wallet for trying.
func newSimulator() *cobra.Command {
	var address, keyFile, faults string
	var initial int64
	var rate float64
	var seed uint64
	cmd := &cobra.Command{
		Use:   "simulator",
		Short: "Serve a wallet in memory, which damages requests as a network does, for trying",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			key, err := readSecret(keyFile)
			if err != nil {
				return err
			}
			kinds, err := wallet.ParseFaults(faults)
			if err != nil {
				return err
			}
			if rate < 0 || rate > 1 || initial < 0 || initial > wallet.MaxBalance {
				return fmt.Errorf("fault-rate is within 0 to 1, and initial within 0 to %d", int64(wallet.MaxBalance))
			}
			log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			h := wallet.NewHandler(wallet.NewMemory(initial), []byte(key), log)
			return serveWallet(cmd.Context(), address, wallet.NewFaults(h, seed, rate, kinds), log)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&address, "listen", "127.0.0.1:9190", "where it listens")
	f.StringVar(&keyFile, "wallet-key-file", "", "file of the key, as for the ledger worker")
	f.Int64Var(&initial, "initial", 100_000, "what everybody has in the beginning, in minor units")
	f.Float64Var(&rate, "fault-rate", 0, "share of the requests that are damaged, 0 to 1")
	f.StringVar(&faults, "faults", "", "how, comma-separated, of "+fmt.Sprint(wallet.AllFaults())+"; empty: all")
	f.Uint64Var(&seed, "seed", 1, "seed of the damage")
	_ = cmd.MarkFlagRequired("wallet-key-file") // the flag is there
	return cmd
}

func serveWallet(ctx context.Context, address string, h http.Handler, log *slog.Logger) error {
	l, err := listen("listen", address)
	if err != nil {
		return err
	}
	log.Info("wallet simulator", "url", "http://"+l.Addr().String())
	return newHTTPServer(l, h, internalWriteTimeout, log).run(ctx)
}
