package judge

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"tickcast/wire"
)

// defaultAhead is how many records may wait for a seed: a flight to the largest cap
// takes two and a half minutes, in which a busy partition stores a few hundred thousand.
const defaultAhead = 1 << 20

// keptActions is how many operators' actions are remembered to recognise repetitions.
const keptActions = 1000

// Config configures a Log.
type Config struct {
	Partition int
	Rooms     map[string]bool // rooms to judge by ID; nil means all
	Accounts  *Accounts       // shared by the logs of a deployment; nil: balances are not followed
	// Settled is called for each round when everything about it is in the log. An error
	// ends the judging.
	Settled func(*Round) error
	Ahead   int // records that may wait for a seed; 0 means 1,048,576
}

// Log judges the records of one partition. It is not safe for concurrent use.
type Log struct {
	cfg     Config
	clock   clock
	curve   curve
	epoch   uint64
	head    Head
	rooms   map[string]*room
	cashier cashier
	due     dueHeap
	notes   Notes

	versions versions

	unopened []*Round // of rooms that were closed, with bets that were refunded

	pending map[string]*Booking // asked for, without a result
	waiting map[string]int      // of pending, by room
	actions map[string]bool     // newest operators' actions by ID
	acted   []string            // the same in order
	money   map[string]*Booking // credits and refills by ID
	mends   map[string]*Mend    // by the ID of their bookings
	refused []refusal           // that nothing has mended yet
	players map[string]bool     // whom bookings name

	queue   []Record // read and not judged; the first may have moved the clock already
	begun   bool     // it has
	scout   scout
	lastSeq uint64 // of the newest record that was read
	ended   bool   // nothing follows: flights without a seed stay unjudged
	at      at     // of the record that is judged
}

// Notes count what a log has besides effects. Each kind names its first record.
type Notes struct {
	Records   uint64 `json:"records"`
	Foreign   Note   `json:"foreign"`   // answers of JetStream in place of records
	Malformed Note   `json:"malformed"` // what no server writes and every fold ignores
	Lost      Note   `json:"lost"`      // records that tell that the log had lost its tail
	Deposed   Note   `json:"deposed"`   // records of an owner that was not the newest
	Repeated  Note   `json:"repeated"`  // results of bookings that are not awaited
	Mended    Note   `json:"mended"`    // results of bookings that mend the ledger
	Unjudged  Note   `json:"unjudged"`  // rounds whose seed is not in the log
}

// Note counts records of a kind.
type Note struct {
	Count uint64 `json:"count"`
	First uint64 `json:"first,omitempty"` // sequence
}

func (n *Note) add(seq uint64) {
	if n.Count == 0 {
		n.First = seq
	}
	n.Count++
}

// New makes a Log that has read nothing.
func New(c Config) *Log {
	if c.Ahead == 0 {
		c.Ahead = defaultAhead
	}
	l := &Log{
		cfg: c, rooms: map[string]*room{}, pending: map[string]*Booking{}, waiting: map[string]int{},
		actions: map[string]bool{}, money: map[string]*Booking{}, mends: map[string]*Mend{}, players: map[string]bool{}, scout: newScout(), versions: newVersions(),
	}
	l.cashier = newCashier(l)
	return l
}

// Feed takes the next record, and judges as far as seeds are known. The error is a
// *Difference, or what Settled returned.
func (l *Log) Feed(rec Record) error {
	if rec.Seq != l.lastSeq+1 {
		return &Difference{
			Partition: l.cfg.Partition, Seq: rec.Seq, What: "sequence of the log",
			Expected: fmt.Sprintf("record %d", l.lastSeq+1), Found: fmt.Sprintf("record %d", rec.Seq),
		}
	}
	l.lastSeq = rec.Seq
	l.scout.look(l.cfg.Partition, &rec)
	l.lookForMend(&rec)
	l.queue = append(l.queue, rec)
	if err := l.pump(); err != nil {
		return err
	}
	if len(l.queue) > l.cfg.Ahead {
		return l.giveUp()
	}
	return nil
}

// Close judges what is left, and finds what nothing has mended (Unmended). Rounds whose
// seed did not come stay unjudged.
func (l *Log) Close() error {
	l.ended = true
	if err := l.giveUp(); err != nil {
		return err
	}
	if d := l.Unmended(); d != nil {
		return d
	}
	return nil
}

// giveUp goes on without the seed that the first record waits for.
func (l *Log) giveUp() error {
	for len(l.queue) > 0 {
		n := len(l.queue)
		for _, r := range l.rooms {
			if c, ok := r.game.(*crash); ok && c.blocked() {
				c.abandon()
				l.schedule(r)
			}
		}
		if err := l.pump(); err != nil {
			return err
		}
		if len(l.queue) == n && !l.ended {
			return nil
		}
	}
	return nil
}

// Head identifies the log up to the last record that was judged.
func (l *Log) Head() Head { return l.head }

// Read is the sequence of the last record that was read.
func (l *Log) Read() uint64 { return l.lastSeq }

// Judged is the sequence of the last record that was judged.
func (l *Log) Judged() uint64 { return l.at.seq }

// Notes tell what the log has besides effects, as far as it was judged.
func (l *Log) Notes() Notes { return l.notes }

// Money are the credits and refills that the log asks for, by ID. The caller does not
// modify them.
func (l *Log) Money() map[string]*Booking { return l.money }

// Players lists whom the log asks the ledger to open an account for, unless they have
// one, sorted.
func (l *Log) Players() []string { return slices.Sorted(maps.Keys(l.players)) }

// pump judges records until one needs a seed that has not been read.
func (l *Log) pump() error {
	for len(l.queue) > 0 {
		rec := &l.queue[0]
		if !l.begun {
			if err := l.begin(rec); err != nil {
				return err
			}
		}
		if blocked, err := l.passTimers(); blocked || err != nil {
			return err
		}
		if err := l.dispatch(rec); err != nil {
			return err
		}
		l.begun = false
		l.queue[0] = Record{}
		l.queue = l.queue[1:]
	}
	return nil
}

// begin moves the clock to a record.
func (l *Log) begin(rec *Record) error {
	l.begun = true
	byOwner := l.byOwner(rec)
	l.clock.pass(rec.Time, byOwner)
	l.head = l.head.Next(rec)
	l.at = at{now: l.clock.now, wall: rec.Time / 1e6, seq: rec.Seq}
	l.notes.Records++
	if _, err := kindOf(l.cfg.Partition, rec); err != nil {
		return l.differs("subject of a record", "cmd, adm, own, evt or res of the partition", err.Error())
	}
	return nil
}

// byOwner reports whether a record is the owner's, whose records carry the clock on.
func (l *Log) byOwner(rec *Record) bool {
	if rec.Foreign {
		return false
	}
	switch kind, _ := kindOf(l.cfg.Partition, rec); kind {
	case wire.KindClaim:
		_, ok := claimOf(rec)
		return ok
	case wire.KindOwner:
		var evt wire.OwnerRecord
		return json.Unmarshal(rec.Data, &evt) == nil && l.epoch != 0 && evt.Epoch == l.epoch
	}
	return false
}

// kindOf is the kind of a record by its subject. A command or an action on what cannot
// be a room is still one.
func kindOf(partition int, rec *Record) (wire.Kind, error) {
	kind, p, _, ok := wire.ParseLogSubject(rec.Subject)
	if ok && p != partition || !ok && kind != wire.KindCommand && kind != wire.KindAction {
		return "", fmt.Errorf("%q", rec.Subject)
	}
	return kind, nil
}

func claimOf(rec *Record) (wire.Claim, bool) {
	var c wire.Claim
	err := json.Unmarshal(rec.Data, &c)
	return c, err == nil && wire.ValidNode(c.Node)
}

// dispatch gives a record to what it concerns.
func (l *Log) dispatch(rec *Record) error {
	_, _, roomID, ok := wire.ParseLogSubject(rec.Subject)
	kind, _ := kindOf(l.cfg.Partition, rec)
	switch {
	case rec.Foreign || !ok:
		l.notes.Foreign.add(rec.Seq)
		return nil
	case kind == wire.KindCommand:
		return l.command(roomID, rec)
	case kind == wire.KindAction:
		return l.action(roomID, rec)
	case kind == wire.KindResult:
		return l.result(rec)
	case kind == wire.KindClaim:
		c, ok := claimOf(rec)
		if !ok {
			l.notes.Foreign.add(rec.Seq)
			return nil
		}
		l.epoch, l.versions.folds = rec.Seq, c.Folds
		return nil
	}
	return l.ownerRecord(rec)
}

func (l *Log) command(roomID string, rec *Record) error {
	c, err := wire.DecodeCommand(rec.Data)
	if err != nil {
		l.notes.Malformed.add(rec.Seq)
		return nil
	}
	if roomID == wire.CashierRoom {
		l.cashier.command(&c)
		return nil
	}
	r := l.rooms[roomID]
	if r == nil {
		return nil
	}
	if err := r.command(&c); err != nil {
		return err
	}
	l.touch(r)
	return nil
}

func (l *Log) result(rec *Record) error {
	var res wire.BookingResult
	if json.Unmarshal(rec.Data, &res) != nil {
		l.notes.Malformed.add(rec.Seq)
		return nil
	}
	b := l.pending[res.ID]
	if b == nil {
		if strings.HasPrefix(res.ID, wire.MendPrefix) {
			l.notes.Mended.add(rec.Seq)
		} else {
			l.notes.Repeated.add(rec.Seq)
		}
		return nil
	}
	delete(l.pending, res.ID)
	if l.waiting[b.Room]--; l.waiting[b.Room] == 0 {
		delete(l.waiting, b.Room)
	}
	b.Result = &Result{Seq: rec.Seq, Booked: res.Booked, Code: res.Code, Balance: res.Balance, Version: res.Version}
	if res.Player != b.Player {
		where := l.where(b)
		return where.as("player of the result of "+b.ID, b.Player, res.Player)
	}
	if err := l.booked(b); err != nil {
		return err
	}
	return l.deliver(b)
}

// deliver gives a result to who asked.
func (l *Log) deliver(b *Booking) error {
	switch {
	case b.Kind == wire.BookRefill:
		l.cashier.answered(b)
	case b.Kind == wire.BookRound || b.Kind == wire.BookScores:
		if err := l.settle(b.round); err != nil {
			return err
		}
	}
	r := l.rooms[b.Room]
	if r == nil {
		return nil
	}
	if b.bet != nil {
		if err := r.game.result(l.at, b); err != nil {
			return err
		}
	}
	l.touch(r)
	return nil
}

// settle hands out a round once its seed and the result of its archive are in the log.
func (l *Log) settle(rd *Round) error {
	if !rd.complete() {
		return nil
	}
	rd.Seq, rd.Head = l.at.seq, l.head
	if l.cfg.Settled == nil {
		return nil
	}
	return l.cfg.Settled(rd)
}

func (l *Log) ownerRecord(rec *Record) error {
	var evt wire.OwnerRecord
	if json.Unmarshal(rec.Data, &evt) != nil {
		l.notes.Malformed.add(rec.Seq)
		return nil
	}
	if evt.Epoch != l.epoch || l.epoch == 0 {
		l.notes.Deposed.add(rec.Seq)
		return nil
	}
	switch evt.Kind {
	case wire.OwnerTick, wire.OwnerDigest:
		return nil
	case wire.OwnerVersions:
		return l.putInForce(evt.Data)
	case wire.OwnerLost:
		l.lose()
		return nil
	case wire.OwnerOrphans:
		return l.orphans(evt.Data)
	}
	l.scout.passed(evt.Room, rec.Seq)
	r := l.rooms[evt.Room]
	if r == nil {
		if evt.Room == wire.CashierRoom || !knownFact(evt.Kind) {
			return l.differs("kind of an owner's record", "a known one", fmt.Sprintf("%q for room %q", evt.Kind, evt.Room))
		}
		return nil // closed meanwhile, or not judged
	}
	if err := r.game.fact(l.at, evt.Kind, evt.Data); err != nil {
		return err
	}
	l.touch(r)
	return nil
}

// differs is a Difference at the present record.
func (l *Log) differs(what, expected, found string) *Difference {
	return &Difference{Partition: l.cfg.Partition, Seq: l.at.seq, What: what, Expected: expected, Found: found}
}

// ask notes a booking that the log asks for, unless it is outstanding.
func (l *Log) ask(b *Booking) *Booking {
	if old := l.pending[b.ID]; old != nil {
		return old
	}
	b.At, b.Seq = l.at.wall, l.at.seq
	l.pending[b.ID] = b
	l.waiting[b.Room]++
	if b.Player != "" {
		l.players[b.Player] = true
	}
	switch b.Kind {
	case wire.BookCredit, wire.BookRefill:
		l.money[b.ID] = b
	}
	return b
}
