package app_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"tickcast/bus"
	"tickcast/internal/testkit"
	"tickcast/internal/testsvc"
)

// deployment is the roles as separate processes against real services, NATS with
// the users and permissions of the roles.
type deployment struct {
	t        testing.TB
	secrets  []string // environment of every process
	services []string // flags of every process
	redis    string   // URL
	database string   // URL
	nats     *testsvc.Service
	rooms    []*server
	gateways []*server
	ledger   *server
}

func startDeployment(t testing.TB) *deployment {
	t.Helper()
	return startDeploymentOf(t, 2, 4)
}

// startDeploymentOf starts two gateways, a ledger worker and some room servers, which
// are named room-0, room-1 and so on.
func startDeploymentOf(t testing.TB, rooms, partitions int) *deployment {
	t.Helper()
	d := &deployment{t: t, secrets: []string{
		"TICKCAST_ROOM_SECRET=" + testSecret, "TICKCAST_JWT_SECRET=" + testSecret, "TICKCAST_OPERATOR_KEY=" + testSecret,
	}}
	passwords := map[bus.Role]string{}
	for _, r := range bus.Roles() {
		passwords[r] = natsPassword(r)
		d.secrets = append(d.secrets, bus.PasswordVariable(r)+"="+passwords[r])
	}
	config := bus.ServerConfig(passwords, bus.ServerOptions{})
	d.redis = testsvc.Redis(t)
	d.nats, d.database = testsvc.StartNATS(t, config), testsvc.Postgres(t)
	d.services = []string{"--nats-url", d.nats.URL, "--redis-url", d.redis}
	for i := range rooms {
		d.rooms = append(d.rooms, d.process("room", "--node", fmt.Sprint("room-", i), "--partitions", strconv.Itoa(partitions)))
	}
	for range 2 {
		d.gateways = append(d.gateways, d.process("gateway", "--guests", "on"))
	}
	d.ledger = d.process("ledger", "--database-url", d.database)
	all := append(append([]*server{d.ledger}, d.rooms...), d.gateways...)
	for _, s := range all {
		s.start()
	}
	for _, s := range all {
		s.awaitReady()
	}
	return d
}

// natsPassword is that of a role's user.
func natsPassword(r bus.Role) string { return "password-of-" + string(r) }

func (d *deployment) process(args ...string) *server {
	return newServer(d.t, d.secrets, append(args, d.services...)...)
}

// run runs a command of the program and wants it to succeed.
func (d *deployment) run(args ...string) string {
	d.t.Helper()
	return runCommand(d.t, d.secrets, args...)
}

// TestRoles plays in rooms of every partition through two gateways, with two room
// servers and a ledger worker, each a process of its own.
func TestRoles(t *testing.T) {
	t.Parallel()
	d := startDeployment(t)
	// Bots are spread over rooms and gateways in turn: with five rooms and two gateways
	// each room is played in through both.
	var rooms []string
	for i := range 5 {
		room := fmt.Sprintf("room-%d", i)
		settings := []string{"--set", "betting_ms=2000", "--set", "cap=150"} // a flight ends, which all see, while the bots play
		if i == 4 {
			settings = []string{"--game", "race"}
		}
		d.run(append([]string{"rooms", "create", room, "--api", d.gateways[i%2].internal}, settings...)...)
		rooms = append(rooms, room)
	}
	for _, g := range d.gateways {
		testkit.Eventually(t, "each gateway lists all rooms", deadline, func() bool {
			return strings.Count(d.run("rooms", "list", "--api", g.internal), "running") == len(rooms)
		})
	}
	testkit.Eventually(t, "each room server owns partitions with rooms", deadline, func() bool { return len(d.roomOwners()) == len(d.rooms) })
	report := filepath.Join(t.TempDir(), "report.json")
	out := d.run("swarm", "--workers", "2", "--bots", "60", "--duration", "12s", "--settle", deadline.String(), "--reconnect-every", "8s", "--room", strings.Join(rooms, ","),
		"--json", report, "--url", d.gateways[0].socket(), "--url", d.gateways[1].socket())
	t.Log(out)
	if b, err := os.ReadFile(report); err != nil || !strings.Contains(string(b), `"verdict": "passed"`) {
		t.Errorf("report: %v\n%s", err, b)
	}
	for _, s := range append(append([]*server{}, d.gateways...), append(d.rooms, d.ledger)...) {
		if code := s.stop(); code != 0 {
			t.Errorf("%v: exit code %d after SIGTERM", s.args, code)
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
	body, err := newCapture().get(channelInternal, d.gateways[0].internal+"/api/partitions", testSecret)
	if err != nil {
		d.t.Fatal(err)
	}
	var answer struct {
		Partitions []struct {
			Partition int
			Owner     string
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		d.t.Fatal(err)
	}
	owners := map[string]int{}
	for _, p := range answer.Partitions {
		if inhabited[p.Partition] && p.Owner != "" {
			owners[p.Owner]++
		}
	}
	return owners
}
