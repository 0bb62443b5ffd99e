package app_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/internal/testkit"
	"tickcast/wire"
)

// Of logs that are trimmed every few seconds: records that stay, of a segment, and between
// checkpoints.
const (
	fewKept     = 50
	fewTogether = 20
	fewBetween  = 50
	// fewInLog are all that a log has but while it waits for a checkpoint or the archive.
	fewInLog = fewKept + 3*fewBetween + 2*fewTogether
)

// trimmed is a deployment whose logs are trimmed every few seconds.
type trimmed struct {
	*deployment
	names []string // of rooms
}

// TestLogsAreTrimmed plays with logs that are short and kills all room servers in a flight,
// with nothing left in Redis, so that others begin at a checkpoint: they go on with the same
// round, and players see no gap. The audit reads what was trimmed from the archive, and names
// a segment that was altered.
func TestLogsAreTrimmed(t *testing.T) {
	onEach(t, kinds(), testLogsAreTrimmed,
		"--log-keep", fmt.Sprint(fewKept), "--segment-records", fmt.Sprint(fewTogether), "--checkpoint-records", fmt.Sprint(fewBetween), "--checkpoint-interval", "2s")
}

func testLogsAreTrimmed(t *testing.T, deployment *deployment) {
	d := &trimmed{deployment: deployment, names: deployment.makeRooms()}
	ann := d.record("ann", d.names[0], d.gateways...)
	w := d.startSwarm(d.names, "--bots", "24", "--duration", "25s")
	d.awaitTrimming("logs are trimmed, and trimmed again")
	d.awaitTrimming("and once more")

	epochs := d.epochs()
	round := d.killInAFlight(ann)
	if d.natsURL != "" { // who looks into the store of a killed box mends it
		d.wantClaims()
	}
	for _, s := range d.rooms {
		s.startReady()
	}
	testkit.Eventually(t, "other owners speak", deadline, func() bool {
		for p, epoch := range d.epochs() {
			if epoch <= epochs[p] {
				return false
			}
		}
		return true
	})
	ann.wantEnd(round)
	d.awaitTrimming("logs are trimmed by who began at a checkpoint")

	w.wantPassed()
	var logs []streamInfo
	testkit.Eventually(t, "logs have few of many records", deadline, func() bool {
		logs = d.logs()
		return !slices.ContainsFunc(logs, func(log streamInfo) bool { return log.Messages > fewInLog || log.LastSeq < 2*fewInLog })
	})
	t.Logf("%+v", logs)
	wantSame(t, ann)
	if n := d.countRows(`SELECT COUNT(*) FROM rounds WHERE voided = 1`); n != 0 {
		t.Errorf("%d rounds were voided", n)
	}
	d.wantNoDifference()
	d.wantClaims()
	d.wantExported(logs)
	d.wantAlterationFound()
}

// streamInfo is what the operator API tells of a stream.
type streamInfo struct {
	Name     string
	Messages uint64
	FirstSeq uint64 `json:"first_seq"`
	LastSeq  uint64 `json:"last_seq"`
}

// logs are the logs of all partitions.
func (d *trimmed) logs() (list []streamInfo) {
	d.t.Helper()
	var answer struct{ Streams []streamInfo }
	d.ask("/api/log", &answer)
	for _, s := range answer.Streams {
		for p := range d.partitions {
			if s.Name == wire.PartitionStream(p) {
				list = append(list, s)
			}
		}
	}
	if len(list) != d.partitions {
		d.t.Fatalf("logs of %d partitions: %+v", d.partitions, answer)
	}
	return list
}

// awaitTrimming waits until every log has been trimmed twice more.
func (d *trimmed) awaitTrimming(why string) {
	d.t.Helper()
	first, times := map[string]uint64{}, map[string]int{}
	testkit.Eventually(d.t, why, 2*deadline, func() bool {
		done := true
		for _, log := range d.logs() {
			if was, seen := first[log.Name]; seen && log.FirstSeq > was {
				times[log.Name]++
			}
			first[log.Name] = log.FirstSeq
			done = done && times[log.Name] >= 2
		}
		return done
	})
}

// epochs are those of all partitions that somebody owns.
func (d *trimmed) epochs() map[int]uint64 {
	d.t.Helper()
	epochs := map[int]uint64{}
	for _, p := range d.owned() {
		epochs[p.Partition] = p.Epoch
	}
	return epochs
}

// killInAFlight kills all room servers while a round flies that somebody watches, and
// empties Redis.
func (d *trimmed) killInAFlight(watch *recorder) (round uint64) {
	d.t.Helper()
	for {
		dead := make(chan struct{})
		watch.when(`"phase":"flying"`, func(string) {
			for _, s := range d.rooms {
				s.kill()
			}
			close(dead)
		})
		select {
		case <-dead:
		case <-time.After(deadline):
			d.t.Fatal("no round flies")
		}
		if d.flushRedis != nil { // that of a box died with it
			d.flushRedis()
		}
		if now, _ := watch.now(); now.Phase == "flying" {
			return now.Round
		}
		for _, s := range d.rooms { // that flight was too short
			s.startReady()
		}
	}
}

// wantEnd wants the round of a watched room to have ended at its crash point.
func (r *recorder) wantEnd(round uint64) {
	r.t.Helper()
	end := fmt.Sprintf(`"phase":"crashed","round":%d,`, round)
	testkit.Eventually(r.t, fmt.Sprintf("round %d crashes", round), deadline, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return slices.ContainsFunc(r.updates, func(u string) bool { return strings.Contains(u, end) })
	})
}

// atStreams works on the streams with the rights of a room server. A single box is stopped.
func (d *trimmed) atStreams(work func(js jetstream.JetStream)) {
	d.t.Helper()
	if d.natsURL == "" {
		atLogs(d.t, filepath.Dir(d.database), func(_ *nats.Conn, js jetstream.JetStream) { work(js) })
		return
	}
	js, _ := d.logOf(d.names[0])
	work(js)
}

// wantClaims wants every log to have the claim of its owner.
func (d *trimmed) wantClaims() {
	d.t.Helper()
	d.atStreams(func(js jetstream.JetStream) {
		for p := range d.partitions {
			log, err := js.Stream(d.t.Context(), wire.PartitionStream(p))
			if err != nil {
				d.t.Fatal(err)
			}
			if _, err := log.GetLastMsgForSubject(d.t.Context(), wire.ClaimSubject(p)); err != nil {
				d.t.Errorf("%s, which begins with record %d, has no claim: %v", wire.PartitionStream(p), log.CachedInfo().State.FirstSeq, err)
			}
		}
	})
}

// wantExported wants an export to have every record from the first on, and at least those
// that the logs had.
func (d *trimmed) wantExported(logs []streamInfo) {
	d.t.Helper()
	path := filepath.Join(d.t.TempDir(), "log.jsonl")
	d.run(append([]string{"audit", "export", path}, d.logSource()...)...)
	f, err := os.Open(path)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	last := map[string]uint64{}
	for lines := json.NewDecoder(f); lines.More(); {
		var e exported
		if err := lines.Decode(&e); err != nil {
			d.t.Fatal(err)
		}
		if e.Seq != last[e.Stream]+1 {
			d.t.Fatalf("record %d of %s behind %d", e.Seq, e.Stream, last[e.Stream])
		}
		last[e.Stream] = e.Seq
	}
	for _, log := range logs {
		if last[log.Name] < log.LastSeq {
			d.t.Errorf("the export of %s ends with record %d, and there were %d", log.Name, last[log.Name], log.LastSeq)
		}
	}
}

// wantAlterationFound alters a segment of the archive, which the audit must name, and puts
// it right again.
func (d *trimmed) wantAlterationFound() {
	d.t.Helper()
	var name string
	alter := func() {
		d.atStreams(func(js jetstream.JetStream) {
			o, err := js.ObjectStore(d.t.Context(), wire.BucketArchive)
			if err != nil {
				d.t.Fatal(err)
			}
			if name == "" {
				list, err := o.List(d.t.Context())
				if err != nil {
					d.t.Fatal(err)
				}
				name = list[len(list)/2].Name
			}
			b, err := o.GetBytes(d.t.Context(), name)
			if err != nil {
				d.t.Fatal(err)
			}
			b[len(b)/2] ^= 1
			if _, err := o.PutBytes(d.t.Context(), name, b); err != nil {
				d.t.Fatal(err)
			}
		})
	}
	alter()
	if out, err := d.audit(); err == nil || !strings.Contains(out, name) {
		d.t.Errorf("segment %s was altered: %v\n%s", name, err, out)
	}
	alter() // back
	d.wantNoDifference()
}
