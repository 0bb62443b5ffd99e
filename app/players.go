package app

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tickcast/wire"
)

func newPlayers() *cobra.Command {
	o := &operatorFlags{}
	cmd := &cobra.Command{
		Use:     "players",
		Short:   "Credit, mute and kick players",
		GroupID: "operators",
		Args:    onlyCommands,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	o.add(cmd)
	cmd.AddCommand(newPlayersCredit(o),
		newSanction(o, wire.ActionMute, "Keep a player from chatting"),
		newSanction(o, wire.ActionKick, "Close a player's connections and refuse new ones"))
	return cmd
}

func newPlayersCredit(o *operatorFlags) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:     "credit PLAYER CREDITS",
		Short:   "Credit a player from the house's account",
		Example: "  tickcast players credit alice 250.00 --reason 'tournament prize'",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			amount, err := parseCredits(args[1])
			if err != nil {
				return err
			}
			body := map[string]any{"amount": amount, "reason": reason}
			return o.do(cmd, http.MethodPost, playerPath(args[0])+"/"+wire.ActionCredit, body, fmt.Sprintf("%s: %s credits are booked", args[0], args[1]))
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the audit list")
	return cmd
}

// newSanction is a mute or a kick: for a time, or its end.
func newSanction(o *operatorFlags, op, short string) *cobra.Command {
	var reason string
	var length time.Duration
	var end bool
	cmd := &cobra.Command{
		Use:   op + " PLAYER",
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if length <= 0 {
				return errors.New("for: a time over zero is needed")
			}
			until, done := time.Now().Add(length), ""
			body := map[string]any{"until": until.UnixMilli(), "reason": reason}
			if done = fmt.Sprintf("%s: %s until %s", args[0], op, until.Format(time.DateTime)); end {
				body["until"], done = 0, fmt.Sprintf("%s: %s has ended", args[0], op)
			}
			return o.do(cmd, http.MethodPost, playerPath(args[0])+"/"+op, body, done)
		},
	}
	f := cmd.Flags()
	f.DurationVar(&length, "for", 10*time.Minute, "for how long")
	f.BoolVar(&end, "end", false, "end it instead")
	f.StringVar(&reason, "reason", "", "why, for the audit list")
	cmd.MarkFlagsMutuallyExclusive("for", "end")
	return cmd
}

func playerPath(player string) string { return "/players/" + url.PathEscape(player) }

// parseCredits reads an amount of credits with at most two decimals, and returns
// minor units.
func parseCredits(s string) (int64, error) {
	whole, fraction, dotted := strings.Cut(s, ".")
	if len(fraction) > 2 || dotted && fraction == "" || strings.HasPrefix(whole, "+") || strings.HasPrefix(fraction, "+") || strings.HasPrefix(fraction, "-") {
		return 0, fmt.Errorf("%q is not an amount such as 250 or 250.50", s)
	}
	amount, err := strconv.ParseInt(whole+(fraction + "00")[:2], 10, 64)
	if err != nil || amount <= 0 {
		return 0, fmt.Errorf("%q is not an amount over zero such as 250 or 250.50", s)
	}
	return amount, nil
}
