package room

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/bus"
	"tickcast/internal/testkit"
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
	f, err := openFeed(t.Context(), nc, jetStream(t, nc), 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.close)
	js := jetStream(t, s.gateway)
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
			_, err = js.PublishAsync(wire.CommandSubject(0, "lobby"), fmt.Append(nil, i),
				jetstream.WithMsgID(fmt.Sprint(i)), jetstream.WithStallWait(patience))
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

// replayAll reads the first records of a log by consumers: each is given up when it is
// silent for long, as it is on a busy machine.
func (f *feed) replayAll(t *testing.T, records uint64, apply func(Record)) {
	t.Helper()
	next := uint64(1)
	testkit.Eventually(t, "consumers hand out all records", patience, func() bool {
		var err error
		next, err = f.replay(t.Context(), next, records, func(rec Record) error { apply(rec); return nil })
		if err != nil {
			t.Fatalf("the consumer came as far as record %d of %d: %v", next, records, err)
		}
		return next > records
	})
}

func TestReplayReadsWhatDirectGetsRead(t *testing.T) {
	t.Parallel()
	s := newReplayStage(t)
	var replayed []Record
	s.f.replayAll(t, s.records, func(rec Record) { replayed = append(replayed, rec) })
	direct := s.direct()
	if len(replayed) != len(direct) {
		t.Fatalf("%d records by consumer, %d by direct get", len(replayed), len(direct))
	}
	forged := 0
	for i, want := range direct {
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

// TestReplayOutlivesItsConsumer deletes the consumer in the middle. It is not there when it
// was given up before: then the log is read anew.
func TestReplayOutlivesItsConsumer(t *testing.T) {
	s := newReplayStage(t)
	testkit.Eventually(t, "a consumer is deleted while it is read from", patience, func() bool { return s.readAndDelete() == 1 })
}

// readAndDelete reads the log and returns how many consumers it deleted in the middle.
func (s *replayStage) readAndDelete() (deleted int) {
	s.t.Helper()
	t, want := s.t, uint64(1)
	err := s.f.read(t.Context(), 1, s.records, func(rec Record) error {
		if rec.Seq != want {
			t.Fatalf("record %d where %d was expected", rec.Seq, want)
		}
		want++
		if rec.Seq == replayWindow/2 {
			for name := range s.f.stream.ConsumerNames(t.Context()).Name() {
				if err := s.f.stream.DeleteConsumer(t.Context(), name); err == nil { // or it has expired
					deleted++
				}
			}
		}
		return nil
	})
	if err != nil || want != s.records+1 {
		t.Fatalf("%d records of %d, %d consumers deleted: %v", want-1, s.records, deleted, err)
	}
	return deleted
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
