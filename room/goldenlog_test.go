package room

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"hash"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"tickcast/room/game"
	"tickcast/wire"
)

var update = flag.Bool("update", false, "record the golden log of this version anew")

// goldenStep is after how many records a golden log states what the fold came to.
const goldenStep = 50

// goldenHead is the first line of a golden log, a file of JSON lines.
type goldenHead struct {
	Partition int    `json:"partition"`
	Created   int64  `json:"created"`
	Snapshot  int    `json:"snapshot"` // version of the format that states are hashed in
	Secret    string `json:"secret"`
}

// goldenLine is a record, and behind each goldenStep-th and the last what had been said
// and what the state was.
type goldenLine struct {
	Seq    uint64    `json:"seq"`
	Time   int64     `json:"time"`
	Kind   wire.Kind `json:"kind"`
	Room   string    `json:"room,omitempty"`
	Forged bool      `json:"forged,omitempty"`
	Data   []byte    `json:"data"`
	Said   []byte    `json:"said,omitempty"`  // SHA-256 of every message, answer and booking so far
	State  []byte    `json:"state,omitempty"` // SHA-256 of the snapshot
}

// spoken hashes what an owner says.
type spoken struct{ hash.Hash }

func (s spoken) add(o *Output) {
	for _, m := range o.Messages {
		fmt.Fprintf(s, "%s %s %x\n", m.Room, m.Class, wire.AppendOut(nil, m.Header, m.Body))
	}
	for _, a := range o.Answers {
		fmt.Fprintf(s, "%s %s\n", a.Node, game.Encode(a.RoutedAnswer))
	}
	for _, b := range o.Bookings {
		fmt.Fprintf(s, "%s\n", game.Encode(b))
	}
}

// goldenLogs folds the log that every version recorded, from the start and from a
// snapshot on the way: this version says the same bytes, and has the same states if they
// are written in the same format. -update records a log in this version's format,
// and nothing else: the logs of other versions stay what they were.
func goldenLogs(t *testing.T) {
	name := func(version any) string {
		return filepath.Join("testdata", "logs", fmt.Sprintf("snapshot-%v.jsonl", version))
	}
	if *update {
		if err := os.WriteFile(name(snapshotVersion), recordGolden(t), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	files, err := filepath.Glob(name("*"))
	if err != nil || !slices.Contains(files, name(snapshotVersion)) {
		t.Fatalf("%v: %v has no log of this version", err, files)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(string(b)), "\n")
		var head goldenHead
		if err := json.Unmarshal([]byte(lines[0]), &head); err != nil {
			t.Fatal(err)
		}
		for _, restoreAt := range []int{0, len(lines) / 3, 2 * len(lines) / 3} {
			foldGolden(t, file, head, lines[1:], restoreAt)
		}
	}
}

// foldGolden folds the lines and goes on from a snapshot before the one at restoreAt.
func foldGolden(t *testing.T, file string, head goldenHead, lines []string, restoreAt int) {
	t.Helper()
	cfg := newRig(t).cfg
	if cfg.ID != head.Partition || cfg.Created != head.Created || string(testSecret) != head.Secret {
		t.Fatalf("%s was recorded under %+v", file, head)
	}
	p, out, said, compared := NewPartition(cfg), Output{}, spoken{sha256.New()}, 0
	for i, text := range lines {
		var l goldenLine
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatal(err)
		}
		if i == restoreAt {
			var err error
			if p, err = RestorePartition(cfg, p.Snapshot()); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Apply(Record{Seq: l.Seq, Time: l.Time, Kind: l.Kind, Room: l.Room, Forged: l.Forged, Data: l.Data}, &out); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		said.add(&out)
		if l.Said == nil {
			continue
		}
		compared++
		if !bytes.Equal(said.Sum(nil), l.Said) {
			t.Fatalf("%s: up to record %d this version says something else", file, l.Seq)
		}
		if sum := sha256.Sum256(p.Snapshot()); head.Snapshot == snapshotVersion && !bytes.Equal(sum[:], l.State) {
			t.Fatalf("%s: behind record %d this version has another state", file, l.Seq)
		}
	}
	if compared < len(lines)/goldenStep {
		t.Fatalf("%s: %d comparisons in %d lines", file, compared, len(lines))
	}
}

// recordGolden plays in rooms of every game, with all that operators, owners and
// forgers can do, and writes down the log.
func recordGolden(t *testing.T) []byte {
	t.Helper()
	r := playedGolden(t)
	wantEverything(t, r)
	p, out, said := NewPartition(r.cfg), Output{}, spoken{sha256.New()}
	b := append(game.Encode(goldenHead{r.cfg.ID, r.cfg.Created, snapshotVersion, string(testSecret)}), '\n')
	for i, rec := range r.log {
		if err := p.Apply(rec, &out); err != nil {
			t.Fatal(err)
		}
		said.add(&out)
		l := goldenLine{Seq: rec.Seq, Time: rec.Time, Kind: rec.Kind, Room: rec.Room, Forged: rec.Forged, Data: rec.Data}
		if (i+1)%goldenStep == 0 || i+1 == len(r.log) {
			sum := sha256.Sum256(p.Snapshot())
			l.Said, l.State = said.Sum(nil), sum[:]
		}
		b = append(append(b, game.Encode(l)...), '\n')
	}
	return b
}

func playedGolden(t *testing.T) *rig {
	r := newRig(t)
	r.create("lobby", "crash", fastCrash)
	r.create("derby", "race", fastRace)
	r.create("short", "race", fastRace)
	rnd := rand.New(rand.NewPCG(1, 2))
	r.run(time.Second)
	r.act("short", wire.ActionClose, nil)
	for i := range 600 {
		if rnd.IntN(3) == 0 {
			randomStep(r, rnd, i)
		} else {
			wilder(r, rnd, i)
		}
		switch i {
		case 30:
			r.append(wire.KindCommand, "lobby", []byte("no command"))
			r.append(wire.KindAction, "lobby", []byte("no action"))
			r.append(wire.KindResult, "", []byte("no result"))
			r.append(wire.KindClaim, "", []byte("no claim"))
			r.claim("node-f") // the one before fenced the owner
			forged := Record{Seq: r.p.Last().Seq + 1, Time: r.now, Kind: wire.KindCommand, Room: "lobby", Forged: true, Data: []byte("an answer of JetStream")}
			r.log = append(r.log, forged)
			if err := r.p.Apply(forged, &r.out); err != nil {
				t.Fatal(err)
			}
		case 60:
			r.append(wire.KindOwner, "", game.Encode(wire.OwnerRecord{Epoch: 1, Kind: wire.OwnerTick}))
			r.append(wire.KindOwner, "", game.Encode(wire.OwnerRecord{Epoch: r.p.Epoch(), Kind: wire.OwnerDigest, Data: game.Encode(wire.Digest{Seq: 1, Version: snapshotVersion})}))
		case 90:
			r.append(wire.KindAction, "lobby", r.log[slices.IndexFunc(r.log, func(rec Record) bool { return rec.Kind == wire.KindAction })].Data)
		}
	}
	settleDown(r)
	return r
}

// wantEverything wants every kind of record, fact, operation and booking in the log.
func wantEverything(t *testing.T, r *rig) {
	t.Helper()
	have := map[string]bool{}
	p, out := NewPartition(r.cfg), Output{}
	for _, rec := range r.log {
		have["kind "+string(rec.Kind)] = true
		switch rec.Kind {
		case wire.KindOwner:
			evt, _ := decodeOwner(rec.Data)
			have["fact "+evt.Kind] = true
		case wire.KindCommand:
			if c, err := wire.DecodeCommand(rec.Data); err == nil {
				have["op "+c.Op] = true
			}
		case wire.KindAction:
			var a wire.Action
			_ = json.Unmarshal(rec.Data, &a)
			have["op "+a.Op] = true
		}
		if err := p.Apply(rec, &out); err != nil {
			t.Fatal(err)
		}
		for _, b := range out.Bookings {
			have["booking "+string(b.Kind)] = true
		}
	}
	for _, r := range r.answers {
		have[fmt.Sprintf("answer %v", r.OK)] = true
	}
	for _, want := range []string{
		"kind cmd", "kind adm", "kind own", "kind evt", "kind res",
		"fact tick", "fact digest", "fact commit", "fact salt", "fact open", "fact reveal",
		"op bet", "op cashout", "op cancel", "op tap", "op refill",
		"op create", "op close", "op start", "op pause", "op resume", "op void", "op set", "op credit", "op mute", "op kick",
		"booking stake", "booking payout", "booking cancel", "booking round", "booking scores", "booking credit", "booking refill", "booking audit",
		"answer true", "answer false",
	} {
		if !have[want] {
			t.Fatalf("the golden log has no %s: %v", want, have)
		}
	}
}
