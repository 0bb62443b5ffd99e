package room

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"tickcast/room/game"
	"tickcast/wire"
)

// PartitionConfig is what a Partition is made from. The same log folded under the
// same config gives the same state.
type PartitionConfig struct {
	ID      int
	Created int64       // creation of the stream, Unix ns: names the log
	Kinds   []game.Kind // the games that rooms can be of
	Cashier game.Kind   // the game of the room wire.CashierRoom
	// Inline takes digests in the goroutine that folds, so that a simulation does the
	// same each time.
	Inline bool
}

// Partition is the state of all rooms of a partition as a pure fold of its log.
// It is not safe for concurrent use. The zero value is not usable; use
// NewPartition or RestorePartition.
type Partition struct {
	cfg   PartitionConfig
	kinds map[string]game.Kind
	clock clock
	epoch uint64 // sequence of the newest claim
	owner string // node of the newest claim
	// versions are in force: a round that opens is played by them. Not modified.
	versions wire.Versions
	forged   uint64 // sequence of the newest forged record on the claim's subject
	lost     uint64 // sequence of the newest record that tells that the log lost its tail
	lostAt   int64  // its stored timestamp, Unix ms
	last     Place
	rooms    map[string]*roomState
	wakes    wakeHeap
	pending  bookings
	actions  actionTable
	digests  digests

	byOwner bool         // the last record was the owner's; not part of the state
	fx      game.Effects // of the input being folded
	out     *Output      // of the record being folded
	touched []*roomState // by the record being folded
}

// NewPartition is the state before the first record.
func NewPartition(cfg PartitionConfig) *Partition {
	p := newPartition(cfg)
	r, refused := cfg.Cashier.New(game.At{}, game.Config{ID: wire.CashierRoom, Partition: cfg.ID}, &p.fx)
	if refused != nil {
		panic("room: cashier refused to start: " + refused.Error())
	}
	p.add(&roomState{id: wire.CashierRoom, game: r, keys: newKeyTable(), hidden: true, wake: r.Due()})
	return p
}

func newPartition(cfg PartitionConfig) *Partition {
	p := &Partition{cfg: cfg, kinds: map[string]game.Kind{}, rooms: map[string]*roomState{}, versions: firstVersions()}
	for _, k := range cfg.Kinds {
		p.kinds[k.Name()] = k
	}
	p.pending = newBookings()
	p.actions = newActionTable()
	return p
}

func (p *Partition) add(r *roomState) {
	p.rooms[r.id] = r
	r.index = -1
	p.wakes.set(r)
}

// Last is the last folded record.
func (p *Partition) Last() Place { return p.last }

// Epoch is the sequence of the newest claim, 0 before the first.
func (p *Partition) Epoch() uint64 { return p.epoch }

// Now is the game time of the last record.
func (p *Partition) Now() game.Time { return p.clock.Now }

// OwnedLast reports whether the last record was the owner's, which is what carries
// the clock on.
func (p *Partition) OwnedLast() bool { return p.byOwner }

// Rooms is the number of rooms that operators made.
func (p *Partition) Rooms() int { return len(p.rooms) - 1 }

// duties lists what a room owes to the log. Rounds of a game that went out of force while a
// room of it was made are played by its first rules, until it is in force again.
func (p *Partition) duties(room string) []game.Duty {
	if r := p.rooms[room]; r != nil {
		return r.game.Duties(max(p.versions[r.kind], 1))
	}
	return nil
}

// uninformed names a room, of those given, whose secret this process does not
// know; "" if there is none.
func (p *Partition) uninformed(rooms []string) string {
	for _, id := range rooms {
		if r := p.rooms[id]; r != nil {
			if k, ok := r.game.(game.Informed); ok && !k.Informed() {
				return id
			}
		}
	}
	return ""
}

// roomIDs are the rooms, the cashier too, in order.
func (p *Partition) roomIDs() []string { return slices.Sorted(maps.Keys(p.rooms)) }

// Due is the game time at which the owner should carry the clock past by a tick
// record, game.Never if nothing is due. It may depend on secrets.
func (p *Partition) Due() game.Time {
	if r := p.wakes.first(); r != nil {
		return r.wake
	}
	return game.Never
}

// tickIn is how long the owner may wait before it appends a tick, given how long
// ago the last record and the last record of the owner were stored; due is false
// when nothing wants one.
func (p *Partition) tickIn(sinceRecord, sinceOwn time.Duration) (wait time.Duration, due bool) {
	next := p.Due()
	if next == game.Never {
		return 0, false
	}
	return min(time.Duration(next-p.clock.Now)-sinceRecord, tickSilence-sinceOwn), true
}

// Apply folds the next record and writes what follows from it to out, which it
// resets first. An error halts the fold: the record is not one that this build or
// this secret can fold, and going on would be a different history.
func (p *Partition) Apply(rec Record, out *Output) error {
	out.reset()
	p.out = out
	if rec.Seq != p.last.Seq+1 {
		return fmt.Errorf("fold partition %d: record %d after %d", p.cfg.ID, rec.Seq, p.last.Seq)
	}
	p.expose(&rec)
	evt, byOwner := p.authority(rec)
	p.clock.advance(rec.Time, byOwner)
	p.byOwner = byOwner
	p.last = rec.place()
	at := game.At{Now: p.clock.Now, Wall: rec.Time / 1e6}
	p.advanceTimers(at)
	if err := p.dispatch(at, rec, evt, byOwner); err != nil {
		return fmt.Errorf("fold partition %d: record %d: %w", p.cfg.ID, rec.Seq, err)
	}
	p.settle(at)
	p.digests.note(p)
	return nil
}

// expose marks a claim that names no node as forged: JetStream's acknowledgements
// and error messages can be sent to the claims' subject as well, and differ from
// records in nothing else.
func (p *Partition) expose(rec *Record) {
	if rec.Kind != wire.KindClaim {
		return
	}
	var c wire.Claim
	if json.Unmarshal(rec.Data, &c) != nil || !wire.ValidNode(c.Node) {
		rec.Forged = true
	}
	if rec.Forged {
		p.forged = rec.Seq
	}
}

// authority decides whether a record is the owner's, and decodes it if it is an
// owner record. What does not decode names no epoch.
func (p *Partition) authority(rec Record) (evt wire.OwnerRecord, byOwner bool) {
	switch {
	case rec.Forged:
	case rec.Kind == wire.KindClaim:
		byOwner = true
	case rec.Kind == wire.KindOwner:
		evt, byOwner = decodeOwner(rec.Data)
		byOwner = byOwner && evt.Epoch == p.epoch && p.epoch != 0
	}
	return evt, byOwner
}

// decodeOwner is apart from authority, where its result would take memory for every
// record.
func decodeOwner(data []byte) (evt wire.OwnerRecord, ok bool) {
	ok = json.Unmarshal(data, &evt) == nil
	return evt, ok
}

// lastOnClaimSubject is what a claim must expect: the epoch seen dead, unless a
// forged record stands behind it.
func (p *Partition) lastOnClaimSubject(seen uint64) uint64 {
	if p.forged > seen && seen == p.epoch {
		return p.forged
	}
	return seen
}

// advanceTimers lets every room meet what the clock has passed, in order.
func (p *Partition) advanceTimers(at game.At) {
	for {
		r := p.wakes.first()
		if r == nil || r.wake > at.Now {
			return
		}
		for due := r.game.Due(); due <= at.Now; due = r.game.Due() {
			r.game.Advance(game.At{Now: due, Wall: at.Wall}, &p.fx)
			p.collect(at, r)
		}
		p.touch(r)
		r.wake = game.Never // settle sets it again
		p.wakes.set(r)
	}
}

func (p *Partition) dispatch(at game.At, rec Record, evt wire.OwnerRecord, byOwner bool) error {
	if rec.Forged {
		return nil
	}
	switch rec.Kind {
	case wire.KindCommand:
		p.command(at, rec)
	case wire.KindAction:
		return p.action(at, rec)
	case wire.KindResult:
		p.result(at, rec)
	case wire.KindClaim:
		p.claim(rec)
	case wire.KindOwner:
		if byOwner {
			return p.ownerRecord(at, evt)
		}
	default:
		return fmt.Errorf("kind %q: %w", rec.Kind, game.ErrUnknown)
	}
	return nil
}

func (p *Partition) claim(rec Record) {
	var c wire.Claim
	_ = json.Unmarshal(rec.Data, &c) // expose has seen that it decodes
	p.epoch, p.owner = rec.Seq, c.Node
	p.out.Claim = &c
}

func (p *Partition) ownerRecord(at game.At, evt wire.OwnerRecord) error {
	switch evt.Kind {
	case wire.OwnerTick:
		return nil
	case wire.OwnerDigest:
		return p.digests.check(evt.Data)
	case wire.OwnerLost:
		p.lose(at)
		return nil
	case wire.OwnerOrphans:
		return p.orphans(at, evt.Data)
	case wire.OwnerVersions:
		return p.putInForce(evt.Data)
	}
	if evt.Room == "" {
		return fmt.Errorf("owner record %q: %w", evt.Kind, game.ErrUnknown)
	}
	r := p.rooms[evt.Room]
	if r == nil {
		return nil // closed meanwhile
	}
	if err := r.game.Fact(at, evt.Kind, evt.Data, &p.fx); err != nil {
		return fmt.Errorf("%s of room %s: %w", evt.Kind, r.id, err)
	}
	p.out.Stated = append(p.out.Stated, r.id)
	p.collect(at, r)
	return nil
}

func (p *Partition) result(at game.At, rec Record) {
	var res wire.BookingResult
	if json.Unmarshal(rec.Data, &res) != nil {
		return // only ledger workers can write here; a malformed result stays outstanding
	}
	b, ok := p.pending.take(res.ID)
	if !ok {
		return // repeated
	}
	r := p.rooms[b.Room]
	if r == nil {
		return
	}
	p.touch(r) // it may have waited for this one to be closed
	if res.Player != "" && res.Version > 0 {
		p.tell(r, res.Player, game.Encode(wire.Balance{Type: wire.TypeBalance, Amount: res.Balance, Version: res.Version}))
	}
	if b.Kind == wire.BookAudit {
		return
	}
	r.game.Result(at, res, &p.fx)
	p.collect(at, r)
}

func (p *Partition) touch(r *roomState) {
	if !r.touched {
		r.touched = true
		p.touched = append(p.touched, r)
	}
}

// settle cuts what is to be cut in the rooms that the record touched and sets
// their next wake.
func (p *Partition) settle(at game.At) {
	for i := 0; i < len(p.touched); i++ {
		r := p.touched[i]
		p.flushPrivate(r)
		r.cut(p, at)
		p.announce(r)
		r.wake = r.nextWake(p, at.Now)
		if p.rooms[r.id] == r {
			p.wakes.set(r)
			p.out.Touched = append(p.out.Touched, r.id)
		}
		r.touched = false
	}
	clear(p.touched)
	p.touched = p.touched[:0]
}
