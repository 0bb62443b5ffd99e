package room

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/bus"
	"tickcast/wire"
)

// openRace has a host own a partition with a race that runs, and returns the stage.
func openRace(b *testing.B) *stage {
	s := newStage(b, 1)
	s.host("one", true)
	s.create("derby", "race", longRace())
	s.eventually("the race runs", func() bool {
		for _, u := range s.updates["derby"] {
			if strings.Contains(u, `"phase":"running"`) {
				return true
			}
		}
		return false
	})
	return s
}

// tapOf is the n-th tap of a player.
func tapOf(player, n int) wire.Command {
	return wire.Command{
		Player: fmt.Sprint("player-", player), Name: "somebody", Gateway: "bench", Key: fmt.Sprint("key-", n), Op: "tap", Round: 1,
		Args: fmt.Appendf(nil, `{"n":%d}`, n),
	}
}

// BenchmarkCommands is the way of a tap through the log without gateways: published to
// JetStream, stored, republished, folded, answered. As many as a gateway's connections
// would be are on their way at a time. Each has a Msg-Id, as a gateway's have.
func BenchmarkCommands(b *testing.B) {
	s := openRace(b)
	const onTheirWay = 4096
	js, err := jetstream.New(s.gateway, jetstream.WithPublishAsyncMaxPending(onTheirWay))
	if err != nil {
		b.Fatal(err)
	}
	slots, answered := make(chan struct{}, onTheirWay), make(chan struct{}, 1)
	answers, messages := 0, 0
	s.subscribe(s.gateway, wire.AnswerSubject("bench"), func(m *nats.Msg) {
		var list []wire.RoutedAnswer
		if json.Unmarshal(m.Data, &list) != nil {
			b.Error("no list of answers")
		}
		messages++
		answers += len(list)
		for range list {
			<-slots
		}
		if answers == b.N {
			answered <- struct{}{}
		}
	})
	subject := wire.CommandSubject(0, "derby")
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		c := tapOf(i%1000, 1+i/1000)
		data, _ := c.AppendBinary(nil)
		slots <- struct{}{}
		if _, err := js.PublishAsync(subject, data, jetstream.WithMsgID(c.MsgID("derby"))); err != nil {
			b.Fatal(err)
		}
	}
	select {
	case <-answered:
	case <-time.After(patience):
		b.Fatalf("%d of %d taps were answered", answers, b.N)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commands/s")
	b.ReportMetric(float64(b.N)/float64(messages), "answers/message")
}

// BenchmarkCommand is the same for one command on its way at a time: the latency of a
// quiet box.
func BenchmarkCommand(b *testing.B) {
	s := openRace(b)
	js, err := jetstream.New(s.gateway)
	if err != nil {
		b.Fatal(err)
	}
	answered := make(chan struct{}, 1)
	s.subscribe(s.gateway, wire.AnswerSubject("bench"), func(*nats.Msg) { answered <- struct{}{} })
	for i := 0; b.Loop(); i++ {
		c := tapOf(i%1000, 1+i/1000)
		data, _ := c.AppendBinary(nil)
		if _, err := js.Publish(b.Context(), wire.CommandSubject(0, "derby"), data, jetstream.WithMsgID(c.MsgID("derby"))); err != nil {
			b.Fatal(err)
		}
		<-answered
	}
}

// BenchmarkReplay folds a log of taps from JetStream, as a room server does that
// starts without a snapshot. Each tap has a Msg-Id, as those of gateways have.
func BenchmarkReplay(b *testing.B) {
	s := openRace(b)
	const records = 100_000
	js, err := jetstream.New(s.gateway, jetstream.WithPublishAsyncMaxPending(4096))
	if err != nil {
		b.Fatal(err)
	}
	for i := range records {
		c := tapOf(i%1000, 1+i/1000)
		data, _ := c.AppendBinary(nil)
		if _, err := js.PublishAsync(wire.CommandSubject(0, "derby"), data, jetstream.WithMsgID(c.MsgID("derby"))); err != nil {
			b.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
	nc := s.connect(bus.RoleRoom)
	host, err := jetstream.New(nc)
	if err != nil {
		b.Fatal(err)
	}
	f, err := openFeed(b.Context(), nc, host, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer f.close()
	var out Output
	b.ReportAllocs()
	for b.Loop() {
		p := NewPartition(PartitionConfig{ID: 0, Created: f.created(), Kinds: newRig(b).cfg.Kinds, Cashier: newRig(b).cfg.Cashier})
		if err := f.read(b.Context(), 1, records, func(r Record) error { return p.Apply(r, &out) }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(records*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
