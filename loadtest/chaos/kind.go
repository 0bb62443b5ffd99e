package chaos

import "time"

// Kind is a kind of fault, in the words of the report.
type Kind string

// The kinds of faults. Each happens at least once in a run.
const (
	KillRoom       Kind = "kill room server"         // SIGKILL, started again
	BlinkRoom      Kind = "blink of room server"     // SIGSTOP, shorter than anybody's patience
	HangRoom       Kind = "hang of room server"      // SIGSTOP, deposed meanwhile, SIGCONT
	RestartRoom    Kind = "restart room server"      // SIGTERM, started again
	PartitionRoom  Kind = "partition of room server" // its connections to the log carry nothing
	VoidRound      Kind = "void round"               // by an operator
	KillGateway    Kind = "kill gateway"             // SIGKILL
	BlinkGateway   Kind = "blink of gateway"         // SIGSTOP, short
	HangGateway    Kind = "hang of gateway"          // SIGSTOP, long
	RestartGateway Kind = "restart gateway"          // SIGTERM: it drains
	KillLedger     Kind = "kill ledger worker"       // SIGKILL
	BlinkLedger    Kind = "blink of ledger worker"   // SIGSTOP, short
	HangLedger     Kind = "hang of ledger worker"    // SIGSTOP, long
	RestartLedger  Kind = "restart ledger worker"    // SIGTERM
	StepDown       Kind = "step-down of log leader"  // another NATS node leads a partition's stream
	KillNATS       Kind = "kill NATS node"           // SIGKILL of one of three
	FlushRedis     Kind = "flush Redis"              // it forgets everything
	KillRedis      Kind = "kill Redis master"        // the sentinel promotes the replica
	StopPostgres   Kind = "PostgreSQL stopped"       // SIGKILL, away for half a minute
)

// group is a set of parts that must not all be away at once.
type group string

const (
	rooms    group = "room servers"
	gateways group = "gateways"
	ledgers  group = "ledger workers"
	log      group = "log"
	redis    group = "Redis"
	postgres group = "PostgreSQL"
	players  group = "players" // what harms nothing that must come back
)

// groupInfo says how many members a group has, and how many of them may be in
// trouble at once so that the others can go on.
type groupInfo struct{ members, atOnce int }

// groups are all groups. A majority of the log's nodes must live, or nothing is
// acknowledged at all.
var groups = map[group]groupInfo{
	rooms:    {members: 3, atOnce: 2},
	gateways: {members: 2, atOnce: 1},
	ledgers:  {members: 2, atOnce: 1},
	log:      {members: 3, atOnce: 1},
	redis:    {members: 1, atOnce: 1},
	postgres: {members: 1, atOnce: 1},
	players:  {members: 1, atOnce: 1},
}

// kindInfo is what the plan needs to know of a kind.
type kindInfo struct {
	kind   Kind
	group  group
	weight int // how often it is drawn, against the others
	// least and most bound how long the trouble lasts; both 0: no time.
	least, most time.Duration
	// recovery is what the plan leaves for things to be whole again. The run waits for
	// as long as that really takes.
	recovery time.Duration
}

const second = time.Second

// kinds are all kinds, in the order of the report.
func kinds() []kindInfo {
	return []kindInfo{
		{KillRoom, rooms, 6, second / 5, 3 * second, 2 * second},
		{BlinkRoom, rooms, 3, second / 10, 7 * second / 10, second},
		{HangRoom, rooms, 4, 2 * second, 6 * second, 2 * second},
		{RestartRoom, rooms, 3, 0, 0, 3 * second},
		{PartitionRoom, rooms, 4, 2 * second, 6 * second, 3 * second},
		{VoidRound, players, 2, 0, 0, second},
		{KillGateway, gateways, 4, second / 2, 3 * second, 3 * second},
		{BlinkGateway, gateways, 2, second / 10, 7 * second / 10, second},
		{HangGateway, gateways, 2, 3 * second, 8 * second, 3 * second},
		{RestartGateway, gateways, 2, 0, 0, 8 * second},
		{KillLedger, ledgers, 4, second / 5, 3 * second, 2 * second},
		{BlinkLedger, ledgers, 2, second / 5, second, second},
		{HangLedger, ledgers, 2, 2 * second, 6 * second, 2 * second},
		{RestartLedger, ledgers, 2, 0, 0, 3 * second},
		{StepDown, log, 4, 0, 0, 2 * second},
		{KillNATS, log, 1, second, 4 * second, 14 * second},
		{FlushRedis, redis, 2, 0, 0, second},
		{KillRedis, redis, 1, 2 * second, 4 * second, 12 * second},
		{StopPostgres, postgres, 0, postgresAway, postgresAway, 6 * second},
	}
}

// postgresAway is how long PostgreSQL is stopped: longer than any bet waits.
const postgresAway = 30 * second

// infoOf finds a kind's entry.
func infoOf(k Kind) kindInfo {
	for _, i := range kinds() {
		if i.kind == k {
			return i
		}
	}
	panic("chaos: kind " + string(k) + " is not in the table")
}
