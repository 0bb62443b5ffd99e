package room

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/archive"
	"tickcast/audit/judge"
	"tickcast/bus"
	"tickcast/internal/testkit"
	"tickcast/room/cashier"
	"tickcast/room/crash"
	"tickcast/room/game"
	"tickcast/room/race"
	"tickcast/wire"
)

// deploy is a stage on which servers of several versions come and go.
type deploy struct {
	*stage
	hosts map[string]*hosted // that run
	ended []*hosted
}

func newDeploy(t *testing.T, partitions int) *deploy {
	d := &deploy{stage: newStage(t, partitions), hosts: map[string]*hosted{}}
	d.configure = func(c *HostConfig) { c.CheckpointRecords = 100 }
	return d
}

func testKinds(more ...game.Kind) []game.Kind {
	return append([]game.Kind{crash.New(crash.NewChains(testSecret, rand.NewChaCha8([32]byte{7}))), race.Kind{}}, more...)
}

// start starts a server with these games besides crash and race, after the one of that
// name, if it runs, has ended.
func (d *deploy) start(node string, more ...game.Kind) *hosted {
	d.t.Helper()
	d.end(node)
	d.hosts[node] = d.hostOf(node, false, testKinds(more...)...)
	return d.hosts[node]
}

func (d *deploy) end(node string) {
	if h := d.hosts[node]; h != nil {
		h.stop()
		d.ended = append(d.ended, h)
		delete(d.hosts, node)
	}
}

// wantShares waits until every server owns its share.
func (d *deploy) wantShares(why string) {
	d.t.Helper()
	d.eventually(why, func() bool {
		for _, h := range d.hosts {
			if h.owned() != d.partitions/len(d.hosts) {
				return false
			}
		}
		return true
	})
}

// inForce reports whether a version of beat is in force in all partitions of all servers.
func (d *deploy) inForce(version int) bool {
	for _, h := range d.hosts {
		for _, p := range h.Partitions() {
			if p.Halted != "" || p.Versions["beat"] != version {
				return false
			}
		}
	}
	return true
}

// wantRounds waits until more rounds are played by a version of the rules in each room.
func (d *deploy) wantRounds(why string, version int, rooms ...string) {
	d.t.Helper()
	mark := fmt.Sprintf(`"rules":%d`, version)
	count := func(room string) (n int) {
		for _, u := range d.updates[room] {
			if strings.Contains(u, `"e":"beat"`) && strings.Contains(u, mark) {
				n++
			}
		}
		return n
	}
	before := map[string]int{}
	d.mu.Lock()
	for _, room := range rooms {
		before[room] = count(room)
	}
	d.mu.Unlock()
	d.eventually(why, func() bool {
		for _, room := range rooms {
			if count(room) < before[room]+5 {
				return false
			}
		}
		return true
	})
}

// wantOneState ends all servers: each that has not halted has the state that a fold of the
// log from its first record has at the same place, by the newest program. It returns the
// versions that the logs put into force, in order, of partition 0.
func (d *deploy) wantOneState(more ...game.Kind) (stated []wire.Versions) {
	d.t.Helper()
	for node := range maps.Clone(d.hosts) {
		d.end(node)
	}
	js := jetStream(d.t, d.connect("room"))
	compared := 0
	for partition := range d.partitions {
		stream, err := js.Stream(d.t.Context(), wire.PartitionStream(partition))
		if err != nil {
			d.t.Fatal(err)
		}
		f := &feed{js: js, stream: stream, name: wire.PartitionStream(partition)}
		info := stream.CachedInfo()
		p := NewPartition(PartitionConfig{ID: partition, Created: info.Created.UnixNano(), Kinds: testKinds(more...), Cashier: cashier.Kind{}})
		var out Output
		err = f.read(d.t.Context(), 1, info.State.LastSeq, func(rec Record) error {
			if err := p.Apply(rec, &out); err != nil {
				return err
			}
			if evt, _ := decodeOwner(rec.Data); rec.Kind == wire.KindOwner && evt.Kind == wire.OwnerVersions && partition == 0 {
				stated = append(stated, p.versions)
			}
			for _, h := range d.ended {
				if r := h.replicas[partition]; r.halted == nil && r.part.last.Seq == rec.Seq {
					compared++
					if got, want := r.part.Snapshot(), p.Snapshot(); string(got) != string(want) {
						return fmt.Errorf("%s has at record %d\n%s\nthe log says\n%s", h.cfg.Node, rec.Seq, got, want)
					}
				}
			}
			return nil
		})
		if err != nil {
			d.t.Fatal(err)
		}
	}
	if compared == 0 {
		d.t.Fatal("nothing was compared")
	}
	return stated
}

// players bet in all rooms of crash of a deploy: each round one bet with a target, and one that
// is cashed out when the curve is seen to move.
type players struct {
	*deploy
	js    jetstream.JetStream
	rooms []string // static behind play

	mu    sync.Mutex        // guards the rest
	seen  map[string]bool   // phases, and those of their ticks, by room and round
	flies map[string]uint64 // the round that flies in a room
	over  bool
}

// play makes a room of crash in each partition, in which players begin to bet.
func (d *deploy) play() *players {
	d.t.Helper()
	js := jetStream(d.t, d.gateway)
	p := &players{deploy: d, js: js, seen: map[string]bool{}, flies: map[string]uint64{}}
	d.subscribe(d.gateway, "out.*.*.*", p.see)
	for i := 0; len(p.rooms) < d.partitions; i++ {
		room := fmt.Sprint("crash-", i)
		if slices.ContainsFunc(p.rooms, func(other string) bool {
			return wire.PartitionOf(other, d.partitions) == wire.PartitionOf(room, d.partitions)
		}) {
			continue
		}
		p.rooms = append(p.rooms, room)
		settings := map[string]any{"betting_ms": 300, "crashed_ms": 200, "cap": 110, "rtp_bp": 8000} // which loses one in five
		if a := d.act(room, wire.ActionCreate, wire.CreateArgs{UUID: roomUUID(i), Game: "crash", Settings: game.Encode(settings)}); !a.OK {
			d.t.Fatalf("create %s: %v", room, a.Error)
		}
	}
	return p
}

// see plays by what the page of a player would be told.
func (p *players) see(m *nats.Msg) {
	token := strings.Split(m.Subject, ".")
	_, body, err := wire.ParseOut(m.Data)
	if room, class := token[2], wire.OutClass(token[3]); err == nil && strings.HasPrefix(room, "crash-") {
		p.mu.Lock()
		defer p.mu.Unlock()
		switch class {
		case wire.OutUpdate:
			p.update(room, body)
		case wire.OutTick:
			p.tick(room, body)
		}
	}
}

func (p *players) update(room string, body []byte) {
	var u struct {
		Events []struct {
			E, Phase string
			Round    uint64
		} `json:"events"`
	}
	if err := json.Unmarshal(body, &u); err != nil {
		p.t.Errorf("update %s: %v", body, err)
	}
	for _, e := range u.Events {
		if e.E != "phase" || !p.first(room, e.Round, e.Phase) {
			continue
		}
		delete(p.flies, room)
		switch {
		case e.Phase == "betting" && !p.over:
			p.send(room, "ann", "bet", e.Round, betArgs{Amount: 100, Auto: 101})
			p.send(room, "bob", "bet", e.Round, betArgs{Amount: 300})
		case e.Phase == "flying":
			p.flies[room] = e.Round
		}
	}
}

// tick cashes out at the ticks of a flight, of which one or the other comes before the crash.
func (p *players) tick(room string, body []byte) {
	var tick wire.Tick
	if err := json.Unmarshal(body, &tick); err != nil {
		p.t.Errorf("tick %s: %v", body, err)
	}
	if round := p.flies[room]; round > 0 && p.first(room, round, fmt.Sprint("tick ", tick.Time)) {
		p.send(room, "bob", "cashout", round, betArgs{})
	}
}

// first reports whether something is heard of a round for the first time: a new owner says it
// again.
func (p *players) first(room string, round uint64, what string) bool {
	id := fmt.Sprint(room, " ", round, " ", what)
	seen := p.seen[id]
	p.seen[id] = true
	return !seen
}

func (p *players) send(room, player, op string, round uint64, args betArgs) {
	key := fmt.Sprintf("%s-%d-%d", op, round, len(p.seen))
	c := wire.Command{Player: player, Name: player, Gateway: "gw", Key: key, Op: op, Round: round, Args: game.Encode(args)}
	b, _ := c.AppendBinary(nil)
	subject := wire.CommandSubject(wire.PartitionOf(room, p.partitions), room)
	if _, err := p.js.PublishAsync(subject, b, jetstream.WithMsgID(c.MsgID(room))); err != nil {
		p.t.Errorf("%s %s: %v", player, op, err)
	}
}

// taken counts the commands of an operation that were taken in a room; the caller holds the
// stage's mu.
func (p *players) taken(room, op string) (n int) {
	for id, a := range p.answers {
		if a.OK && a.Room == room && strings.Contains(id, "|"+op+"-") {
			n++
		}
	}
	return n
}

// wantMore waits until more bets and cash-outs were taken in each room.
func (p *players) wantMore(why string) {
	p.t.Helper()
	before := map[string]int{}
	p.stage.mu.Lock()
	for _, room := range p.rooms {
		before[room+"bet"], before[room+"cashout"] = p.taken(room, "bet"), p.taken(room, "cashout")
	}
	p.stage.mu.Unlock()
	p.eventually(why, func() bool {
		return !slices.ContainsFunc(p.rooms, func(room string) bool {
			return p.taken(room, "bet") <= before[room+"bet"] || p.taken(room, "cashout") <= before[room+"cashout"]
		})
	})
}

// rest pauses the rooms and waits until nothing is on its way.
func (p *players) rest() {
	p.t.Helper()
	p.mu.Lock()
	p.over = true
	p.mu.Unlock()
	for _, room := range p.rooms {
		if a := p.act(room, wire.ActionPause, struct{}{}); !a.OK {
			p.t.Fatalf("pause %s: %v", room, a.Error)
		}
	}
	p.eventually("the rooms rest", func() bool {
		for _, room := range p.rooms {
			if !slices.ContainsFunc(slices.Collect(maps.Values(p.updates[room])), func(u string) bool { return strings.Contains(u, `"state":"paused"`) }) {
				return false
			}
		}
		return true
	})
	r := p.auditor()
	testkit.Eventually(p.t, "all is booked", patience, func() bool {
		for partition := range p.partitions {
			if l, _ := p.audit(r, judge.Config{Partition: partition, Settled: func(*judge.Round) error { return nil }}); l.Outstanding() > 0 {
				return false
			}
		}
		return true
	})
}

func (p *players) auditor() *archive.Reader {
	p.t.Helper()
	r, err := archive.NewReader(p.connect(bus.RoleAuditor))
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}

// audit judges what players bet in the log of a partition, up to its last record.
func (p *players) audit(r *archive.Reader, c judge.Config) (l *judge.Log, last uint64) {
	p.t.Helper()
	c.Rooms = map[string]bool{}
	for _, room := range p.rooms {
		c.Rooms[room] = true
	}
	l = judge.New(c)
	last, err := r.Last(p.t.Context(), c.Partition)
	if err != nil {
		p.t.Fatal(err)
	}
	err = r.Read(p.t.Context(), c.Partition, 1, last, func(rec archive.Record) error {
		return l.Feed(judge.Record{Seq: rec.Seq, Time: rec.Time, Subject: rec.Subject, Data: rec.Data, Foreign: rec.Foreign()})
	})
	if err = errors.Join(err, l.Close()); err != nil {
		p.t.Fatal(err)
	}
	return l, last
}

// wantSettled has the auditor judge the logs: no round is void, each bet has its one end, and
// balances are the grants, the stakes and what was paid.
func (p *players) wantSettled() {
	p.t.Helper()
	r := p.auditor()
	accounts, balances, ends := judge.NewAccounts(modelGrant), map[string]int64{}, map[judge.State]int{}
	settled := func(rd *judge.Round) error {
		if rd.Voided {
			return fmt.Errorf("round %d of room %s is void", rd.Number, rd.Room)
		}
		for _, b := range rd.Bets {
			ends[b.State]++
			switch b.State {
			case judge.Won:
				balances[b.Player] += b.Payout - b.Stake
			case judge.Lost:
				balances[b.Player] -= b.Stake
			}
		}
		return nil
	}
	for partition := range p.partitions {
		l, last := p.audit(r, judge.Config{Partition: partition, Accounts: accounts, Settled: settled})
		if n := len(slices.DeleteFunc(l.Unsettled(), func(rd *judge.Round) bool { return len(rd.Bets) == 0 })); n > 0 || l.Outstanding() > 0 || l.Judged() != last {
			p.t.Errorf("partition %d: %d rounds are not settled, %d bookings have no result, judged up to record %d of %d", partition, n, l.Outstanding(), l.Judged(), last)
		}
	}
	if gap := accounts.Gap(); gap != nil {
		p.t.Error(gap)
	}
	p.stage.mu.Lock()
	defer p.stage.mu.Unlock()
	for player, balance := range p.book.balances {
		if want := modelGrant + balances[player]; balance != want {
			p.t.Errorf("%s has %d, and by his bets %d", player, balance, want)
		}
	}
	if ends[judge.Won] == 0 || ends[judge.Lost] == 0 || len(balances) != 2 {
		p.t.Errorf("bets ended as %v, of players %v", ends, balances)
	}
	p.t.Logf("bets ended as %v", ends)
}
