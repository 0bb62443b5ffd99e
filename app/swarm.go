package app

import (
	"bufio"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tickcast/loadtest"
)

// errVerdict makes the exit code 1 when a check of the swarm failed. The report
// has said which.
var errVerdict = errors.New("the swarm's verdict is: failed")

func newSwarm() *cobra.Command {
	var c loadtest.Config
	var files struct{ tokens, secret string }
	var fleet fleetFlags
	cmd := &cobra.Command{
		Use:   "swarm",
		Short: "Let bots play, and judge whether everybody saw the same",
		Long: `Lets bots join rooms, bet, cash out and reconnect, and judges what they saw:
whether every bot saw an identical sequence without a gap, whether each command had
exactly one answer, and how long answers took. The exit code is 1 if a check failed.

More bots than one process may open files for are shared out to several processes, also
of other machines (tickcast swarm worker --help).

Scenarios (--scenario) are flags that stand unless they are given:

` + scenarioTable(),
		Example: `  tickcast swarm --bots 1000 --duration 30s
  tickcast swarm --scenario slow --bots 5000 --html report.html
  tickcast swarm --url ws://a:8080 --url ws://b:8080 --room lobby,derby --json report.json`,
		GroupID: "tools",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.Scenario != "" {
				if err := applyScenario(cmd.Flags(), c.Scenario); err != nil {
					return err
				}
			}
			for i, u := range c.URLs {
				c.URLs[i] = socketURL(u)
			}
			if len(c.Rooms) == 0 {
				c.Rooms = defaultRooms(c.Game)
			}
			var err error
			if c.Rooms, err = expandRooms(c.Rooms); err != nil {
				return err
			}
			zeroIsNever(cmd.Flags(), &c.Behaviour)
			if err := readTokens(&c, files.tokens, files.secret); err != nil {
				return err
			}
			if c.Fleet, err = fleet.fleet(); err != nil {
				return err
			}
			collectGarbage(swarmGCPercent)
			report, err := loadtest.Run(cmd.Context(), c, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			if err := report.WriteText(cmd.OutOrStdout()); err != nil {
				return fmt.Errorf("print report: %w", err)
			}
			if !report.Passed() {
				return errVerdict
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	addRunFlags(f, &c)
	f.StringVar(&files.tokens, "token-file", "", "file of tokens, one a line")
	f.StringVar(&files.secret, "jwt-secret-file", "", "file of the key with which tokens are signed, instead of guests")
	fleet.add(f)
	addBehaviourFlags(f, &c.Behaviour)
	addThresholdFlags(f, &c.Thresholds)
	cmd.AddCommand(newSwarmWorker(), newSwarmChaos())
	return cmd
}

// addRunFlags adds the flags that say what to do, where, and what to write.
func addRunFlags(f *pflag.FlagSet, c *loadtest.Config) {
	f.StringSliceVar(&c.URLs, "url", []string{"ws://127.0.0.1:8080/ws"}, "WebSocket addresses of gateways; bots are spread over them")
	f.StringSliceVar(&c.Rooms, "room", nil, "rooms to join, many as many-[0-9999]; bots are spread over them (default lobby, or derby for --game race)")
	f.IntVar(&c.RoomsPerBot, "rooms-per-bot", 1, "rooms that each bot joins")
	f.StringVar(&c.Game, "game", "", "game that the rooms must play, crash or race; empty: whatever they play")
	f.IntVar(&c.Bots, "bots", 100, "number of bots")
	f.DurationVar(&c.Duration, "duration", 0, "how long the bots act (default 30s)")
	f.DurationVar(&c.Ramp, "ramp", 0, "time over which the bots start; 0: 250 a second; negative: all at once")
	f.DurationVar(&c.WarmUp, "warm-up", 0, "first part of the duration, whose lateness does not count (that of joins does, and all correctness)")
	f.DurationVar(&c.Settle, "settle", 0, "longest wait for what is still owed at the end (default 5s)")
	f.Uint64Var(&c.Seed, "seed", 0, "seed of the bots' decisions")
	f.StringArrayVar(&c.Tokens, "token", nil, "players' tokens, given to the bots in turn; none: guests")
	f.StringSliceVar(&c.Sources, "source", nil, "local addresses or networks to connect from, in turn")
	f.StringVar(&c.Scenario, "scenario", "", "kind of run: "+strings.Join(scenarioNames(), ", "))
	f.IntVar(&c.DialsAtOnce, "dials-at-once", 0, "handshakes under way at most (default 128)")
	f.StringVar(&c.JSONFile, "json", "", "file to write the report to, as JSON")
	f.StringVar(&c.HTMLFile, "html", "", "file to write the report to, as a page that needs no network")
	f.BoolVar(&c.Kill.Expected, "expect-kill", false, "fail if no gateway was lost")
	f.IntVar(&c.Kill.PID, "kill-pid", 0, "process of a gateway to kill")
	f.StringVar(&c.Kill.Command, "kill-command", "", "command for the shell that kills a gateway")
	f.DurationVar(&c.Kill.After, "kill-after", 0, "when, since the start (default half of the duration)")
}

func addBehaviourFlags(f *pflag.FlagSet, b *loadtest.Behaviour) {
	f.Float64Var(&b.BetProbability, "bet", 0.8, "chance of a bet in a round")
	f.Float64Var(&b.SecondBetProbability, "second-bet", 0.2, "chance that it comes with one on the other slot")
	f.Float64Var(&b.EarlyBetProbability, "early-bet", 0.1, "chance that it is placed during the flight before")
	f.Float64Var(&b.AutoProbability, "auto", 0.5, "chance that it has an auto-cash-out target")
	f.Float64Var(&b.CancelProbability, "cancel", 0.05, "chance that it is cancelled before the flight")
	f.DurationVar(&b.CashOutDelay, "cash-out-delay", 0, "mean time from the start of a flight to a cash-out (default 3s)")
	f.Float64Var(&b.TapRate, "tap-rate", 5, "taps of a bot in a race, per second")
	f.Float64Var(&b.ChatRate, "chat-rate", 0, "chat lines of a bot per minute")
	f.DurationVar(&b.ReconnectEvery, "reconnect-every", 0, "mean time between reconnects of a bot (default 30s; negative: never)")
	f.DurationVar(&b.OutageEvery, "outage-every", 0, "how often a bot loses the network; 0: never")
	f.DurationVar(&b.Outage, "outage", 0, "for how long")
	f.Float64Var(&b.Stuck, "stuck", 0, "share of bots that watch and stop reading")
	f.Float64Var(&b.Crawl, "crawl", 0, "share of bots that watch and read a tenth of what the others get")
	f.BoolVar(&b.Idle, "idle", false, "nothing needs to happen in the rooms; every connection must last")
	f.Float64Var(&b.MakeBeforeBreak, "make-before-break", 0.3, "share of reconnects that open the new connection first")
}

// zeroIsNever turns a chance or rate of zero on the command line into never: in
// the swarm's configuration zero stands for the default.
func zeroIsNever(f *pflag.FlagSet, b *loadtest.Behaviour) {
	for name, field := range map[string]*float64{
		"bet": &b.BetProbability, "second-bet": &b.SecondBetProbability, "early-bet": &b.EarlyBetProbability,
		"auto": &b.AutoProbability, "cancel": &b.CancelProbability, "tap-rate": &b.TapRate, "make-before-break": &b.MakeBeforeBreak,
	} {
		if f.Changed(name) && *field == 0 {
			*field = -1
		}
	}
}

func addThresholdFlags(f *pflag.FlagSet, t *loadtest.Thresholds) {
	f.DurationVar(&t.AnswerP99, "max-answer-p99", 0, "fail if the answer to a command takes longer (p99)")
	f.DurationVar(&t.BetP99, "max-bet-p99", 0, "fail if the answer to a bet takes longer (p99)")
	f.DurationVar(&t.SpreadP99, "max-spread-p99", 0, "fail if an update reaches a bot later than the first one by more (p99)")
	f.DurationVar(&t.JoinP99, "max-join-p99", 0, "fail if joining takes longer (p99)")
	f.DurationVar(&t.ReconnectP99, "max-reconnect-p99", 0, "fail if reconnecting takes longer (p99)")
	f.DurationVar(&t.ReplayP99, "max-replay-p99", 0, "fail if what was missed comes later, counted from the first bot (p99)")
	f.DurationVar(&t.DeliveryP99, "max-delivery-p99", 0, "fail if updates and ticks come later behind game time, over the least seen (p99)")
	f.IntVar(&t.Degraded, "max-degraded", 0, "sequences that may be degraded for slowness; 0: any number; negative: none")
	f.IntVar(&t.TicksMissed, "max-missed-ticks", 0, "ticks that may be missed; 0: any number; negative: none")
}

// defaultRooms are those that a fresh deployment has for the game, or its first one.
func defaultRooms(game string) []string {
	rooms := firstRooms()
	for _, r := range rooms {
		if r.Game == game {
			return []string{r.ID}
		}
	}
	return []string{rooms[0].ID}
}

// socketURL adds the path of the WebSocket to an address without one.
func socketURL(s string) string {
	if u, err := url.Parse(s); err == nil && u.Host != "" && (u.Path == "" || u.Path == "/") {
		u.Path = "/ws"
		return u.String()
	}
	return s
}

func readTokens(c *loadtest.Config, tokenFile, secretFile string) error {
	if secretFile != "" {
		secret, err := readSecret(secretFile)
		if err != nil {
			return err
		}
		c.Secret = []byte(secret)
	}
	if tokenFile == "" {
		return nil
	}
	f, err := os.Open(tokenFile)
	if err != nil {
		return fmt.Errorf("read tokens: %w", err)
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if token := strings.TrimSpace(lines.Text()); token != "" {
			c.Tokens = append(c.Tokens, token)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read tokens: %w", err)
	}
	return nil
}
