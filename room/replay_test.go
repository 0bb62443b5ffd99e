package room

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/bus"
	"tickcast/wire"
)

// replayStage is a stage whose one log nobody owns: commands, answers of JetStream
// that were sent into it, and a subject that names no room.
type replayStage struct {
	*stage
	f       *feed
	records uint64
}

func newReplayStage(t *testing.T) *replayStage {
	t.Helper()
	s := newStageWithoutLedger(t, 1)
	nc := s.connect(bus.RoleRoom)
	host, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	f, err := openFeed(t.Context(), nc, host, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.close)
	js, err := jetstream.New(s.gateway)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), wire.ChatSubject("lobby"), []byte("a line")); err != nil {
		t.Fatal(err)
	}
	r := &replayStage{stage: s, f: f, records: 3*replayWindow + 17}
	for i := range r.records {
		switch {
		case i%1000 == 5: // an answer to a direct get, with a source of its own
			err = s.gateway.PublishRequest("$JS.API.DIRECT.GET."+wire.StreamChat, wire.ClaimSubject(0), []byte(`{"seq":1}`))
		case i%1000 == 6: // an acknowledgement
			err = s.gateway.PublishRequest(wire.ChatSubject("lobby"), wire.CommandSubject(0, "lobby"), []byte("a line"))
		case i%1000 == 7:
			_, err = js.Publish(t.Context(), wire.CommandSubject(0, "No-Room"), nil)
		case i == 2000: // records that the client library takes for broken answers
			err = s.publishWith(js, "Nats-Sequence", "x")
		case i == 5000:
			err = s.publishWith(js, "Status", "404")
		case i%1000 == 8:
			err = s.publishWith(js, nats.JSStream, wire.PartitionStream(0))
		default:
			_, err = js.PublishAsync(wire.CommandSubject(0, "lobby"), fmt.Append(nil, i), jetstream.WithMsgID(fmt.Sprint(i)))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	s.eventually("all is stored", func() bool { last, err := f.lastSeq(t.Context()); return err == nil && last == r.records })
	return r
}

// publishWith stores a command without a body and with a header of its own.
func (s *stage) publishWith(js jetstream.JetStream, key, value string) error {
	m := nats.NewMsg(wire.CommandSubject(0, "lobby"))
	m.Header.Set(key, value)
	_, err := js.PublishMsg(s.t.Context(), m)
	return err
}

func (s *replayStage) direct() (list []Record) {
	s.t.Helper()
	if err := s.f.fill(s.t.Context(), 1, s.records, func(rec Record) error { list = append(list, rec); return nil }); err != nil {
		s.t.Fatal(err)
	}
	return list
}

func TestReplayReadsWhatDirectGetsRead(t *testing.T) {
	t.Parallel()
	s := newReplayStage(t)
	var replayed []Record
	next, err := s.f.replay(t.Context(), 1, s.records, func(rec Record) error { replayed = append(replayed, rec); return nil })
	if err != nil || next != s.records+1 {
		t.Fatalf("the consumer came as far as record %d of %d: %v", next, s.records, err)
	}
	forged := 0
	for i, want := range s.direct() {
		if got := replayed[i]; !reflect.DeepEqual(got, want) {
			t.Fatalf("by consumer record %d is %+v, by direct get %+v", i+1, got, want)
		}
		if want.Forged {
			forged++
		}
	}
	if forged < int(s.records)/1000*3 {
		t.Fatalf("%d records are forged, of %d in all", forged, s.records)
	}
}

// TestReplayOutlivesItsConsumer deletes the consumer in the middle.
func TestReplayOutlivesItsConsumer(t *testing.T) {
	s := newReplayStage(t)
	deleted, want := 0, uint64(1)
	err := s.f.read(t.Context(), 1, s.records, func(rec Record) error {
		if rec.Seq != want {
			t.Fatalf("record %d where %d was expected", rec.Seq, want)
		}
		want++
		if rec.Seq == replayWindow/2 {
			for name := range s.f.stream.ConsumerNames(t.Context()).Name() {
				deleted++
				if err := s.f.stream.DeleteConsumer(t.Context(), name); err != nil {
					t.Fatal(err)
				}
			}
		}
		return nil
	})
	if err != nil || want != s.records+1 || deleted != 1 {
		t.Fatalf("%d records of %d, %d consumers deleted: %v", want-1, s.records, deleted, err)
	}
}

func TestParseAckSubject(t *testing.T) {
	for subject, want := range map[string]bool{
		"$JS.ACK.P0.c.1.12345.6.1700000000000000001.7":             true,
		"$JS.ACK._.hash.P0.c.1.12345.6.1700000000000000001.7":      true,
		"$JS.ACK.hub.hash.P0.c.1.12345.6.1700000000000000001.7.xx": true,
		"":                             false,
		"$JS.ACK.":                     false,
		"$JS.ACK.P0.c.1.x.6.1.7":       false,
		"$JS.ACK.P0.c.1.5":             false,
		"$JS.ACK.P0.c.1.-5.6.1.7":      false,
		"_INBOX.P0.c.1.5.6.17000000.7": false,
	} {
		seq, ts, ok := parseAckSubject(subject)
		if ok != want || ok && (seq != 12345 || ts != 1700000000000000001) {
			t.Errorf("%s: %d, %d, %v", subject, seq, ts, ok)
		}
		m := nats.Msg{Reply: subject, Sub: &nats.Subscription{}}
		if md, err := m.Metadata(); ok && (err != nil || md.Sequence.Stream != seq || md.Timestamp.UnixNano() != ts) {
			t.Errorf("%s: the library reads %+v, %v", subject, md, err)
		}
	}
}
