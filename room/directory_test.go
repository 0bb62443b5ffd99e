package room

import (
	"context"
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tickcast/bus"
	"tickcast/room/game"
	"tickcast/wire"
)

// lister is a directory over a log's storage, and what stands there.
type lister struct {
	*stage
	*directory
	js jetstream.JetStream
}

func newLister(t *testing.T) *lister {
	t.Helper()
	s := newStage(t, 2)
	js, err := jetstream.New(s.connect(bus.RoleRoom))
	if err != nil {
		t.Fatal(err)
	}
	return &lister{s, newDirectory(js, 2, slog.New(slog.DiscardHandler)), js}
}

// work runs the directory until nothing waits.
func (l *lister) work() {
	l.t.Helper()
	if err := l.directory.work(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lister) read(bucket, key string, v any) {
	l.t.Helper()
	kv, err := l.js.KeyValue(l.t.Context(), bucket)
	if err != nil {
		l.t.Fatal(err)
	}
	e, err := kv.Get(l.t.Context(), key)
	if err != nil {
		l.t.Fatal(err)
	}
	if err := json.Unmarshal(e.Value(), v); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lister) wantState(why, room, want string) {
	l.t.Helper()
	var info wire.RoomInfo
	if l.read(wire.BucketRooms, room, &info); info.State != want {
		l.t.Errorf("%s: room %s is %q, want %q", why, room, info.State, want)
	}
}

func (l *lister) wantMuted(why, player string, want int64) {
	l.t.Helper()
	var s wire.Sanction
	if l.read(wire.BucketSanctions, wire.PlayerKey(player), &s); s.MutedUntil != want {
		l.t.Errorf("%s: %s is muted until %d, want %d", why, player, s.MutedUntil, want)
	}
}

func room(id string, partition int) wire.RoomInfo {
	return wire.RoomInfo{ID: id, Partition: partition, State: "running"}
}

// playerOf is a player whose sanctions are a matter of the partition.
func playerOf(partition int, name string) string {
	for wire.PartitionOf(name, 2) != partition {
		name += "y"
	}
	return name
}

func TestAnIntroducedPartitionEndsWhatIsNotItsOwn(t *testing.T) {
	l := newLister(t)
	ann, bob, other := playerOf(1, "ann"), playerOf(1, "bob"), playerOf(0, "other")
	l.put([]wire.RoomInfo{room("gone", 1), room("here", 1), room("elsewhere", 0)},
		[]wire.Sanction{{Player: ann, MutedUntil: 5}, {Player: bob, MutedUntil: 5}, {Player: other, MutedUntil: 5}})
	l.work()
	claimed := time.Now().Add(time.Minute) // all that stands there is older
	l.introduce(1, claimed, []wire.RoomInfo{room("here", 1)}, []wire.Sanction{{Player: bob, MutedUntil: 7}})
	l.put([]wire.RoomInfo{room("made-since", 1)}, []wire.Sanction{{Player: playerOf(1, "cid"), KickedUntil: 9}})
	l.work()
	l.wantState("its end was folded while nobody spoke", "gone", stateClosed)
	l.wantState("it was introduced", "here", "running")
	l.wantState("it is another partition's", "elsewhere", "running")
	l.wantState("it was made since the claim", "made-since", "running")
	l.wantMuted("lifted while nobody spoke", ann, 0)
	l.wantMuted("introduced", bob, 7)
	l.wantMuted("another partition's", other, 5)

	l.put([]wire.RoomInfo{room("later", 1)}, nil)
	l.work()
	l.wantState("a partition is compared once", "later", "running")
}

func TestADeposedOwnerEndsNothing(t *testing.T) {
	l := newLister(t)
	l.put([]wire.RoomInfo{room("theirs", 1)}, nil)
	l.work()
	l.introduce(1, time.Now().Add(-time.Minute), nil, nil)
	l.work()
	l.wantState("it was made since the claim, by another", "theirs", "running")
	l.introduce(1, time.Now().Add(time.Minute), nil, nil)
	l.withdraw(1)
	l.work()
	l.wantState("the owner was deposed meanwhile", "theirs", "running")
}

// TestASanctionThatNobodySaidIsInForce mutes a player while nobody owns his
// partition: the owner to come folds it before it speaks.
func TestASanctionThatNobodySaidIsInForce(t *testing.T) {
	s := newStage(t, 1)
	js, err := jetstream.New(s.operator)
	if err != nil {
		t.Fatal(err)
	}
	until := time.Now().Add(time.Hour).UnixMilli()
	mute := wire.Action{ID: "m", Operator: "op", Op: wire.ActionMute, Args: game.Encode(wire.PlayerArgs{Player: "ann", Until: until})}
	if _, err := js.Publish(t.Context(), wire.ActionSubject(0, wire.CashierRoom), game.Encode(mute)); err != nil {
		t.Fatal(err)
	}
	s.host("one", true)
	kv, err := js.KeyValue(t.Context(), wire.BucketSanctions)
	if err != nil {
		t.Fatal(err)
	}
	s.eventually("the gateways are told", func() bool {
		var sanction wire.Sanction
		e, err := kv.Get(context.Background(), wire.PlayerKey("ann"))
		return err == nil && json.Unmarshal(e.Value(), &sanction) == nil && sanction.MutedUntil == until
	})
}
