//go:build long

package room

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/bus"
	"tickcast/internal/service"
	"tickcast/internal/testkit"
	"tickcast/internal/testsvc"
	"tickcast/room/game"
	"tickcast/wire"
)

// replicas are three NATS servers with the log of one partition, and a room server.
type replicas struct {
	*lonelyHost
	*service.NATSCluster
	nc *nats.Conn
}

func startReplicas(t *testing.T) *replicas {
	t.Helper()
	c := testsvc.StartNATSCluster(t, clusterConfig)
	url := strings.ReplaceAll(c.URL(), "nats://", "nats://room:password@")
	r := &replicas{startLonely(t, url, 3), c, nil}
	nc, err := bus.Connect(t.Context(), url, "reader")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	r.nc = nc
	return r
}

// cutPower takes from a node that does not run what it stored since.
func (r *replicas) cutPower(i int, since time.Time) {
	r.t.Helper()
	testsvc.CutPower(r.t, filepath.Join(r.Nodes[i].Dir(), "store"), since)
}

func (r *replicas) awaitWhole(why string) {
	r.t.Helper()
	testkit.Eventually(r.t, why, 2*patience, func() bool { return r.Whole() == nil })
}

// read hashes the log up to a record, as the node that leads it has it.
func (r *replicas) read(upTo uint64) (hash string, err error) {
	h := sha256.New()
	for seq := uint64(1); seq <= upTo; seq++ {
		ctx, cancel := context.WithTimeout(r.t.Context(), claimTimeout)
		m, err := r.nc.RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+wire.PartitionStream(0), []byte(fmt.Sprintf(`{"seq":%d}`, seq)))
		cancel()
		if err != nil {
			return "", err
		}
		var answer struct {
			Message json.RawMessage
			Error   *jetstream.APIError
		}
		if err := json.Unmarshal(m.Data, &answer); err != nil {
			return "", err
		}
		if answer.Error != nil {
			return "", fmt.Errorf("record %d: %w", seq, answer.Error)
		}
		h.Write(answer.Message)
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}

// log is read as soon as the cluster answers, which it does not behind each change of its leaders.
func (r *replicas) log(upTo uint64) (hash string) {
	r.t.Helper()
	testkit.Eventually(r.t, "the log can be read", patience, func() bool {
		var err error
		hash, err = r.read(upTo)
		return err == nil
	})
	return hash
}

// lead has a node lead the log.
func (r *replicas) lead(i int) {
	r.t.Helper()
	node := fmt.Sprint("n", i)
	testkit.Eventually(r.t, node+" leads the log", patience, func() bool {
		js, err := jetstream.New(r.nc)
		if err != nil {
			r.t.Fatal(err)
		}
		s, err := js.Stream(r.t.Context(), wire.PartitionStream(0))
		if err != nil || s.CachedInfo().Cluster == nil {
			return false
		}
		if s.CachedInfo().Cluster.Leader == node {
			return true
		}
		request := game.Encode(map[string]any{"placement": map[string]string{"preferred": node}})
		_, _ = r.nc.Request("$JS.API.STREAM.LEADER.STEPDOWN."+wire.PartitionStream(0), request, claimTimeout)
		return false
	})
}

// wantEqual wants all nodes to have the same log.
func (r *replicas) wantEqual(why string) {
	r.t.Helper()
	upTo, first := r.Partitions()[0].Seq, ""
	for i := range r.Nodes {
		r.lead(i)
		var hash string
		testkit.Eventually(r.t, fmt.Sprint(why, ": node ", i, " is read"), patience, func() bool {
			var err error
			if hash, err = r.read(upTo); err != nil {
				r.t.Log(err)
			}
			return err == nil
		})
		if first == "" {
			first = hash
		}
		if hash != first {
			r.t.Errorf("%s: node %d has another log than node 0 up to record %d", why, i, upTo)
		}
	}
}

// TestOneOfThreeLosesItsTail cuts the power of each node in turn: nothing is lost, as two
// others have it.
func TestOneOfThreeLosesItsTail(t *testing.T) {
	r := startReplicas(t)
	for i, node := range r.Nodes {
		before := time.Now()
		r.wantMore(fmt.Sprintf("before node %d loses power", i))
		upTo := r.Partitions()[0].Seq
		was := r.log(upTo)
		node.Kill()
		r.cutPower(i, before)
		r.wantMore(fmt.Sprintf("node %d has no power", i))
		mustStart(t, node)
		r.awaitWhole(fmt.Sprintf("node %d has its tail again", i))
		r.lead(i)
		if r.log(upTo) != was {
			t.Fatalf("the log up to record %d is another one than before node %d lost power", upTo, i)
		}
	}
	r.wantMore("rounds go on")
	r.wantEqual("in the end")
	if p := r.Partitions()[0]; p.LostAt > 0 || p.Halted != "" {
		t.Errorf("nothing was lost: %+v", p)
	}
}

// TestTwoOfThreeLoseTheirTails cuts the power of two nodes; the third, which has its tail,
// is emptied before it comes back. The loss is noticed, and all have the same log.
func TestTwoOfThreeLoseTheirTails(t *testing.T) {
	r := startReplicas(t)
	r.wantMore("rounds")
	before := time.Now()
	r.wantMore("what is lost")
	for _, node := range r.Nodes {
		node.Kill()
	}
	for i := range 2 {
		r.cutPower(i, before)
		mustStart(t, r.Nodes[i])
	}
	testkit.Eventually(t, "the lost tail is noticed", 2*patience, func() bool { return r.Partitions()[0].LostAt > 0 })
	r.wantMore("two go on")
	if err := os.RemoveAll(filepath.Join(r.Nodes[2].Dir(), "store")); err != nil {
		t.Fatal(err)
	}
	mustStart(t, r.Nodes[2])
	r.awaitWhole("the third has the log of the others")
	r.wantMore("three go on")
	r.wantEqual("in the end")
}

// TestAllThreeLoseTheirTails cuts the power of all.
func TestAllThreeLoseTheirTails(t *testing.T) {
	r := startReplicas(t)
	r.wantMore("rounds")
	before := time.Now()
	r.wantMore("what is lost")
	for _, node := range r.Nodes {
		node.Kill()
	}
	for i, node := range r.Nodes {
		r.cutPower(i, before)
		mustStart(t, node)
	}
	testkit.Eventually(t, "the lost tail is noticed", 2*patience, func() bool { return r.Partitions()[0].LostAt > 0 })
	r.awaitWhole("all are one")
	r.wantMore("rounds go on")
	r.wantEqual("in the end")
}
