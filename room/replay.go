package room

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/bus"
	"tickcast/room/game"
)

const (
	// replayMin is from how many records on a read is worth a consumer, which costs a
	// few round trips.
	replayMin = 2 * fillBatch
	// replayWindow is how many records are asked for ahead of the fold: some
	// milliseconds' worth.
	replayWindow = 1 << 13
	// replayStall is after how much silence a consumer is given up: it lives on one node
	// of the log and dies with it. replayRest is how many records are then read by
	// direct get, which any node answers, until the next consumer is tried.
	replayStall = time.Second
	replayRest  = 1 << 18
	// replayExpiry is how long the log's server keeps a request for records, and a
	// consumer that nobody asks.
	replayExpiry = 5 * time.Second
)

// replayer reads a long stretch of a log by a consumer of its own. A record that comes
// by direct get brings eight headers, whose parsing takes four times as long as
// everything else; what a consumer hands out has its place in the reply subject.
type replayer struct {
	f    *feed
	next uint64 // to be handed over
	to   uint64
	sub  *nats.Subscription
	msgs chan *nats.Msg

	subject, inbox string // of requests for more, and where they are answered
	asked          uint64 // everything before this one
	stall          *time.Timer
}

// replay hands the records from to, inclusive, to apply until it has them all or
// the consumer fails, and returns the first that it did not hand over. Errors are those
// of apply, and of records that no log has.
func (f *feed) replay(ctx context.Context, from, to uint64, apply func(Record) error) (uint64, error) {
	r := &replayer{f: f, next: from, to: to, asked: from, msgs: make(chan *nats.Msg, replayWindow+64), stall: time.NewTimer(replayStall)}
	stop, err := r.open(ctx)
	if err != nil {
		return from, nil
	}
	defer stop()
	for r.next <= r.to {
		r.askMore(ctx)
		m := r.receive(ctx)
		if m == nil {
			break
		}
		rec, ok, err := r.parse(m)
		if err != nil {
			return r.next, err
		}
		if !ok {
			break
		}
		if err := apply(rec); err != nil {
			return r.next, err
		}
		r.next++
	}
	return r.next, nil
}

// open makes the consumer and the subscription that stop ends.
func (r *replayer) open(ctx context.Context) (stop func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, fillTimeout)
	defer cancel()
	c, err := r.f.stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: r.next, AckPolicy: jetstream.AckNonePolicy,
		Replicas: 1, MemoryStorage: true, InactiveThreshold: replayExpiry,
	})
	if err != nil {
		return nil, err
	}
	nc := r.f.js.Conn()
	r.subject = "$JS.API.CONSUMER.MSG.NEXT." + r.f.name + "." + c.CachedInfo().Name
	r.inbox = nc.NewInbox()
	if r.sub, err = nc.ChanSubscribe(r.inbox, r.msgs); err != nil {
		return nil, err
	}
	return func() {
		_ = r.sub.Unsubscribe()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fillTimeout)
		defer cancel()
		_ = r.f.stream.DeleteConsumer(ctx, c.CachedInfo().Name) // it expires anyway
	}, nil
}

// askMore asks for records when less than half a window is on its way.
func (r *replayer) askMore(ctx context.Context) {
	if r.asked > r.to || r.asked-r.next > replayWindow/2 || ctx.Err() != nil {
		return
	}
	n := min(r.next+replayWindow, r.to+1) - r.asked
	request := struct {
		Batch   uint64        `json:"batch"`
		Expires time.Duration `json:"expires"`
	}{n, replayExpiry}
	if r.f.js.Conn().PublishRequest(r.subject, r.inbox, game.Encode(request)) == nil {
		r.asked += n
	}
}

// receive waits for a message; nil when none came.
func (r *replayer) receive(ctx context.Context) *nats.Msg {
	select {
	case m := <-r.msgs:
		return m
	default:
	}
	r.stall.Reset(replayStall)
	select {
	case m := <-r.msgs:
		return m
	case <-r.stall.C:
	case <-ctx.Done():
	}
	return nil
}

// parse reads the next record; ok is false when the message is none, or another one:
// what is missing is for direct gets to find out.
func (r *replayer) parse(m *nats.Msg) (rec Record, ok bool, err error) {
	seq, ts, ok := parseAckSubject(m.Reply)
	if !ok || seq != r.next {
		return Record{}, false, nil
	}
	rec, err = r.f.record(m.Subject, Record{Seq: seq, Time: ts, Data: m.Data}, bus.Published(m.Header))
	return rec, err == nil, err
}

// parseAckSubject reads the sequence and the stored timestamp, Unix ns, from where a
// message of a consumer wants its acknowledgement:
//
//	$JS.ACK.<stream>.<consumer>.<deliveries>.<sequence>.<of the consumer>.<timestamp>.<pending>
//
// with domain and account before the stream, and perhaps more behind, from servers that
// say those. It does what (*nats.Msg).Metadata does, without garbage.
func parseAckSubject(subject string) (seq uint64, ts int64, ok bool) {
	rest, ok := strings.CutPrefix(subject, "$JS.ACK.")
	if !ok {
		return 0, 0, false
	}
	skip := 3
	if strings.Count(rest, ".") > 6 {
		skip = 5
	}
	for range skip {
		_, rest, _ = strings.Cut(rest, ".")
	}
	number, rest, _ := strings.Cut(rest, ".")
	_, rest, _ = strings.Cut(rest, ".")
	stamp, _, _ := strings.Cut(rest, ".")
	seq, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return 0, 0, false
	}
	ts, err = strconv.ParseInt(stamp, 10, 64)
	return seq, ts, err == nil
}
