package app_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tickcast/bus"
	"tickcast/internal/testkit"
	"tickcast/internal/testsvc"
)

// deployment is the roles as separate processes against real services, NATS with
// the users and permissions of the roles.
type deployment struct {
	t        *testing.T
	secrets  []string // environment of every process
	services []string // flags of every process
	rooms    []*server
	gateways []*server
	ledger   *server
}

func startDeployment(t *testing.T) *deployment {
	t.Helper()
	d := &deployment{t: t, secrets: []string{
		"TICKCAST_ROOM_SECRET=" + testSecret, "TICKCAST_JWT_SECRET=" + testSecret, "TICKCAST_OPERATOR_KEY=" + testSecret,
	}}
	passwords := map[bus.Role]string{}
	for _, r := range bus.Roles() {
		passwords[r] = "password of " + string(r)
		d.secrets = append(d.secrets, bus.PasswordVariable(r)+"="+passwords[r])
	}
	config := strings.Replace(bus.ServerConfig(passwords, bus.ServerOptions{}), `store_dir: "/data"`, "", 1)
	d.services = []string{"--nats-url", testsvc.StartNATS(t, config).URL, "--redis-url", testsvc.Redis(t)}
	for range 2 {
		d.rooms = append(d.rooms, d.process("room", "--partitions", "4"))
		d.gateways = append(d.gateways, d.process("gateway", "--guests", "on"))
	}
	d.ledger = d.process("ledger", "--database-url", testsvc.Postgres(t))
	all := append(append([]*server{d.ledger}, d.rooms...), d.gateways...)
	for _, s := range all {
		s.start()
	}
	for _, s := range all {
		s.awaitReady()
	}
	return d
}

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
	var rooms []string
	for i := range 6 {
		room := fmt.Sprintf("room-%d", i)
		settings := []string{"--set", "betting_ms=2000"}
		if i == 5 {
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
	owners := map[string]bool{}
	for _, r := range d.rooms {
		owners[fmt.Sprint(strings.Contains(r.log.String(), "owns the partition"))] = true
	}
	if owners["false"] {
		t.Error("a room server owns nothing")
	}
	report := filepath.Join(t.TempDir(), "report.json")
	out := d.run("swarm", "--bots", "60", "--duration", "12s", "--room", strings.Join(rooms, ","), "--json", report,
		"--url", strings.Replace(d.gateways[0].public, "http", "ws", 1), "--url", strings.Replace(d.gateways[1].public, "http", "ws", 1))
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
