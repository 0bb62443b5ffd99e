package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/loadtest"
)

// Config says how to run. Program is needed; every other field has a meaning when it is
// zero.
type Config struct {
	Program  string        // path of this program
	Seed     uint64        // of the plan and the bots; 0 is a seed like any other
	Duration time.Duration // how long the bots play; 0 means 180 s
	Bots     int           // 0 means 500
	Keep     string        // directory for all logs, the log's export and the report; empty: removed when the run passed
	JSONFile string        // where the report is written as JSON; empty means nowhere
	HTMLFile string        // where it is written as a page
}

// Limits of a run.
const (
	defaultDuration = 180 * time.Second
	leastDuration   = 150 * time.Second // for thirty faults, of which one lasts half a minute
	mostDuration    = 24 * time.Hour
	defaultBots     = 500
	leastBots       = 2 * partitions // two in each room, or nothing is compared
)

// WithDefaults returns c with every zero field replaced by what zero means.
func (c Config) WithDefaults() Config {
	if c.Duration == 0 {
		c.Duration = defaultDuration
	}
	if c.Bots == 0 {
		c.Bots = defaultBots
	}
	return c
}

// Validate reports what is wrong with c, or nil.
func (c Config) Validate() error {
	c = c.WithDefaults()
	if c.Duration < leastDuration || c.Duration > mostDuration {
		return fmt.Errorf("duration: %s is not between %s and %s", c.Duration, leastDuration, mostDuration)
	}
	if c.Bots < leastBots {
		return fmt.Errorf("bots: %d are fewer than %d, two in each room", c.Bots, leastBots)
	}
	return nil
}

const (
	// patience is for how much longer than planned a run may take.
	patience = 2 * time.Minute
	// extension is for how much longer bots play on a machine so slow that the plan is done before there were
	// commands enough.
	extension = time.Minute
	// settle is the longest wait for what is owed to the bots in the end: a flight, the bets'
	// ends, commands that were asked for again.
	settle = 45 * time.Second
	// drainTimeout bounds the wait for the ends of all bets in the ledger.
	drainTimeout = time.Minute
	// checkTimeout bounds all checks together, which take some ten seconds.
	checkTimeout = 5 * time.Minute
)

// run is a run under way.
type run struct {
	Config
	plan    Plan
	dir     string
	cluster *cluster
	journal journal
	logs    logWatch
	out     io.Writer // static; progress
}

// Run starts a cluster, lets bots play in it while the plan of the seed is inflicted, and
// judges. It writes its progress to progress, and returns when all processes have ended.
// The report says whether the run passed; dir is where everything was kept, "" if
// nowhere. An error means that there is no verdict.
func Run(ctx context.Context, c Config, progress io.Writer) (report *loadtest.Report, dir string, err error) {
	c = c.WithDefaults()
	if err := c.Validate(); err != nil {
		return nil, "", fmt.Errorf("chaos: %w", err)
	}
	r := &run{Config: c, plan: NewPlan(c.Seed, c.Duration), out: progress}
	if r.dir, err = makeDir(c.Keep); err != nil {
		return nil, "", fmt.Errorf("chaos: %w", err)
	}
	report, err = r.do(ctx)
	if err == nil {
		err = report.WriteFiles(filepath.Join(r.dir, "report.json"), filepath.Join(r.dir, "report.html"))
	}
	if err == nil {
		err = report.WriteFiles(c.JSONFile, c.HTMLFile)
	}
	if err != nil {
		return report, r.dir, fmt.Errorf("chaos: %w", err)
	}
	if report.Passed() && c.Keep == "" {
		return report, "", os.RemoveAll(r.dir)
	}
	return report, r.dir, nil
}

// makeDir makes the directory of a run, which must be empty or not there. PostgreSQL runs
// as another user, who must get through.
func makeDir(keep string) (string, error) {
	if keep == "" {
		dir, err := os.MkdirTemp("", "tickcast-chaos-")
		if err != nil {
			return "", err
		}
		return dir, os.Chmod(dir, 0o755)
	}
	dir, err := filepath.Abs(keep)
	if err != nil {
		return "", err
	}
	if there, err := os.ReadDir(dir); err == nil && len(there) > 0 {
		return "", fmt.Errorf("%s is not empty", dir)
	}
	return dir, os.MkdirAll(dir, 0o755)
}

func (r *run) do(ctx context.Context) (*loadtest.Report, error) {
	r.cluster = newCluster(r.Program, r.dir)
	defer r.cluster.close()
	began := time.Now()
	if err := r.cluster.start(ctx); err != nil {
		return nil, err
	}
	conn, err := r.cluster.connectLog()
	if err != nil {
		return nil, fmt.Errorf("connect to the log: %w", err)
	}
	defer conn.Close()
	if r.logs.js, err = jetstream.New(conn); err != nil {
		return nil, fmt.Errorf("connect to the log: %w", err)
	}
	r.say("the cluster is ready after %.1f s", time.Since(began).Seconds())
	report, faults, err := r.play(ctx)
	if err != nil {
		return nil, err
	}
	report.Faults = faults
	report.Config.Scenario = fmt.Sprintf("chaos, seed %d", r.Seed)
	r.judge(ctx, report)
	report.Pauses = pausesByKind(r.journal.pauses, report.Faults)
	r.count(report)
	return report, nil
}

func (r *run) say(format string, args ...any) { _, _ = fmt.Fprintf(r.out, format+"\n", args...) }

// play lets the bots play until the plan is done.
func (r *run) play(ctx context.Context) (*loadtest.Report, []loadtest.Fault, error) {
	lines := &lines{w: r.out}
	began := time.Now()
	schedule := newSchedule(r.plan, r.cluster.faultOf, lines.say, began)
	lines.now = schedule.now
	life, end := context.WithTimeoutCause(ctx, r.Duration+patience, errors.New("the run takes too long"))
	defer end()
	var work sync.WaitGroup
	work.Go(func() { r.logs.run(life) })
	work.Go(func() {
		schedule.Run(life)
		wait(life, max(time.Until(began.Add(r.Duration)), playedAfter))
		for last := time.Now().Add(extension); r.journal.granted() < playedLeast && time.Now().Before(last) && life.Err() == nil; {
			wait(life, time.Second)
		}
		end()
	})
	report, err := loadtest.Run(life, r.swarm(), lines)
	end()
	work.Wait()
	if err != nil {
		return nil, nil, err
	}
	report.Interrupted = ctx.Err() != nil // that the plan was done is no interruption
	return report, schedule.faults(), nil
}

// playedAfter is for how long bots play at least when all is whole again.
const playedAfter = 5 * time.Second

// playedLeast is how many commands are acknowledged before a run ends in time: half of them and more are operations
// on accounts.
const playedLeast = 2 * max(leastGranted, leastOperations)

// swarm is how the bots play: in all rooms, through both gateways, and they ask for as
// long as it takes for the answer to each command.
func (r *run) swarm() loadtest.Config {
	return loadtest.Config{
		URLs: r.cluster.socketURLs(), Rooms: roomNames(), Bots: r.Bots, Seed: r.Seed, Secret: []byte(r.cluster.secrets["TICKCAST_JWT_SECRET"]),
		Duration: r.Duration + patience + time.Minute, Ramp: 4 * time.Second, Settle: settle, Attempts: 1000, Witness: r.journal.witness(),
		Behaviour: loadtest.Behaviour{
			BetProbability: 0.95, SecondBetProbability: 0.3, CashOutDelay: 2 * time.Second, TapRate: 1.2, ReconnectEvery: 60 * time.Second,
		},
	}
}

// judge adds the checks of chaos.
func (r *run) judge(ctx context.Context, report *loadtest.Report) {
	r.say("judging: waiting for the ledger, then the audit")
	report.Add(judgeExtent(r.journal.granted()), judgeFaults(&r.plan, report.Faults))
	db, err := r.drain(ctx)
	if err != nil {
		report.Add(judge(checkLedger, ledgerHolds, nil, err))
		return
	}
	defer func() { _ = db.Close(context.WithoutCancel(ctx)) }()
	r.stop()
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	wrong, err := found(ctx, db, violations())
	report.Add(judge(checkLedger, ledgerHolds, wrong, err))
	wrong, err = found(ctx, db, doubles())
	report.Add(judge(checkOnce, "nothing happened twice: one bet at each place, one end of each bet, one payment of each end", wrong, err))
	b, err := readBook(ctx, db)
	var log *records
	if err == nil {
		err = r.logs.finish(ctx)
	}
	if err == nil {
		log, err = r.export(ctx)
	}
	if err != nil {
		report.Add(judge(checkAcknowledged, "every acknowledged command is in the log and the ledger", nil, err))
		return
	}
	report.Counts["records of the log"], report.Counts["bets in the ledger"] = log.total, uint64(len(b.bets))
	linear, operations := judgeHistory(&r.journal, b)
	report.Counts["operations on accounts put into an order"] = uint64(operations)
	r.logs.count(report.Counts)
	report.Add(judgeAcknowledged(r.journal.answers, log, b), judgeTrimming(r.logs.logs[:], log.streams), linear, r.audit(ctx))
}

const ledgerHolds = "PostgreSQL itself: entries sum to zero, nobody is below zero, balances are the sums of their entries, each bet has one end"

// drain waits until every bet has its end in the ledger, for as long as that may take, and
// gives the connection to the database.
func (r *run) drain(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	db, err := pgx.Connect(ctx, r.cluster.postgres.URL())
	if err != nil {
		return nil, fmt.Errorf("connect to the ledger's database: %w", err)
	}
	for ctx.Err() == nil {
		var open int
		if err := db.QueryRow(ctx, `SELECT COUNT(*) FROM bets b LEFT JOIN ends e ON e.bet = b.id WHERE e.bet IS NULL`).Scan(&open); err != nil || open == 0 {
			return db, err
		}
		wait(ctx, wholePoll)
	}
	return pgx.Connect(context.WithoutCancel(ctx), r.cluster.postgres.URL()) // the check of ends tells which
}

// stop ends the servers in good order, so that log and ledger stand still.
func (r *run) stop() {
	var work sync.WaitGroup
	for _, list := range [][]*member{r.cluster.rooms, r.cluster.gateways, r.cluster.ledgers} {
		for _, m := range list {
			work.Go(func() {
				if err := m.Stop(); err != nil {
					r.say("%v", err)
				}
			})
		}
	}
	work.Wait()
}

// exportFile is where the log is written, in the run's directory.
const exportFile = "log.jsonl"

func (r *run) export(ctx context.Context) (*records, error) {
	path := filepath.Join(r.dir, exportFile)
	if _, err := r.cluster.run(ctx, "audit", "export", path, "--nats", r.cluster.nats.URL()); err != nil {
		return nil, err
	}
	return readRecords(path)
}

// audit lets the auditor compare the log with the ledger.
func (r *run) audit(ctx context.Context) loadtest.Check {
	const what = "the audit folds the log again, and finds no difference in rounds, seeds, payouts and balances"
	out, err := r.cluster.run(ctx, "audit", "--export", filepath.Join(r.dir, exportFile), "--sql", r.cluster.postgres.URL())
	if werr := os.WriteFile(filepath.Join(r.dir, "audit.txt"), []byte(out), 0o644); err == nil {
		err = werr
	}
	var wrong []string
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "DIFFERENCE") {
			wrong = append(wrong, strings.TrimSpace(line))
		}
	}
	return judge(checkAudit, what, wrong, err)
}

// count puts the run's numbers into the report.
func (r *run) count(report *loadtest.Report) {
	c := report.Counts
	c["commands acknowledged"], c["commands answered for good"] = uint64(r.journal.granted()), uint64(len(r.journal.answers))
	c["faults"], c["kinds of faults"] = uint64(len(report.Faults)), uint64(len(kinds()))
}

// lines writes the swarm's progress with what is going wrong, and each fault in a line of
// its own.
type lines struct {
	mu  sync.Mutex
	w   io.Writer     // guarded by mu
	now func() string // static once the swarm runs
}

// Write takes in a line of the swarm.
func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := strings.TrimRight(string(b), "\n")
	if now := l.now(); now != "" {
		text += "  [" + now + "]"
	}
	_, _ = fmt.Fprintln(l.w, text) // a run is not lost because nobody watches
	return len(b), nil
}

func (l *lines) say(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = fmt.Fprintln(l.w, text)
}
