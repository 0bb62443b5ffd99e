package app_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tickcast/bus"
	"tickcast/internal/service"
	"tickcast/internal/testkit"
	"tickcast/internal/testsvc"
	"tickcast/wire"
)

// deployment is the program as processes, and the services that they use.
type deployment struct {
	t          testing.TB
	partitions int
	secrets    []string // environment of every process
	services   []string // flags of every process
	options    []string // flags of all but gateways
	natsURL    string   // of all nodes; "" where it is embedded
	database   string   // URL
	flushRedis func()   // nil where it is embedded

	// The processes by role. That of a single box has all roles.
	gateways, rooms, ledgers []*server

	// What a single box has not.
	nats  []*service.Service
	redis []*service.Service // the first is the master at the start
	// What only a cluster has.
	natsCluster *service.NATSCluster
	postgres    *service.Service
	sentinels   *service.SentinelRedis
}

// kind is a way to deploy the program.
type kind struct {
	name  string
	start func(t testing.TB, options ...string) *deployment // flags of all but gateways
}

// kinds are all of them. A cluster takes a while, and only with the tag long every test
// takes it.
func kinds() []kind { return append([]kind{{"single box", startBox}}, kindsOfRoles()...) }

// boxAndCluster are the default and what is farthest from it.
func boxAndCluster() []kind { return []kind{{"single box", startBox}, {"cluster", startCluster}} }

// kindsOfRoles are those with several processes.
func kindsOfRoles() []kind {
	list := []kind{{"roles", startDeployment}}
	if long {
		list = append(list, kind{"cluster", startCluster})
	}
	return list
}

// onEach runs a test on some kinds of deployments, side by side, with some options of room
// servers.
func onEach(t *testing.T, list []kind, test func(t *testing.T, d *deployment), options ...string) {
	t.Parallel()
	for _, k := range list {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			test(t, k.start(t, options...))
		})
	}
}

// startBox starts everything in one process.
func startBox(t testing.TB, options ...string) *deployment {
	t.Helper()
	d := newDeployment(t, 4, options)
	data := filepath.Join(t.TempDir(), "data")
	d.database = filepath.Join(data, "ledger.db")
	s := newServer(t, d.secrets, append([]string{"serve", "--data", data, "--partitions", strconv.Itoa(d.partitions)}, options...)...)
	s.startReady()
	d.gateways, d.rooms, d.ledgers = []*server{s}, []*server{s}, []*server{s}
	return d
}

// startDeployment starts the roles as separate processes against one of each service,
// NATS with the users and permissions of the roles.
func startDeployment(t testing.TB, options ...string) *deployment {
	t.Helper()
	return startDeploymentOf(t, 2, 4, options...)
}

// startDeploymentOf starts two gateways, a ledger worker and some room servers, which
// are named room-0, room-1 and so on.
func startDeploymentOf(t testing.TB, rooms, partitions int, options ...string) *deployment {
	t.Helper()
	d := newDeployment(t, partitions, options)
	nats := testsvc.StartNATS(t, bus.ServerConfig(natsPasswords(), bus.ServerOptions{}))
	redis := testsvc.StartRedis(t)
	d.nats, d.redis = []*service.Service{nats.Process()}, []*service.Service{redis.Process()}
	d.natsURL, d.database = nats.URL, testsvc.Postgres(t)
	d.services = []string{"--nats-url", d.natsURL, "--redis-url", redis.URL}
	d.flushRedis = func() { flush(t, service.Address(redis.Port)) }
	d.startRoles(rooms, 1)
	return d
}

// startCluster starts the roles against three NATS servers that replicate everything,
// Redis with Sentinels and PostgreSQL: two gateways, three room servers, two ledger
// workers.
func startCluster(t testing.TB, options ...string) *deployment {
	t.Helper()
	d := newDeployment(t, 4, options)
	d.natsCluster = testsvc.StartNATSCluster(t, func(n service.NATSNode) string {
		return bus.ServerConfig(natsPasswords(), bus.ServerOptions{
			Name: n.Name, Monitor: n.Monitor, ClusterName: "c", ClusterAddr: n.Routes, Routes: n.Others, NoAdvertise: true,
		})
	})
	d.sentinels = testsvc.StartSentinelRedis(t)
	d.nats, d.redis = d.natsCluster.Nodes, d.sentinels.Nodes
	postgres := testsvc.StartPostgres(t)
	d.natsURL, d.database, d.postgres = d.natsCluster.URL(), postgres.URL, postgres.Process()
	d.services = []string{"--nats-url", d.natsURL, "--redis-url", d.sentinels.URL()}
	d.flushRedis = func() { flush(t, service.Address(d.redisMaster().Port())) }
	d.startRoles(3, 2, "--replicas", "3")
	return d
}

func newDeployment(t testing.TB, partitions int, options []string) *deployment {
	d := &deployment{t: t, partitions: partitions, options: options, secrets: []string{
		"TICKCAST_ROOM_SECRET=" + testSecret, "TICKCAST_JWT_SECRET=" + testSecret, "TICKCAST_OPERATOR_KEY=" + testSecret,
	}}
	for r, password := range natsPasswords() {
		d.secrets = append(d.secrets, bus.PasswordVariable(r)+"="+password)
	}
	return d
}

// startRoles starts two gateways, room servers and ledger workers, and returns when they
// are ready. Options are the room servers'.
func (d *deployment) startRoles(rooms, ledgers int, options ...string) {
	d.t.Helper()
	for i := range rooms {
		args := []string{"room", "--node", fmt.Sprint("room-", i), "--partitions", strconv.Itoa(d.partitions)}
		d.rooms = append(d.rooms, d.process(slices.Concat(args, options, d.options)...))
	}
	for range 2 {
		d.gateways = append(d.gateways, d.process("gateway", "--guests", "on"))
	}
	for range ledgers {
		d.ledgers = append(d.ledgers, d.process(append([]string{"ledger", "--database-url", d.database}, d.options...)...))
	}
	d.startAll()
}

// natsPassword is that of a role's user.
func natsPassword(r bus.Role) string { return "password-of-" + string(r) }

func natsPasswords() map[bus.Role]string {
	all := map[bus.Role]string{}
	for _, r := range bus.Roles() {
		all[r] = natsPassword(r)
	}
	return all
}

func (d *deployment) process(args ...string) *server {
	return newServer(d.t, d.secrets, append(args, d.services...)...)
}

// processes are all of the program, gateways first.
func (d *deployment) processes() []*server {
	all := slices.Concat(d.gateways, d.rooms, d.ledgers)
	return slices.CompactFunc(all, func(a, b *server) bool { return a == b })
}

func (d *deployment) startAll() {
	d.t.Helper()
	for _, s := range d.processes() {
		s.start()
	}
	for _, s := range d.processes() {
		s.awaitReady()
	}
}

// redisMaster is the Redis that clients write to.
func (d *deployment) redisMaster() *service.Service {
	d.t.Helper()
	master, err := d.sentinels.Master()
	if err != nil {
		d.t.Fatal(err)
	}
	return master
}

// run runs a command of the program and wants it to succeed.
func (d *deployment) run(args ...string) string {
	d.t.Helper()
	return runCommand(d.t, d.secrets, args...)
}

// makeRooms makes a room in every partition, and waits until each gateway knows them. The
// last is a race; flights of the others end soon.
func (d *deployment) makeRooms() (names []string) {
	d.t.Helper()
	for p := range d.partitions {
		name, settings := roomIn(p, d.partitions), []string{"--set", "betting_ms=2000", "--set", "cap=150"}
		if p == d.partitions-1 {
			settings = []string{"--game", "race", "--set", "gathering_ms=1000", "--set", "running_ms=3000", "--set", "finished_ms=1000"}
		}
		g := d.gateways[p%len(d.gateways)]
		d.run(append([]string{"rooms", "create", name, "--api", g.internal}, settings...)...)
		names = append(names, name)
	}
	for _, g := range d.gateways {
		testkit.Eventually(d.t, "each gateway lists all rooms", deadline, func() bool {
			_, list := g.get(g.public + "/api/rooms")
			return !slices.ContainsFunc(names, func(name string) bool { return !strings.Contains(list, `"`+name+`"`) })
		})
	}
	return names
}

// roomIn is the name of a room in a partition of some.
func roomIn(partition, of int) string {
	for i := 0; ; i++ {
		if name := fmt.Sprint("room-", i); wire.PartitionOf(name, of) == partition {
			return name
		}
	}
}

// roomOwners counts the partitions with rooms of each node that owns one.
func (d *deployment) roomOwners() map[string]int {
	d.t.Helper()
	var list []struct{ Partition int }
	if err := json.Unmarshal([]byte(d.run("rooms", "list", "--json", "--api", d.gateways[0].internal)), &list); err != nil {
		d.t.Fatal(err)
	}
	inhabited := map[int]bool{}
	for _, room := range list {
		inhabited[room.Partition] = true
	}
	owners := map[string]int{}
	for _, p := range d.owned() {
		if inhabited[p.Partition] {
			owners[p.Owner]++
		}
	}
	return owners
}

// ownedPartition is what the operator API tells of one.
type ownedPartition struct {
	Partition int
	Owner     string
	Epoch     uint64
}

// owned are the partitions that somebody owns.
func (d *deployment) owned() []ownedPartition {
	d.t.Helper()
	var answer struct{ Partitions []ownedPartition }
	d.ask("/api/partitions", &answer)
	return slices.DeleteFunc(answer.Partitions, func(p ownedPartition) bool { return p.Owner == "" })
}

// ask asks the operator API.
func (d *deployment) ask(path string, answer any) {
	d.t.Helper()
	body, err := newCapture().get(channelInternal, d.gateways[0].internal+path, testSecret)
	if err == nil {
		err = json.Unmarshal(body, answer)
	}
	if err != nil {
		d.t.Fatalf("%s: %v", path, err)
	}
}

// logSource is where the audit finds the log.
func (d *deployment) logSource() []string {
	if d.natsURL == "" {
		return []string{"--data", filepath.Dir(d.database)}
	}
	return []string{"--nats", d.natsURL}
}

// audit audits the log and the ledger.
func (d *deployment) audit() (string, error) {
	d.t.Helper()
	return tryCommand(d.t, d.secrets, append([]string{"audit", "--sql", d.database}, d.logSource()...)...)
}

// wantNoDifference audits the log and the ledger. A single box is stopped for it.
func (d *deployment) wantNoDifference() {
	d.t.Helper()
	if d.natsURL == "" {
		if code := d.gateways[0].stop(); code != 0 {
			d.t.Errorf("exit code %d after SIGTERM", code)
		}
	}
	if out, err := d.audit(); err != nil || !strings.Contains(out, "no difference") {
		d.t.Errorf("the audit: %v\n%s", err, out)
	}
}

// books opens the ledger's database.
func (d *deployment) books() *sql.DB {
	d.t.Helper()
	driver, source := "pgx", d.database
	if d.natsURL == "" {
		driver, source = "sqlite", "file:"+d.database+"?mode=ro"
	}
	books, err := sql.Open(driver, source)
	if err != nil {
		d.t.Fatal(err)
	}
	return books
}

// countRows asks the ledger's database for a number, -1 when it does not answer.
func (d *deployment) countRows(query string) (n int64) {
	d.t.Helper()
	books := d.books()
	defer func() { _ = books.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if books.QueryRowContext(ctx, query).Scan(&n) != nil {
		return -1
	}
	return n
}
