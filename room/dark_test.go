package room

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"tickcast/internal/testkit"
	"tickcast/room/game"
	"tickcast/wire"
)

// darkLog is a log in memory that answers no reads while it is dark.
type darkLog struct {
	created  int64
	records  []Record
	dark     bool
	end      uint64 // reading ends before this record; 0: with the last
	behind   bool   // whatever node answers for a single record does not have it yet
	claims   []wire.Claim
	appended []wire.OwnerRecord
}

var errDark = errors.New("no answer")

// Created implements Log.
func (l *darkLog) Created() int64 { return l.created }

// Window implements Log.
func (l *darkLog) Window() int { return appendWindow }

// Waiting implements Log.
func (l *darkLog) Waiting() int { return 0 }

// Last implements Log.
func (l *darkLog) Last() (uint64, error) {
	if l.dark {
		return 0, errDark
	}
	return uint64(len(l.records)), nil
}

// At implements Log.
func (l *darkLog) At(seq uint64) (*Record, error) {
	switch {
	case l.dark:
		return nil, errDark
	case l.behind:
		return nil, nil
	}
	rec := l.records[seq-1]
	return &rec, nil
}

// Read implements Log.
func (l *darkLog) Read(from, to uint64, apply func(Record) error) error {
	if l.dark {
		return fmt.Errorf("%w: %w", ErrClosed, errDark)
	}
	for _, rec := range l.records[from-1 : to] {
		if rec.Seq == l.end {
			return fmt.Errorf("%w: %w", ErrClosed, errDark)
		}
		if err := apply(rec); err != nil {
			return err
		}
	}
	return nil
}

// Append implements Log.
func (l *darkLog) Append(rec wire.OwnerRecord) { l.appended = append(l.appended, rec) }

// Claim implements Log.
func (l *darkLog) Claim(c wire.Claim, _ uint64) { l.claims = append(l.claims, c) }

// unheard is a Voice that nobody hears.
type unheard struct{}

func (unheard) Listen(uint64) error                                   { return nil }
func (unheard) Mute()                                                 {}
func (unheard) Say(string, wire.OutClass, string, []byte)             {}
func (unheard) Answer(string, []byte)                                 {}
func (unheard) Book(string, []byte) error                             { return nil }
func (unheard) List([]wire.RoomInfo, []wire.Sanction)                 {}
func (unheard) Introduce(time.Time, []wire.RoomInfo, []wire.Sanction) {}
func (unheard) Ping(uint64) error                                     { return nil }
func (unheard) Offer(uint64, string, []byte) error                    { return nil }
func (unheard) AskLedger(uint64, []byte) error                        { return nil }
func (unheard) Flush()                                                {}

// darkRig is a replica that follows a log with a race, which goes on in the rig.
type darkRig struct {
	*rig
	stored  *darkLog
	replica *Replica
	clock   time.Time
}

func newDarkRig(t testing.TB) *darkRig {
	t.Helper()
	r := &darkRig{rig: newRig(t)}
	r.create("derby", "race", fastRace)
	r.until("a round is almost over", func() bool { return r.phase("derby") == "finished" })
	r.open(unheard{})
	return r
}

// open starts the replica on the log of the rig so far.
func (r *darkRig) open(voice Voice) {
	r.t.Helper()
	r.stored = &darkLog{created: r.cfg.Created, records: slices.Clone(r.log)}
	r.clock = time.Unix(0, r.now)
	r.replica = NewReplica(ReplicaConfig{
		Partition: r.cfg, Node: "node-2", Rank: func(string) int { return 1 }, Now: func() time.Time { return r.clock },
		Rand: rand.New(rand.NewPCG(1, 1)), Log: testkit.Logger(r.t),
	})
	if err := r.replica.Open(r.t.Context(), r.stored, voice); err != nil {
		r.t.Fatal(err)
	}
}

// knows has the replica know a record that the log may have lost.
func (r *darkRig) knows(lost bool) {
	known := r.stored.records[len(r.stored.records)-5]
	r.replica.tail.known = []witness{{Place: known.place()}}
	if lost {
		r.replace(known.Seq)
	}
}

// store has the log store a record, which the replica folds.
func (r *darkRig) store(kind wire.Kind, data any) (seq uint64) {
	r.clock = r.clock.Add(time.Millisecond)
	last := r.replica.part.Last()
	rec := Record{Seq: last.Seq + 1, Time: last.Time + int64(300*time.Millisecond), Kind: kind, Data: game.Encode(data)}
	r.stored.records = append(r.stored.records, rec)
	r.replica.Record(rec)
	return rec.Seq
}

// replace puts another record in the place of one.
func (r *darkRig) replace(seq uint64) { r.stored.records[seq-1].Time++ }

// TestNothingIsFoldedBehindWhatCannotBeRead has a log go on that is behind a power cut,
// or not, while it cannot be asked, or a node answers that is behind. A record of it may only be
// folded when what is before it is known to be what was folded.
func TestNothingIsFoldedBehindWhatCannotBeRead(t *testing.T) {
	for _, replaced := range []bool{false, true} {
		for _, dark := range []bool{false, true} {
			t.Run(fmt.Sprintf("replaced: %t, dark: %t", replaced, dark), func(t *testing.T) {
				r := newDarkRig(t)
				folded := r.replica.part.Last()
				if replaced {
					r.replace(folded.Seq)
				}
				r.run(2 * time.Second)
				r.stored.records = append(r.stored.records, r.log[folded.Seq:]...)
				r.clock = r.clock.Add(2 * time.Second)
				r.stored.dark, r.stored.behind = dark, !dark
				for _, rec := range r.stored.records[folded.Seq : folded.Seq+2] {
					r.replica.Record(rec)
				}
				if last := r.replica.part.Last(); dark && (last != folded || len(r.stored.claims) > 0) {
					t.Fatalf("folded up to record %d, and %d before the log could be asked; %d claims", last.Seq, folded.Seq, len(r.stored.claims))
				}
				r.stored.dark, r.stored.behind = false, false
				r.clock = r.clock.Add(2 * feedSilence)
				r.replica.Sweep()
				want, out := NewPartition(r.cfg), Output{}
				for _, rec := range r.stored.records {
					if err := want.Apply(rec, &out); err != nil {
						t.Fatal(err)
					}
				}
				if !bytes.Equal(r.replica.part.Snapshot(), want.Snapshot()) {
					t.Errorf("at record %d of %d the state is not that of the log", r.replica.part.Last().Seq, len(r.stored.records))
				}
				if known := len(r.replica.tail.known) > 0; known != replaced || len(r.stored.claims) > 0 != replaced {
					t.Errorf("it knows of a lost record: %t, and claims %d times", known, len(r.stored.claims))
				}
			})
		}
	}
}

// TestAnOwnerWritesNothingBeforeItHasLookedBack: one that knows a record which the log may
// have lost becomes the owner of a log that cannot be asked. It neither takes that for lost, nor for
// there.
func TestAnOwnerWritesNothingBeforeItHasLookedBack(t *testing.T) {
	for _, lost := range []bool{false, true} {
		t.Run(fmt.Sprintf("lost: %t", lost), func(t *testing.T) {
			r := newDarkRig(t)
			r.knows(lost)
			r.stored.dark = true
			r.replica.Sweep()
			if len(r.stored.claims) != 1 {
				t.Fatalf("%d claims", len(r.stored.claims))
			}
			r.store(wire.KindClaim, r.stored.claims[0]) // with it the next round is owed
			pass := func(d time.Duration) {
				for end := r.clock.Add(d); r.clock.Before(end); r.clock = r.clock.Add(sweepInterval) {
					r.replica.Turn()
					r.replica.Wake()
					r.replica.Sweep()
				}
			}
			pass(2 * ledgerWait)
			if !r.replica.Owns() || len(r.stored.appended) > 0 {
				t.Fatalf("it owns the partition: %t, and has written %+v", r.replica.Owns(), r.stored.appended)
			}
			r.stored.dark = false
			pass(2 * ledgerWait)
			wrote := func(kind string) bool {
				return slices.ContainsFunc(r.stored.appended, func(rec wire.OwnerRecord) bool { return rec.Kind == kind })
			}
			if wrote(wire.OwnerLost) != lost || !wrote("open") {
				t.Errorf("it has written %+v", r.stored.appended)
			}
		})
	}
}

// TestADeposedOwnerStillKnowsOfALostTail: an owner that has proven that the log lost its tail is
// deposed before the log has its word. Nobody else may know, so it claims again; not when the
// log has it.
func TestADeposedOwnerStillKnowsOfALostTail(t *testing.T) {
	for _, said := range []bool{false, true} {
		t.Run(fmt.Sprintf("said: %t", said), func(t *testing.T) {
			r := newDarkRig(t)
			r.knows(true)
			r.replica.Sweep()
			epoch := r.store(wire.KindClaim, r.stored.claims[0])
			r.replica.Claimed(epoch, nil)
			i := slices.IndexFunc(r.stored.appended, func(rec wire.OwnerRecord) bool { return rec.Kind == wire.OwnerLost })
			if i < 0 {
				t.Fatalf("it has written %+v", r.stored.appended)
			}
			if said {
				r.store(wire.KindOwner, r.stored.appended[i])
			}
			another := r.stored.claims[0]
			another.Node, another.Replaces = "node-3", epoch
			epoch = r.store(wire.KindClaim, another)
			r.replica.Sweep()
			claims := r.stored.claims[1:]
			if r.replica.Owns() || said && len(claims) > 0 || !said && (len(claims) != 1 || claims[0].Replaces != epoch) {
				t.Errorf("it owns the partition: %t, and has claimed again: %+v", r.replica.Owns(), claims)
			}
		})
	}
}

// TestAFalseAlarmIsNotAllThatIsKnown: one that knows, or has proven, that the log lost its tail
// takes a node that is behind for a second loss before the log has its word. It forgets neither.
func TestAFalseAlarmIsNotAllThatIsKnown(t *testing.T) {
	for _, c := range []struct{ lost, proven bool }{{true, false}, {true, true}, {false, false}} {
		t.Run(fmt.Sprintf("lost: %t, proven: %t", c.lost, c.proven), func(t *testing.T) {
			r := newDarkRig(t)
			r.knows(c.lost)
			if c.proven {
				r.replica.Sweep()
				epoch := r.store(wire.KindClaim, r.stored.claims[0])
				r.replica.Claimed(epoch, nil)
				r.stored.appended = nil // it is not stored
			}
			whole := r.stored.records
			r.stored.records = whole[:len(whole)-1]
			r.clock = r.clock.Add(2 * feedSilence)
			r.replica.Sweep() // a node answers that is behind
			r.stored.records = whole
			r.clock = r.clock.Add(2 * feedSilence)
			r.replica.Sweep()
			if c.proven { // it claimed when the log seemed not to have its claim yet
				r.replica.Claimed(0, ErrFenced)
				r.replica.Sweep()
			}
			claim := r.stored.claims[len(r.stored.claims)-1]
			if epoch := r.replica.part.Epoch(); r.replica.Owns() || claim.Replaces != epoch {
				t.Fatalf("it owns the partition: %t, and claims %+v in epoch %d", r.replica.Owns(), r.stored.claims, epoch)
			}
			r.replica.Claimed(r.store(wire.KindClaim, claim), nil)
			r.replica.Sweep()
			wrote := slices.ContainsFunc(r.stored.appended, func(rec wire.OwnerRecord) bool { return rec.Kind == wire.OwnerLost })
			if !r.replica.Owns() || wrote != c.lost {
				t.Errorf("it owns the partition: %t, and has written %+v", r.replica.Owns(), r.stored.appended)
			}
		})
	}
}

// questions is a Voice that notes the numbers of what the ledger is asked.
type questions struct {
	unheard
	asked []uint64
}

func (q *questions) AskLedger(n uint64, _ []byte) error {
	q.asked = append(q.asked, n)
	return nil
}

// TestAQuestionThatIsLostIsAskedAgain: an owner that has just started stands still until the
// ledger, which may be the only witness of a lost tail, answers. It asks the same again while
// it waits, so that a message may be lost.
func TestAQuestionThatIsLostIsAskedAgain(t *testing.T) {
	r := &darkRig{rig: newRig(t)}
	r.create("lobby", "crash", map[string]any{"betting_ms": 3000})
	r.until("a round flies", func() bool { return r.phase("lobby") == "flying" })
	var q questions
	r.open(&q)
	r.replica.tryClaim(r.replica.part.Epoch())
	r.store(wire.KindClaim, r.stored.claims[0])
	for range (ledgerWait - time.Millisecond) / sweepInterval {
		r.clock = r.clock.Add(sweepInterval)
		r.replica.Sweep()
	}
	if want := slices.Repeat([]uint64{1}, int(ledgerWait/askWaitingEvery)); !slices.Equal(q.asked, want) {
		t.Errorf("it has asked %v, want %v", q.asked, want)
	}
	if len(r.stored.appended) > 0 {
		t.Errorf("it has written %+v", r.stored.appended)
	}
	reply := &wire.StakesReply{Archived: map[string]uint64{r.replica.part.rooms["lobby"].uuid: 1}}
	for range 2 { // each question may have its answer
		r.replica.Witnessed(1, reply)
	}
	if n := len(r.stored.appended); n != 1 || r.stored.appended[0].Kind != wire.OwnerLost {
		t.Errorf("it has written %+v", r.stored.appended)
	}
}
