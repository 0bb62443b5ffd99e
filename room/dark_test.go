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
	behind   bool // whatever node answers for a single record does not have it yet
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
	r.stored = &darkLog{created: r.cfg.Created, records: slices.Clone(r.log)}
	r.clock = time.Unix(0, r.now)
	r.replica = NewReplica(ReplicaConfig{
		Partition: r.cfg, Node: "node-2", Rank: func(string) int { return 1 }, Now: func() time.Time { return r.clock },
		Rand: rand.New(rand.NewPCG(1, 1)), Log: testkit.Logger(t),
	})
	if err := r.replica.Open(t.Context(), r.stored, unheard{}); err != nil {
		t.Fatal(err)
	}
	return r
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
				if known := r.replica.tail.known != nil; known != replaced || len(r.stored.claims) > 0 != replaced {
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
			known := r.stored.records[len(r.stored.records)-5]
			r.replica.tail.known = &witness{Place: known.place()}
			if lost {
				r.replace(known.Seq)
			}
			r.stored.dark = true
			r.replica.Sweep()
			if len(r.stored.claims) != 1 {
				t.Fatalf("%d claims", len(r.stored.claims))
			}
			// With it the next round is owed.
			claim := Record{Seq: r.replica.part.Last().Seq + 1, Time: r.now + int64(300*time.Millisecond), Kind: wire.KindClaim, Data: game.Encode(r.stored.claims[0])}
			r.stored.records = append(r.stored.records, claim)
			r.replica.Record(claim)
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
