package loadtest

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"tickcast/wire"
)

// Config says what a swarm does. Only URLs and Rooms are needed; every other
// field has a meaning when it is zero. For probabilities and rates zero means
// the stated default and a negative value means never.
type Config struct {
	// URLs are the WebSocket addresses of the gateways, with path
	// ("ws://127.0.0.1:8080/ws"). A bot starts at one of them and comes back at any.
	URLs []string `json:"urls"`
	// Rooms are the rooms to join; bots are spread over them evenly.
	Rooms []string `json:"rooms"`
	// RoomsPerBot is how many of the rooms each bot joins; 0 means 1.
	RoomsPerBot int `json:"rooms_per_bot"`
	// Game is what the rooms must play, "crash" or "race". Empty means whatever each
	// room's snapshot says.
	Game string `json:"game,omitempty"`
	// Bots is the number of bots; 0 means 100. Each needs a file descriptor, and a
	// second one while it moves to another connection.
	Bots int `json:"bots"`
	// Duration is how long the bots act, ramp included; 0 means 30 s.
	Duration time.Duration `json:"duration_ns"`
	// Ramp is the time over which the bots start, evenly; 0 means 250 bots a second,
	// but at most half of Duration. Negative means all at once.
	Ramp time.Duration `json:"ramp_ns"`
	// WarmUp is the first part of Duration, whose lateness of updates, ticks, answers and chat does not
	// count: it is that of a herd that joins. Whether all is correct counts, and so do joins. 0 means none.
	WarmUp time.Duration `json:"warm_up_ns,omitempty"`
	// Settle is how long the bots listen at most after they stopped acting, for the
	// answers, updates and balances that are still owed; 0 means 5 s.
	Settle time.Duration `json:"settle_ns"`
	// Seed makes the bots' decisions repeatable; 0 is a seed like any other.
	Seed uint64 `json:"seed"`

	// Tokens are the players' tokens, given to the bots in turn. Empty means that
	// tokens are minted with Secret, or asked for at POST /api/guest without one.
	Tokens []string `json:"-"`
	// Secret is the HS256 secret with which tokens are minted.
	Secret []byte `json:"-"`
	// Sources are local addresses or prefixes ("127.0.1.0/24") from which
	// connections are made in turn. One pair of addresses has about 28,000 ports, so
	// more connections to one gateway need several. Empty leaves it to the kernel.
	Sources []string `json:"sources,omitempty"`

	// Scenario names what the run is meant to show, for the report.
	Scenario string `json:"scenario,omitempty"`
	// DialsAtOnce bounds the handshakes that are under way; 0 means 128.
	DialsAtOnce int `json:"dials_at_once"`

	Kill       Kill       `json:"kill"`
	Fleet      Fleet      `json:"fleet"`
	Behaviour  Behaviour  `json:"behaviour"`
	Thresholds Thresholds `json:"thresholds"`

	// Attempts is how often a command may be refused for the time being before its bot
	// gives it up, which leaves open whether it took effect; 0 means 8.
	Attempts int `json:"attempts,omitempty"`
	// Witness is told what players experience, in a run of one process only.
	Witness Witness `json:"-"`

	// plain gives every connection a goroutine, as on systems without epoll; for tests.
	plain bool

	// JSONFile is where the report is written as JSON, and HTMLFile as a page for
	// people; empty means nowhere.
	JSONFile string `json:"-"`
	HTMLFile string `json:"-"`
}

// Behaviour is how the bots of a swarm play.
type Behaviour struct {
	// BetProbability is the chance of a bet in a round; 0 means 0.8.
	BetProbability float64 `json:"bet_probability"`
	// SecondBetProbability is the chance that a bet comes with one on the other
	// slot; 0 means 0.2.
	SecondBetProbability float64 `json:"second_bet_probability"`
	// EarlyBetProbability is the chance that a bet for the next round is placed during
	// the flight before; 0 means 0.1.
	EarlyBetProbability float64 `json:"early_bet_probability"`
	// AutoProbability is the chance that a bet has an auto-cash-out target; 0 means 0.5.
	AutoProbability float64 `json:"auto_probability"`
	// CancelProbability is the chance that a bet is cancelled before the flight; 0
	// means 0.05.
	CancelProbability float64 `json:"cancel_probability"`
	// CashOutDelay is the mean time from the start of a flight to a manual cash-out
	// (exponentially distributed); 0 means 3 s.
	CashOutDelay time.Duration `json:"cash_out_delay_ns"`
	// TapRate is how often a bot taps in a race, per second; 0 means 5.
	TapRate float64 `json:"tap_rate"`
	// ChatRate is how many chat lines a bot writes per minute; 0 means none, because
	// each line goes to everybody in the room.
	ChatRate float64 `json:"chat_rate"`
	// ReconnectEvery is the mean time after which a bot leaves its connection and
	// resumes on another (uniform between half and one and a half of it); 0 means
	// 30 s, negative never.
	ReconnectEvery time.Duration `json:"reconnect_every_ns"`
	// MakeBeforeBreak is the share of those reconnects that resume on a second
	// connection before the first is closed; 0 means 0.3. The others lose the
	// connection without a word.
	MakeBeforeBreak float64 `json:"make_before_break"`

	// OutageEvery is how often a bot loses the network for Outage, on a schedule of its
	// own; 0 means never. It knows when the network is back, and returns then.
	OutageEvery time.Duration `json:"outage_every_ns,omitempty"`
	Outage      time.Duration `json:"outage_ns,omitempty"`
	// Stuck is the share of bots that stop reading once they have joined their rooms,
	// and Crawl that of bots that read a tenth of what the others get. They only watch,
	// and are judged separately: what they miss they must be told of, and in the end,
	// when they read again, they must have it all.
	Stuck float64 `json:"stuck,omitempty"`
	Crawl float64 `json:"crawl,omitempty"`
	// Idle means that nothing needs to happen in the rooms. Instead every connection
	// must last, and answer in the end.
	Idle bool `json:"idle,omitempty"`
}

// Thresholds are bounds on what was measured. Each that is not zero is one more
// check of the verdict. Durations are wall-clock bounds: choose them for the machine.
type Thresholds struct {
	AnswerP99    time.Duration `json:"answer_p99_ns,omitempty"`    // command or tap to answer; bets are bounded by BetP99
	BetP99       time.Duration `json:"bet_p99_ns,omitempty"`       // bet or cancel to answer, which goes through the ledger
	SpreadP99    time.Duration `json:"spread_p99_ns,omitempty"`    // first bot to each bot, the same update
	JoinP99      time.Duration `json:"join_p99_ns,omitempty"`      // join to joined
	ReconnectP99 time.Duration `json:"reconnect_p99_ns,omitempty"` // intended return to joined again
	ReplayP99    time.Duration `json:"replay_p99_ns,omitempty"`    // first bot to each bot, updates from the past
	DeliveryP99  time.Duration `json:"delivery_p99_ns,omitempty"`  // game time to arrival, over the least seen
	// Degraded is how many sequences may be degraded for slowness (skip), and
	// TicksMissed how many ticks may be missing that others got, not counting bots
	// that are slow on purpose; negative means none.
	Degraded    int `json:"degraded,omitempty"`
	TicksMissed int `json:"ticks_missed,omitempty"`
}

// Limits of a swarm.
const (
	maxBots     = 100_000
	maxDuration = 7 * 24 * time.Hour
	// maxSources bounds the addresses that prefixes expand to: enough for a million
	// connections, and few enough for a slice.
	maxSources = 1024
)

// withDefaults returns c with every zero field replaced by what zero means, and
// negative ones by what negative means.
func (c Config) withDefaults() Config {
	c.RoomsPerBot = orDefault(c.RoomsPerBot, 1)
	c.Bots = orDefault(c.Bots, 100)
	c.Duration = orDefault(c.Duration, 30*time.Second)
	c.Settle = orDefault(c.Settle, 5*time.Second)
	c.DialsAtOnce = orDefault(c.DialsAtOnce, 128)
	c.Attempts = orDefault(c.Attempts, 8)
	c.Kill.After = orDefault(c.Kill.After, c.Duration/2)
	c.Ramp = max(0, orDefault(c.Ramp, min(c.Duration/2, time.Duration(c.Bots)*time.Second/250)))
	b := &c.Behaviour
	for _, p := range []struct {
		field *float64
		zero  float64
	}{
		{&b.BetProbability, 0.8},
		{&b.SecondBetProbability, 0.2},
		{&b.EarlyBetProbability, 0.1},
		{&b.AutoProbability, 0.5},
		{&b.CancelProbability, 0.05},
		{&b.TapRate, 5},
		{&b.MakeBeforeBreak, 0.3},
	} {
		*p.field = max(0, orDefault(*p.field, p.zero))
	}
	b.ChatRate = max(0, b.ChatRate)
	b.CashOutDelay = max(0, orDefault(b.CashOutDelay, 3*time.Second))
	b.ReconnectEvery = max(0, orDefault(b.ReconnectEvery, 30*time.Second))
	return c
}

func orDefault[T comparable](v, zero T) T {
	var none T
	if v == none {
		return zero
	}
	return v
}

// Validate reports everything that is wrong with c, or nil. A valid Config can
// still fail at run time: gateways may be down and rooms unknown.
func (c Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(c.URLs) == 0 {
		bad("urls: at least one gateway is needed, for example ws://127.0.0.1:8080/ws")
	}
	for _, u := range c.URLs {
		if p, err := url.Parse(u); err != nil || p.Host == "" || !slices.Contains([]string{"ws", "wss"}, p.Scheme) {
			bad("urls: %q is not a ws:// or wss:// address", u)
		}
	}
	if len(c.Rooms) == 0 {
		bad("rooms: at least one room is needed")
	}
	named := map[string]bool{}
	for _, r := range c.Rooms {
		if !wire.ValidRoomID(r) || named[r] {
			bad("rooms: %q is not a room ID, or is named twice", r)
		}
		named[r] = true
	}
	if _, err := expandSources(c.Sources); err != nil {
		errs = append(errs, err)
	}
	d := c.withDefaults()
	if d.RoomsPerBot < 1 || d.RoomsPerBot > min(max(1, len(c.Rooms)), wire.MaxRoomsPerSession) {
		bad("rooms per bot: %d is not between 1 and the number of rooms, nor over %d", d.RoomsPerBot, wire.MaxRoomsPerSession)
	}
	if c.Game != "" && c.Game != gameCrash && c.Game != gameRace {
		bad("game: %q is not one that the swarm can play (crash, race)", c.Game)
	}
	if d.Bots < 1 || d.Bots > maxBots {
		bad("bots: %d is not between 1 and %d", d.Bots, maxBots)
	}
	if d.DialsAtOnce < 1 || d.Attempts < 1 {
		bad("dials at once, attempts: %d and %d are none", d.DialsAtOnce, d.Attempts)
	}
	if !c.Witness.none() && (c.Fleet.Workers > 0 || c.Fleet.Remote > 0) {
		bad("witness: it cannot see what happens in other processes")
	}
	if d.Kill.Expected && len(d.URLs) < 2 {
		bad("urls: when a gateway is killed the bots need another one to come back to")
	}
	if d.WarmUp < 0 || d.WarmUp > 0 && d.WarmUp >= d.Duration {
		bad("warm-up: %s is no part of %s", d.WarmUp, d.Duration)
	}
	if d.Duration < 0 || d.Duration > maxDuration || d.Settle < 0 || d.Ramp > d.Duration {
		bad("duration: %s with a ramp of %s and %s to settle is not possible", d.Duration, d.Ramp, d.Settle)
	}
	return errors.Join(append(errs, d.Behaviour.validate(), d.Fleet.validate())...)
}

func (b Behaviour) validate() error {
	for name, p := range map[string]float64{
		"bet": b.BetProbability, "second bet": b.SecondBetProbability, "early bet": b.EarlyBetProbability,
		"auto": b.AutoProbability, "cancel": b.CancelProbability, "make before break": b.MakeBeforeBreak,
		"stuck": b.Stuck, "crawl": b.Crawl,
	} {
		if !(p <= 1) {
			return fmt.Errorf("behaviour: the %s probability %v is over 1", name, p)
		}
	}
	if b.OutageEvery < 0 || b.Outage < 0 || b.OutageEvery > 0 && b.Outage >= b.OutageEvery || b.Stuck < 0 || b.Crawl < 0 {
		return fmt.Errorf("behaviour: outages of %s every %s, or shares of slow bots %v and %v, are not possible", b.Outage, b.OutageEvery, b.Stuck, b.Crawl)
	}
	if !(b.TapRate <= 1000) || !(b.ChatRate <= 6000) {
		return fmt.Errorf("behaviour: %v taps a second or %v chat lines a minute are more than a bot can send", b.TapRate, b.ChatRate)
	}
	return nil
}

// expandSources turns addresses and prefixes into addresses.
func expandSources(sources []string) ([]netip.Addr, error) {
	var out []netip.Addr
	for _, s := range sources {
		if a, err := netip.ParseAddr(s); err == nil {
			out = append(out, a)
			continue
		}
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("sources: %q is neither an address nor a prefix", s)
		}
		for a := p.Masked().Addr().Next(); p.Contains(a) && len(out) < maxSources; a = a.Next() {
			out = append(out, a)
		}
	}
	if len(out) > maxSources {
		return nil, fmt.Errorf("sources: more than %d addresses", maxSources)
	}
	return out, nil
}

// seat is the room of seat i of bot n. Bots take the gateways in turn, and a room with each gateway's bot, so that
// every room is joined through every gateway.
func (c *Config) seat(n, i int) string { return c.Rooms[(n/len(c.URLs)+i)%len(c.Rooms)] }
