package sim

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"tickcast/room"
	"tickcast/room/cashier"
	"tickcast/room/crash"
	"tickcast/room/game"
	"tickcast/wire"
)

// partition is the one that is simulated.
const partition = 3

// curve is the table of all runs.
var curve crash.Curve

// truth is a fold of each record at the moment it is stored. It is never restarted and
// hears nothing by any network, so it is what all others must agree with.
type truth struct {
	w      *world
	part   *room.Partition
	out    room.Output
	halted error

	updates map[string][]update // by room, from 1
	answers map[answerID][]json.RawMessage
	digests map[uint64][sha256.Size]byte // of the state behind every sampled record
	sample  uint64
	rooms   map[string]*roomTruth
	list    []*roomTruth
	rounds  int // that have crashed or were voided
	voids   int
	epochs  map[uint64]string // who spoke for it
	expects map[answerID]bool // commands that players sent
	keyless map[answerID]bool // those that may be answered again

	strays    []lineage // what was folded of lost tails
	lostTails int       // how often the log lost its tail
	told      int       // how often an owner said so
	untold    bool      // the last one
	// unguarded are rounds, by roundKey, that were under way while one was untold and were not
	// voided: they may be over before a stake is booked that they do not know.
	unguarded map[string]bool
	public    map[string]bool // seeds that may be known, by hex; also by what the log has lost since
	again     *foldedAgain    // while it folds again
}

// update is an update as it is cut by the fold, with what players see in it.
type update struct {
	sum    uint64
	before uint64 // the chain of those before it
	chain  uint64 // with it
	phase  string // "" when it says nothing of one
	round  uint64
}

// roomTruth is the round of a room, with its secret.
type roomTruth struct {
	id    string
	uuid  string
	phase string
	round uint64
	// paused is what an operator last asked for. A room that is before its first round says nothing.
	paused bool
	until  game.Time // when betting ends, if that is the phase
	seed   []byte    // hex
	point  int64     // of the round
	ends   game.Time // of the flight
	open   bool      // the secret is one
	shown  uint64    // the newest round whose seed is in the log
	crash  map[uint64]int64
	// strays are crash points of rounds of lost tails.
	strays map[uint64]int64
}

// over reports whether a reading is behind the crash point of a round.
func (r *roomTruth) over(centi int64, round uint64) bool {
	return centi > max(r.crash[round], r.strays[round])
}

type answerID struct{ player, room, key, body string }

func idOf(a wire.RoutedAnswer) answerID { return answerID{a.Player, a.Room, a.Key, string(a.Body)} }

func newTruth(w *world) *truth {
	return &truth{
		w: w, updates: map[string][]update{}, answers: map[answerID][]json.RawMessage{}, digests: map[uint64][sha256.Size]byte{},
		sample: 200 + w.rnd.Uint64N(600), rooms: map[string]*roomTruth{}, epochs: map[uint64]string{}, expects: map[answerID]bool{}, keyless: map[answerID]bool{},
		public: map[string]bool{}, unguarded: map[string]bool{},
	}
}

// fold takes a record that was stored this moment.
func (t *truth) fold(rec room.Record) {
	if t.part == nil {
		t.part = room.NewPartition(room.PartitionConfig{
			ID: partition, Created: t.w.log.created, Kinds: trueRules.kinds, Cashier: cashier.Kind{}, Inline: true,
		})
	}
	if t.halted != nil {
		return
	}
	t.action(rec)
	t.revealed(rec)
	if t.again == nil {
		t.w.history.result(t, rec)
	} else if r, ok := resultOf(rec); ok {
		t.again.settled[r.ID] = true
	}
	if t.halted = t.part.Apply(rec, &t.out); t.halted != nil {
		return
	}
	if t.again == nil {
		t.testimony(rec)
	}
	for _, m := range t.out.Messages {
		if m.Class == wire.OutUpdate {
			t.cut(m.Room, m.Body)
		}
	}
	for _, a := range t.out.Answers {
		t.answer(a.RoutedAnswer)
	}
	for _, b := range t.out.Bookings {
		if t.again != nil {
			t.again.asked[b.ID] = true
			continue
		}
		if b.Kind == wire.BookPayout && t.rooms[b.Room].over(b.Centi, t.w.history.roundOf(b.Stake)) {
			t.w.fail("%s asks for %d hundredths, and the round has ended before", b.ID, b.Centi)
		}
		t.w.history.asked(t.w.now, b)
	}
	if rec.Seq%t.sample == 0 {
		t.digests[rec.Seq] = sha256.Sum256(t.part.Snapshot())
	}
}

// cut takes an update that the fold cut.
func (t *truth) cut(room string, body []byte) {
	u, known := t.read(room, body), t.updates[room]
	u.before = fnvOffset
	if len(known) > 0 {
		u.before = known[len(known)-1].chain
	}
	u.chain = (u.before ^ u.sum) * fnvPrime
	t.updates[room] = append(known, u)
	if t.again == nil {
		t.unsaid("an update", body)
	}
}

// action notes what an operator does to secrets: a void gives the seed away.
func (t *truth) action(rec room.Record) {
	var a wire.Action
	if rec.Kind != wire.KindAction || json.Unmarshal(rec.Data, &a) != nil {
		return
	}
	switch r := t.rooms[rec.Room]; {
	case a.Op == wire.ActionCreate && r == nil:
		var args wire.CreateArgs
		_ = json.Unmarshal(a.Args, &args)
		t.rooms[rec.Room] = &roomTruth{id: rec.Room, uuid: args.UUID, crash: map[uint64]int64{}}
		t.list = append(t.list, t.rooms[rec.Room])
	case r == nil:
	case a.Op == wire.ActionVoid:
		t.giveAway(r)
	case a.Op == wire.ActionPause, a.Op == wire.ActionResume:
		r.paused = a.Op == wire.ActionPause
	}
}

// revealed notes that the log has a seed, which may be before an update tells the end of its
// round.
func (t *truth) revealed(rec room.Record) {
	var evt struct {
		wire.OwnerRecord
		Data struct{ Round uint64 } `json:"d"`
	}
	if rec.Kind != wire.KindOwner || !bytes.Contains(rec.Data, []byte(`"k":"reveal"`)) || json.Unmarshal(rec.Data, &evt) != nil {
		return
	}
	if r := t.rooms[evt.Room]; r != nil {
		r.shown = max(r.shown, evt.Data.Round)
	}
}

// roomEvent is what is read of the events of a room.
type roomEvent struct {
	E, Phase, Seed string
	Round, Index   uint64
	Start, Centi   int64
	End            *int64
	Settings       struct {
		RTPBP int64 `json:"rtp_bp"`
		Cap   int64
	}
	Fairness struct {
		Chain uint32
		Index uint64
		Salt  string
	}
}

// read makes what players see of an update that the fold cut.
func (t *truth) read(id string, body []byte) update {
	u := update{sum: sum(body)}
	if !bytes.Contains(body, []byte(`"e":"phase"`)) && !bytes.Contains(body, []byte(`"e":"void"`)) {
		return u
	}
	var m struct{ Events []roomEvent }
	if err := json.Unmarshal(body, &m); err != nil {
		t.w.fail("an update of %s is no JSON: %v", id, err)
		return u
	}
	r := t.rooms[id]
	for _, e := range m.Events {
		switch {
		case e.E == "void":
			t.end(r, e)
			t.voids++
			delete(t.unguarded, roundKey(r.uuid, e.Round))
			u.phase, u.round = "crashed", e.Round
		case e.E != "phase":
			continue
		case e.Phase == "betting":
			t.begin(id, r, e)
		case e.Phase == "finished":
			t.rounds++
		case e.Phase == "flying":
			r.ends = game.Time(e.Start*1000) + curve.At(r.point+1)
		case e.Phase == "crashed":
			if t.end(r, e); e.Centi != r.point {
				t.w.fail("round %d of %s crashes at %d, its seed says %d", e.Round, id, e.Centi, r.point)
			}
		}
		if e.E == "phase" {
			u.phase, u.round = e.Phase, e.Round
		}
		if e.End != nil {
			r.until = game.Time(*e.End * 1000)
		}
		r.phase, r.round = u.phase, u.round
	}
	return u
}

func (t *truth) begin(id string, r *roomTruth, e roomEvent) {
	if e.Round != r.round+1 {
		t.w.fail("round %d of %s comes behind round %d", e.Round, id, r.round)
	}
	seed, ok := shared.Seed(r.uuid, e.Fairness.Chain, e.Fairness.Index)
	if !ok {
		t.w.fail("round %d of %s has the index %d of a chain of %d", e.Round, id, e.Fairness.Index, chainRounds)
	}
	r.seed, r.open, r.ends = hex.AppendEncode(nil, seed[:]), true, game.Never
	r.point = crash.Point(seed, e.Fairness.Salt, e.Settings.RTPBP, e.Settings.Cap)
	r.crash[e.Round] = r.point
	if t.again == nil {
		t.unguarded[roundKey(r.uuid, e.Round)] = t.untold
	}
}

func (t *truth) end(r *roomTruth, e roomEvent) {
	t.rounds++
	t.giveAway(r)
	if e.Seed != string(r.seed) {
		t.w.fail("round %d reveals another seed than its own", e.Round)
	}
}

// giveAway has the seed of a round public from the record on that ends it: who has folded that
// may tell it, though an update comes later, or never, if the log loses the record.
func (t *truth) giveAway(r *roomTruth) {
	r.open = false
	t.public[string(r.seed)] = true
}

// unsaid looks for the seeds of rounds that have not crashed in what leaves a server.
func (t *truth) unsaid(what string, b []byte) {
	for _, r := range t.list {
		if r.open && !t.public[string(r.seed)] && t.part.Now() < r.ends && bytes.Contains(b, r.seed) {
			t.w.fail("%s gives away the seed of round %d of %s before it crashed", what, r.round, r.id)
		}
	}
}

// said compares what an owner says with what the fold cut: of the log, unless the owner has
// not noticed that it lost what he folded.
func (t *truth) said(who *server, room string, seq uint64, body []byte) {
	if known := t.updates[room]; seq > 0 && seq <= uint64(len(known)) && known[seq-1].sum == sum(body) {
		return
	}
	if _, ok := t.find(room, seq, 0, body); !ok || !who.strayed() {
		t.w.fail("%s says an update %d of %s that no fold of the log makes: %s", who.name, seq, room, body)
	}
}

// owned notes who speaks under an epoch: one server.
func (t *truth) owned(who string, epoch uint64) {
	if before, ok := t.epochs[epoch]; ok && before != who { // the same one may fold its claim again
		t.w.fail("%s and %s both own epoch %d", before, who, epoch)
	}
	t.epochs[epoch] = who
}

// passing are refusals that the room does not keep: the same command may be answered
// otherwise later.
var passing = []string{`"code":"stale_round"`, `"code":"too_many_commands"`, `"code":"unknown_room"`}

// answer notes an answer of the fold. A command has one, but for those that pass.
func (t *truth) answer(a wire.RoutedAnswer) {
	if a.Player == "" {
		return
	}
	if !t.expects[idOf(a)] {
		t.w.fail("%s is answered in %s to %s, which he did not send", a.Player, a.Room, a.Key)
	}
	known := t.answers[idOf(a)]
	for _, k := range known {
		if string(k) == string(a.Answer) {
			return
		}
	}
	definite := 0
	for _, k := range append(known, a.Answer) {
		if !passes(k) && !t.keyless[idOf(a)] {
			definite++
		}
	}
	if definite > 1 {
		t.w.fail("%s has two answers to %s in %s: %s and %s", a.Player, a.Key, a.Room, known, a.Answer)
	}
	t.answers[idOf(a)] = append(known, a.Answer)
}

func passes(answer json.RawMessage) bool {
	for _, p := range passing {
		if bytes.Contains(answer, []byte(p)) {
			return true
		}
	}
	return false
}

// answered holds an answer that arrived to those of the fold. Who asks for the answer to a
// command whose key has another body by now is told of the conflict, whatever refusal
// the fold did not keep.
func (t *truth) answered(id answerID, answer json.RawMessage) {
	kept := false
	for _, k := range t.answers[id] {
		if string(k) == string(answer) {
			return
		}
		kept = kept || !passes(k) && !t.keyless[id]
	}
	if t.gave(id, answer) {
		return
	}
	if (t.lostTails > 0 || !kept && len(t.answers[id]) > 0) && bytes.Contains(answer, []byte(`"code":"conflict"`)) {
		return
	}
	t.w.fail("%s gets an answer to %s in %s that the fold did not give: %s, the fold gave %s", id.player, id.key, id.room, answer, t.answers[id])
}

// encode is JSON of what cannot fail to be.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("sim: encode %T: %v", v, err))
	}
	return b
}

// decode reads JSON that the program made; what is not there stays zero.
func decode(b []byte, v any) { _ = json.Unmarshal(b, v) }

func cmpString(a, b string) int { return strings.Compare(a, b) }
