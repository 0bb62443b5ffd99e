package room

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tickcast/room/crash"
	"tickcast/room/game"
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

// TestARollingDeployAndARollBack replaces servers by newer ones in turn, and those by the
// old ones in turn, while rounds run and players bet. A version comes into force when all
// servers that are there announce it. No round is void, and the money is where it must be.
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
		}
	}
	play := d.play()
	d.wantRounds("rounds", 1, rooms...)
	play.wantMore("players bet")

	d.start("one", newer)
	d.wantShares("the newer one owns its share beside the old one")
	if !d.inForce(1) {
		t.Fatal("a version is in force that a server cannot fold")
	}
	// Each round takes 100 ms of game time, which is no faster than the servers' clocks.
	for range raiseAfter/(5*time.Duration(beatLength)) + 1 {
		d.wantRounds("rounds by the rules that both can fold", 1, rooms...)
	}
	if !d.inForce(1) {
		t.Fatal("a version is in force that a server does not announce")
	}
	play.wantMore("players bet beside old and newer servers")
	d.start("two", newer)
	d.eventually("all are newer, and so are the rules", func() bool { return d.inForce(2) })
	d.wantRounds("rounds by newer rules", 2, rooms...)
	play.wantMore("players bet")

	d.start("one", old)
	d.eventually("the rules are the old ones again, and the old server folds them", func() bool { return d.inForce(1) })
	d.wantRounds("rounds by the old rules", 1, rooms...)
	d.wantShares("the old one owns its share")
	d.start("two", old)
	d.wantShares("all are old again")
	d.wantRounds("rounds by the old rules", 1, rooms...)
	play.wantMore("players bet")

	play.rest()
	stated := d.wantOneState(newer)
	play.wantSettled()
	var versions []int
	for _, v := range stated {
		if n := v["beat"]; len(versions) == 0 || versions[len(versions)-1] != n {
			versions = append(versions, n)
		}
	}
	if fmt.Sprint(versions) != "[1 2 1]" {
		t.Errorf("versions in force, one after the other: %v", versions)
	}
	d.mu.Lock()
	heard := slices.Collect(maps.Keys(d.updates))
	d.mu.Unlock()
	for _, room := range heard {
		d.wantNoVoid(room)
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
