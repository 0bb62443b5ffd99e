package room

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tickcast/room/cashier"
	"tickcast/room/crash"
	"tickcast/room/game"
	"tickcast/room/race"
	"tickcast/wire"
)

// beatKind is a game of which there are two versions: a round adds the version of its
// rules to a sum. stray, which only the program of version 2 has, is owed without regard
// to what others can fold.
type beatKind struct {
	newest int
	stray  *atomic.Bool
}

type beatRoom struct {
	kind beatKind
	beatState
}

type beatState struct {
	Round  uint64    `json:"round"`
	Rules  int       `json:"rules"`
	Sum    int       `json:"sum"`
	End    game.Time `json:"end"` // of the round; 0 while the next is owed
	Strays int       `json:"strays,omitempty"`
}

const beatLength = game.Time(100 * time.Millisecond)

func (k beatKind) Name() string { return "beat" }
func (k beatKind) Rules() int   { return k.newest }

func (k beatKind) New(game.At, game.Config, *game.Effects) (game.Room, *wire.Error) {
	return &beatRoom{kind: k}, nil
}

func (k beatKind) Restore(b []byte) (game.Room, error) {
	r := &beatRoom{kind: k}
	if err := json.Unmarshal(b, &r.beatState); err != nil {
		return nil, err
	}
	if r.beatState.Rules > k.newest {
		return nil, game.ErrUnknown
	}
	return r, nil
}

func (r *beatRoom) Command(_ game.At, c game.Command, fx *game.Effects)    { fx.Answer(c.Ref, struct{}{}) }
func (r *beatRoom) Action(game.At, wire.Action, *game.Effects) *wire.Error { return nil }
func (r *beatRoom) Result(game.At, wire.BookingResult, *game.Effects)      {}
func (r *beatRoom) State() string                                          { return "running" }
func (r *beatRoom) TickInterval() game.Time                                { return 0 }
func (r *beatRoom) Round() uint64                                          { return r.beatState.Round }

func (r *beatRoom) View(game.At) json.RawMessage   { return r.Snapshot() }
func (r *beatRoom) You(string) json.RawMessage     { return nil }
func (r *beatRoom) Snapshot() []byte               { return game.Encode(r.beatState) }
func (r *beatRoom) Advance(game.At, *game.Effects) { r.End = 0 }

func (r *beatRoom) Due() game.Time {
	if r.End == 0 {
		return game.Never
	}
	return r.End
}

func (r *beatRoom) Duties(rules int) (duties []game.Duty) {
	if r.End == 0 {
		duties = append(duties, game.Duty{Kind: "open", Data: game.Encode(rules)})
	}
	if r.kind.newest > 1 && r.kind.stray != nil && r.kind.stray.Load() && r.Strays == 0 {
		duties = append(duties, game.Duty{Kind: "stray", Data: []byte("1")})
	}
	return duties
}

func (r *beatRoom) Fact(at game.At, kind string, data []byte, fx *game.Effects) error {
	var rules int
	switch _ = json.Unmarshal(data, &rules); {
	case kind == "stray" && r.kind.newest > 1:
		r.Strays++
	case kind != "open" || rules < 1 || rules > r.kind.newest:
		return game.ErrUnknown
	case r.End == 0:
		r.beatState.Round, r.beatState.Rules, r.Sum, r.End = r.beatState.Round+1, rules, r.Sum+rules, at.Now+beatLength
		fx.Event(map[string]any{"e": "beat", "rules": rules, "sum": r.Sum})
	}
	return nil
}

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
	js, err := jetstream.New(d.connect("room"))
	if err != nil {
		d.t.Fatal(err)
	}
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

// TestARollingDeployAndARollBack replaces servers by newer ones in turn, and those by the
// old ones in turn, while rounds run. A version comes into force when all servers that are
// there announce it.
func TestARollingDeployAndARollBack(t *testing.T) {
	t.Parallel()
	d := newDeploy(t, 2)
	old, newer := beatKind{newest: 1}, beatKind{newest: 2}
	d.start("one", old)
	d.start("two", old)
	d.eventually("both can fold the game", func() bool { return d.inForce(1) })
	d.wantShares("each owns its share")
	rooms, seen := []string{}, map[int]bool{}
	for i := 0; len(seen) < d.partitions; i++ { // a room in each partition
		room := fmt.Sprint("beat-", i)
		if p := wire.PartitionOf(room, d.partitions); !seen[p] {
			seen[p], rooms = true, append(rooms, room)
			d.create(room, "beat", nil)
			d.create("crash-"+room, "crash", fastCrash)
		}
	}
	d.wantRounds("rounds", 1, rooms...)

	d.start("one", newer)
	d.wantShares("the newer one owns its share beside the old one")
	if !d.inForce(1) {
		t.Fatal("a version is in force that a server cannot fold")
	}
	d.wantRounds("rounds by the rules that both can fold", 1, rooms...)
	d.start("two", newer)
	d.eventually("all are newer, and so are the rules", func() bool { return d.inForce(2) })
	d.wantRounds("rounds by newer rules", 2, rooms...)

	d.start("one", old)
	d.eventually("the rules are the old ones again, and the old server folds them", func() bool { return d.inForce(1) })
	d.wantRounds("rounds by the old rules", 1, rooms...)
	d.wantShares("the old one owns its share")
	d.start("two", old)
	d.wantShares("all are old again")
	d.wantRounds("rounds by the old rules", 1, rooms...)

	stated := d.wantOneState(newer)
	var versions []int
	for _, v := range stated {
		if n := v["beat"]; len(versions) == 0 || versions[len(versions)-1] != n {
			versions = append(versions, n)
		}
	}
	if fmt.Sprint(versions) != "[1 2 1]" {
		t.Errorf("versions in force, one after the other: %v", versions)
	}
	for room, updates := range d.updates {
		d.wantWhole(room)
		for _, u := range updates {
			if strings.Contains(u, `"e":"void"`) {
				t.Fatalf("room %s has a void: %s", room, u)
			}
		}
	}
}

// TestAServerThatMeetsAnUnknownRecordIsNoCandidate has newer servers break the rule, and
// write what an older one does not know: it stops, the others go on, and as a newer one it
// has their state.
func TestAServerThatMeetsAnUnknownRecordIsNoCandidate(t *testing.T) {
	t.Parallel()
	d := newDeploy(t, 1)
	stray := new(atomic.Bool)
	old, newer := beatKind{newest: 1}, beatKind{newest: 2, stray: stray}
	order := assign(1, []string{"a", "b", "c"})[0]
	d.configure = nil // no snapshot comes soon from which the old one could go on
	first, second := d.start(order[0], newer), d.start(order[1], newer)
	d.eventually("the best candidate owns", func() bool { return first.owned() == 1 })
	third := d.start(order[2], old)
	d.eventually("all can fold the game", func() bool { return d.inForce(1) })
	d.create("beat", "beat", nil)
	d.wantRounds("rounds", 1, "beat")
	d.eventually("the best candidate owns", func() bool { return first.owned() == 1 })
	stray.Store(true)
	d.eventually("the old one stops and says why", func() bool {
		return strings.Contains(third.Partitions()[0].Halted, game.ErrUnknown.Error())
	})
	d.wantRounds("the others go on", 1, "beat")
	claims := d.watchClaims()
	d.end(order[0])
	d.eventually("the other newer one owns", func() bool { return second.owned() == 1 })
	d.wantRounds("rounds go on", 1, "beat")
	d.mu.Lock()
	for _, c := range *claims {
		if c.Node == order[2] {
			t.Error("who halted has claimed")
		}
	}
	d.mu.Unlock()
	d.start(order[2], newer)
	d.eventually("as a newer one it folds the log", func() bool { return d.inForce(2) })
	d.wantRounds("rounds by newer rules", 2, "beat")
	d.wantOneState(newer)
	d.wantWhole("beat")
}

// TestAGameIsMadeWhenAllServersKnowIt: before, creating a room of it is refused by all; a
// server that does not know it and comes later stops.
func TestAGameIsMadeWhenAllServersKnowIt(t *testing.T) {
	t.Parallel()
	d := newDeploy(t, 1)
	beat := beatKind{newest: 1}
	order := assign(1, []string{"a", "b"})[0]
	best := d.start(order[0], beat)
	d.start(order[1])
	d.eventually("both are there", func() bool { return best.owned() == 1 && len(best.members.nodes()) == 2 })
	refused := func(why, name string) {
		t.Helper()
		a := d.act("beat", wire.ActionCreate, wire.CreateArgs{UUID: roomUUID(1), Game: name})
		if a.OK || a.Error.Code != wire.CodeUnknownGame {
			t.Fatalf("%s: %+v", why, a)
		}
	}
	refused("one of two knows the game", "beat")
	refused("the cashier is no game of operators", "cashier")
	refused("what is versioned besides is no game", wire.Records)
	d.start(order[1], beat)
	d.eventually("both can fold it", func() bool { return d.inForce(1) })
	d.create("beat", "beat", nil)
	d.wantRounds("rounds", 1, "beat")
	d.start(order[1])
	without := d.hosts[order[1]]
	d.eventually("who does not know it stops", func() bool {
		return strings.Contains(without.Partitions()[0].Halted, game.ErrUnknown.Error())
	})
	d.wantRounds("the other goes on", 1, "beat")
	d.wantOneState(beat)
}

// TestRoomsTickAtPhasesOfTheirOwn: all at once by version 1 of the records, and since version 2
// each as often as before, at another time than most. Each tick comes with the first record
// behind an instant that docs/architecture.md names, also when versions change.
func TestRoomsTickAtPhasesOfTheirOwn(t *testing.T) {
	const rooms, interval, rounds = 40, time.Second, 10
	r := newRig(t)
	for i := range rooms {
		r.create(fmt.Sprintf("r%d", i), "race", map[string]any{"tick_ms": interval.Milliseconds()})
	}
	for _, version := range []int{1, 2, 1} {
		most := map[int]int{1: rooms, 2: rooms / 4}[version]
		r.putInForce(version)
		r.run(2 * interval) // each room's clock has found its place
		before := map[string]int{}
		for room, ticks := range r.ticks {
			before[room] = len(ticks)
		}
		r.run(rounds * interval)
		at := map[int64]int{}
		for room, ticks := range r.ticks {
			checkTicks(t, ticks)
			if ticks = ticks[before[room]:]; len(ticks) < rounds-1 || len(ticks) > rounds+1 {
				t.Errorf("version %d: %d ticks of %s in %v", version, len(ticks), room, rounds*interval)
			}
			at[ticks[0].Time]++
		}
		if n := slices.Max(slices.Collect(maps.Values(at))); len(r.ticks) != rooms || n > most || version == 1 && n != rooms {
			t.Errorf("version %d: %d of %d rooms ticked at once", version, n, len(r.ticks))
		}
	}
	for room, ticks := range ticksByTheDocs(r, int64(interval)) {
		var said []int64
		for _, tick := range r.ticks[room] {
			said = append(said, tick.Time)
		}
		if !slices.Equal(said, ticks) {
			t.Errorf("%s ticked at\n%v\nand not at\n%v", room, said, ticks)
		}
	}
}

// ticksByTheDocs are the game times in microseconds at which the rooms of a log tick from the
// opening of their first rounds on, if they all have this interval and never pause.
func ticksByTheDocs(r *rig, interval int64) map[string][]int64 {
	type clocked struct {
		phase, last int64
		begun       bool
	}
	rooms, ticks, version := map[string]*clocked{}, map[string][]int64{}, 1
	p, out := NewPartition(r.cfg), Output{}
	for _, rec := range r.log {
		if err := p.Apply(rec, &out); err != nil {
			r.t.Fatal(err)
		}
		now := int64(p.Now())
		var a wire.Action
		var evt wire.OwnerRecord
		switch {
		case rec.Kind == wire.KindAction && json.Unmarshal(rec.Data, &a) == nil:
			var args wire.CreateArgs
			r.decode(a.Args, &args)
			phase := uint32(2166136261) // FNV-1a
			for _, b := range []byte(args.UUID) {
				phase = (phase ^ uint32(b)) * 16777619
			}
			rooms[rec.Room] = &clocked{phase: int64(phase), last: now}
		case rec.Kind == wire.KindOwner && json.Unmarshal(rec.Data, &evt) == nil && evt.Kind == wire.OwnerVersions:
			var v wire.Versions
			r.decode(evt.Data, &v)
			version = v[wire.Records]
		case evt.Kind == "open":
			rooms[evt.Room].begun = true
		}
		for room, c := range rooms {
			phase := c.phase
			if version == 1 {
				phase = 0
			}
			if due := (now+phase)/interval*interval - phase; c.begun && due > c.last {
				c.last = due
				ticks[room] = append(ticks[room], now/1000)
			}
		}
	}
	return ticks
}

// TestARoomWhoseGameWentOutOfForceOpensRounds: the record that puts it out of force, and the
// action that makes the room, may cross on their ways to the log.
func TestARoomWhoseGameWentOutOfForceOpensRounds(t *testing.T) {
	r := newRig(t)
	r.asleep = true
	r.create("derby", "race", fastRace)
	r.putInForce(1, "race")
	r.asleep = false
	r.fulfil(r.p.roomIDs())
	r.until("a round is open", func() bool { return r.p.rooms["derby"].game.Round() == 1 })
}

// TestTheFoldStopsAtUnknownVersions also at a snapshot, and at a game that is in force.
func TestTheFoldStopsAtUnknownVersions(t *testing.T) {
	r := newRig(t)
	r.create("lobby", "crash", fastCrash)
	r.run(time.Second)
	put := func(v wire.Versions) Record {
		return Record{
			Seq: r.p.Last().Seq + 1, Time: r.now, Kind: wire.KindOwner,
			Data: game.Encode(wire.OwnerRecord{Epoch: r.p.Epoch(), Kind: wire.OwnerVersions, Data: game.Encode(v)}),
		}
	}
	before := r.p.Snapshot()
	for _, v := range []wire.Versions{{wire.Records: recordsVersion + 1}, {"beat": 1}, {"crash": crash.RulesVersion + 1}} {
		p, err := RestorePartition(r.cfg, before)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Apply(put(v), &r.out); !errors.Is(err, game.ErrUnknown) {
			t.Errorf("%v: %v", v, err)
		}
	}
	known := r.cfg
	known.Kinds = append(testKinds(), beatKind{newest: 1})
	p, err := RestorePartition(known, before)
	if err != nil {
		t.Fatal(err)
	}
	v := firstVersions()
	v["beat"] = 1
	if err := p.Apply(put(v), &r.out); err != nil {
		t.Fatal(err)
	}
	if again, err := RestorePartition(known, p.Snapshot()); err != nil || !maps.Equal(again.versions, v) {
		t.Errorf("restored with %v: %v", again, err)
	}
	if _, err := RestorePartition(r.cfg, p.Snapshot()); !errors.Is(err, game.ErrUnknown) {
		t.Errorf("a snapshot of newer versions: %v", err)
	}
	without := r.cfg
	without.Kinds = r.cfg.Kinds[:1]
	q := NewPartition(without)
	create := game.Encode(wire.Action{ID: "1", Op: wire.ActionCreate, Args: game.Encode(wire.CreateArgs{UUID: roomUUID(1), Game: "race"})})
	if err := q.Apply(Record{Seq: 1, Kind: wire.KindAction, Room: "derby", Data: create}, &r.out); !errors.Is(err, game.ErrUnknown) {
		t.Errorf("a game that others know: %v", err)
	}
}
