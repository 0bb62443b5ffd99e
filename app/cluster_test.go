package app_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"tickcast/internal/service"
	"tickcast/internal/testkit"
	"tickcast/wire"
)

// databaseDown is how long PostgreSQL is away while bets are settled.
func databaseDown() int {
	if long {
		return 60
	}
	return 8
}

// TestClusterUnderFaults breaks one service after the other under bots that play through
// both gateways of a cluster: Redis fails over and is flushed, the node that leads a log
// hangs and another is killed, the database goes while bets are settled. Nothing is lost,
// no bot meets an error that is none of the game's, and the audit finds no difference.
func TestClusterUnderFaults(t *testing.T) {
	t.Parallel()
	d := startCluster(t)

	rooms := d.makeRooms()
	w := d.startSwarm(rooms, "--bots", "30", "--duration", (time.Duration(70+databaseDown()) * time.Second).String())
	testkit.Eventually(t, "the swarm plays", deadline, func() bool { return w.second() >= 4 })

	d.failRedisOver()
	d.playOn(w, 3)
	d.flushRedis()
	d.playOn(w, 3)
	d.hangALeader(rooms[0])
	d.playOn(w, 3)
	d.nats[0].Kill()
	d.playOn(w, 3)
	d.mustStart(d.nats[0])
	d.awaitWholeLog()
	d.loseDatabase(w)
	w.wantPassed()
	testkit.Eventually(t, "every bet has its end", deadline, func() bool {
		return d.countRows(`SELECT COUNT(*) FROM bets b WHERE NOT EXISTS (SELECT 1 FROM ends e WHERE e.bet = b.id)`) == 0
	})
	d.wantNoDifference()
	for _, s := range d.processes() {
		if code := s.stop(); code != 0 {
			t.Errorf("%v: exit code %d after SIGTERM", s.args, code)
		}
	}
}

// playOn waits until the swarm has played for some seconds more.
func (d *deployment) playOn(w *swarm, seconds int) {
	d.t.Helper()
	until := w.second() + seconds
	testkit.Eventually(d.t, "the swarm plays on", deadline, func() bool { return w.second() >= until })
}

func (d *deployment) mustStart(s *service.Service) {
	d.t.Helper()
	if err := s.Start(); err != nil {
		d.t.Fatal(err)
	}
}

// failRedisOver kills the master and brings it back when another one is the master.
func (d *deployment) failRedisOver() {
	d.t.Helper()
	old := d.redisMaster()
	old.Kill()
	testkit.Eventually(d.t, "another Redis is the master", deadline, func() bool { return d.redisMaster() != old })
	d.mustStart(old)
}

// hangALeader stops the node that leads a room's log (SIGSTOP) until another one leads it.
func (d *deployment) hangALeader(room string) {
	d.t.Helper()
	js, _ := d.logOf(room)
	name := wire.PartitionStream(wire.PartitionOf(room, d.partitions))
	leads := func() string {
		s, err := js.Stream(d.t.Context(), name)
		if err != nil || s.CachedInfo().Cluster == nil {
			return ""
		}
		return s.CachedInfo().Cluster.Leader
	}
	var old string
	testkit.Eventually(d.t, "a node leads the log", deadline, func() bool { old = leads(); return old != "" })
	for _, node := range d.nats {
		if !strings.HasSuffix(node.Name(), " "+old) {
			continue
		}
		if err := node.Signal(syscall.SIGSTOP); err != nil {
			d.t.Fatal(err)
		}
		testkit.Eventually(d.t, "another node leads the log", deadline, func() bool { now := leads(); return now != "" && now != old })
		if err := node.Signal(syscall.SIGCONT); err != nil {
			d.t.Fatal(err)
		}
	}
	d.awaitWholeLog()
}

func (d *deployment) awaitWholeLog() {
	d.t.Helper()
	testkit.Eventually(d.t, "all nodes have the log", deadline, func() bool { return d.natsCluster.Whole() == nil })
}

// loseDatabase takes the database away while bets are on and others were paid.
func (d *deployment) loseDatabase(w *swarm) {
	d.t.Helper()
	testkit.Eventually(d.t, "bets were paid", deadline, func() bool {
		return d.countRows(`SELECT COUNT(*) FROM transfers WHERE kind = 'payout'`) > 0
	})
	d.postgres.Kill()
	d.playOn(w, databaseDown())
	d.mustStart(d.postgres)
}
