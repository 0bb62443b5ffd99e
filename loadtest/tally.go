package loadtest

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// sample is what one process tells of a second of a run. Numbers are totals so
// far, unless stated otherwise.
type sample struct {
	At        time.Duration `json:"at"` // since the run began
	Connected int64         `json:"connected"`
	Joined    int64         `json:"joined"` // seats that were ever joined
	Messages  uint64        `json:"messages"`
	Bytes     uint64        `json:"bytes"`
	Commands  uint64        `json:"commands"`
	Answers   uint64        `json:"answers"`
	Failures  uint64        `json:"failures"` // of checks
	Undialed  uint64        `json:"undialed"` // dials that failed
	Ladder    ladder        `json:"ladder"`
	Settling  bool          `json:"settling,omitempty"` // the bots act no more

	Spread   histogram      `json:"spread"`            // since the last sample
	Delivery histogram      `json:"delivery"`          // since the last sample
	Updates  []streamUpdate `json:"updates,omitempty"` // seen by all of the process who were in time
}

// ladder are the steps that gateways took with clients that read too slowly.
type ladder struct {
	Skips    uint64 `json:"skips"`    // announcements
	Skipped  uint64 `json:"skipped"`  // updates left out
	Degraded uint64 `json:"degraded"` // sequences
	Closed   uint64 `json:"closed"`   // connections closed with 3008
}

// streamUpdate are updates of one log.
type streamUpdate struct {
	streamKey
	Updates []updateSummary `json:"u"`
}

// updateSummary is what one process knows of an update. Times are nanoseconds
// since the run began.
type updateSummary struct {
	Seq   uint64 `json:"s"`
	Sum   sum    `json:"h"`
	First int64  `json:"f"`
	Last  int64  `json:"l,omitempty"` // newest live sighting, 0 for none
}

func (f *frame) summary() updateSummary {
	return updateSummary{Seq: f.seq, Sum: f.sum, First: f.at, Last: f.last.Load()}
}

// MarshalText gives the sum in hex.
func (s sum) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, s[:]), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *sum) UnmarshalText(b []byte) error {
	read, err := hex.DecodeString(string(b))
	if err != nil || len(read) != len(s) {
		return fmt.Errorf("sum %.40q is not %d bytes in hex", b, len(s))
	}
	copy(s[:], read)
	return nil
}

// tally is what one process found out in a run, for the verdict.
type tally struct {
	Failures  map[checkName]uint64    `json:"failures"`
	Examples  map[checkName][]Example `json:"examples"`
	Counts    map[string]uint64       `json:"counts"`
	Totals    Totals                  `json:"totals"`
	Rooms     []roomTally             `json:"rooms"`
	Latencies map[string]histogram    `json:"latencies"`
	DialError string                  `json:"dial_error,omitempty"`
}

// roomTally is what one process saw of one log.
type roomTally struct {
	streamKey
	Sightings uint64 `json:"sightings"`
	Compared  uint64 `json:"compared"`
	TooLate   uint64 `json:"too_late"`
	Rounds    uint64 `json:"rounds"`
	Linked    uint64 `json:"linked"`
	Verified  uint64 `json:"verified"`
}

// histogram is one that crosses process boundaries in the format HdrHistogram V2,
// so that nothing is lost in merging. A nil one is empty.
type histogram struct{ *hdrhistogram.Histogram }

// MarshalText encodes the histogram, an empty one to nothing.
func (h histogram) MarshalText() ([]byte, error) {
	if h.Histogram == nil || h.TotalCount() == 0 {
		return nil, nil
	}
	return h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
}

// UnmarshalText reads what MarshalText wrote.
func (h *histogram) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		h.Histogram = nil
		return nil
	}
	read, err := hdrhistogram.Decode(b)
	if err != nil {
		return fmt.Errorf("histogram: %w", err)
	}
	h.Histogram = read
	return nil
}

// sample takes the state of the run. With everything it tells also of updates that
// may still be seen by somebody.
func (s *swarm) sample(everything bool) *sample {
	var sum sightings
	out := &sample{
		At: s.now(), Connected: s.connected.Load(), Joined: s.joined.Load(),
		Commands: s.commands.Load(), Answers: s.answers.Load(), Failures: s.check.total(), Undialed: s.check.get(countDialFailed),
		Ladder: s.check.ladder(), Settling: s.settling.Load(),
	}
	for _, m := range s.meters {
		frames, bytes := m.collect(&sum)
		out.Messages += frames
		out.Bytes += bytes
	}
	out.Spread, out.Delivery = histogram{sum.spread}, histogram{sum.delivery}
	for _, st := range s.check.all() {
		if u := st.takeDone(everything); len(u) > 0 {
			out.Updates = append(out.Updates, streamUpdate{streamKey{st.room, st.log}, u})
		}
	}
	return out
}

// countClosedSlow counts connections that gateways closed because they were slow.
const countClosedSlow = "connections closed with 3008"

// ladder is what gateways did to those who read too slowly.
func (f *findings) ladder() ladder {
	f.mu.Lock()
	defer f.mu.Unlock()
	both := func(name string) uint64 { return f.counts[name] + f.counts[name+slowSuffix] }
	return ladder{Skips: both(countSkips), Skipped: both(countSkipped), Degraded: both(countDegraded), Closed: f.counts[countClosedSlow]}
}

// tally sums up what the bots of this process found. They act no more.
func (s *swarm) tally() *tally {
	t := &tally{
		Totals: Totals{
			Commands: s.commands.Load(), Answers: s.answers.Load(), Results: s.judged.Load(), ChatLines: s.chatLines.Load(),
		},
		Latencies: map[string]histogram{}, DialError: s.firstDialError(),
	}
	for _, st := range s.check.all() {
		t.Rooms = append(t.Rooms, st.tally())
	}
	var all sightings
	for _, m := range s.meters {
		frames, bytes := m.counted()
		t.Totals.Messages += frames
		t.Totals.Bytes += bytes
		m.all(&all)
	}
	s.measure.mu.Lock()
	for name, l := range s.measure.by {
		t.Latencies[name] = histogram{l.copy()}
	}
	s.measure.mu.Unlock()
	t.Latencies[latencySpread], t.Latencies[latencyReplay] = histogram{all.spread}, histogram{all.replay}
	t.Latencies[latencyDelivery], t.Latencies[latencySlow] = histogram{all.delivery}, histogram{all.slow}
	t.Failures, t.Examples, t.Counts = s.check.copies()
	return t
}

func (s *stream) tally() roomTally {
	s.mu.Lock()
	defer s.mu.Unlock()
	equal := s.equal.Load()
	return roomTally{
		streamKey: streamKey{s.room, s.log}, Sightings: s.sightings + equal, Compared: s.compared + equal, TooLate: s.tooLate,
		Rounds: s.rounds.ended, Linked: s.rounds.chains.linked, Verified: s.rounds.chains.verified,
	}
}

func (f *findings) copies() (map[checkName]uint64, map[checkName][]Example, map[string]uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	examples := map[checkName][]Example{}
	for name, list := range f.examples {
		examples[name] = append([]Example(nil), list...)
	}
	return maps.Clone(f.failures), examples, maps.Clone(f.counts)
}

// absorb adds what another process found.
func (f *findings) absorb(t *tally) {
	for name, n := range t.Counts {
		f.count(name, n)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, n := range t.Failures {
		f.failures[name] += n
		room := max(0, maxExamples-len(f.examples[name]))
		f.examples[name] = append(f.examples[name], t.Examples[name][:min(room, len(t.Examples[name]))]...)
	}
}

// marks gives the newest update of each log.
func (c *checker) marks() marks {
	out := marks{}
	for _, st := range c.all() {
		out[streamKey{st.room, st.log}] = st.getNewest()
	}
	return out
}

// marks are the updates that everybody must have in the end, by log.
type marks map[streamKey]uint64

// MarshalJSON writes a list.
func (m marks) MarshalJSON() ([]byte, error) {
	list := []mark{}
	for k, seq := range m {
		list = append(list, mark{k, seq})
	}
	return json.Marshal(list)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (m *marks) UnmarshalJSON(b []byte) error {
	var list []mark
	if err := json.Unmarshal(b, &list); err != nil {
		return fmt.Errorf("marks: %w", err)
	}
	*m = marks{}
	for _, e := range list {
		(*m)[e.streamKey] = e.Seq
	}
	return nil
}

type mark struct {
	streamKey
	Seq uint64 `json:"seq"`
}
