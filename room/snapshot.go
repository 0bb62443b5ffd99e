package room

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"tickcast/room/game"
	"tickcast/wire"
)

// snapshotVersion is the version of the snapshot's format. Another version is not
// used; the log is folded instead.
const snapshotVersion = 3

// savedPartition is the whole public state of a partition. Equal states have equal
// bytes. It holds no secret: what a game derives from one is derived again.
type savedPartition struct {
	Version   int                 `json:"v"`
	Partition int                 `json:"partition"`
	Created   int64               `json:"created"` // of the stream
	Last      Place               `json:"last"`
	Clock     clock               `json:"clock"`
	Epoch     uint64              `json:"epoch"`
	Owner     string              `json:"owner"`
	Forged    uint64              `json:"forged,omitempty"`
	Lost      uint64              `json:"lost,omitempty"`
	LostAt    int64               `json:"lost_at,omitempty"`
	Stated    uint64              `json:"stated"`
	Digested  uint64              `json:"digested"`
	Versions  wire.Versions       `json:"versions,omitempty"` // nil for firstVersions
	Rooms     []savedRoom         `json:"rooms"`
	Pending   []wire.Booking      `json:"pending"`
	Actions   []savedActionAnswer `json:"actions"`
}

type savedRoom struct {
	ID        string       `json:"id"`
	Kind      string       `json:"kind"`
	UUID      string       `json:"uuid"`
	Name      string       `json:"name"`
	Created   int64        `json:"created"`
	Closing   bool         `json:"closing,omitempty"`
	Lost      uint64       `json:"lost,omitempty"`
	Seq       uint64       `json:"seq"`
	Events    []game.Event `json:"events"`
	LastCut   game.Time    `json:"last_cut"`
	LastTick  game.Time    `json:"last_tick"`
	Announced string       `json:"announced"`
	Keys      []byte       `json:"keys"`
	Game      []byte       `json:"game"`
}

type savedActionAnswer struct {
	ID     string          `json:"id"`
	Answer json.RawMessage `json:"answer"`
}

// Snapshot is the state after the last record, from which RestorePartition goes
// on. The same state always gives the same bytes.
func (p *Partition) Snapshot() []byte { return p.freeze().encode() }

// frozen is the state after one record. It does not change, and another goroutine
// may encode it while the fold goes on. It is encoded once.
type frozen struct {
	saved   savedPartition // without what follows
	pending map[int64]wire.Booking
	keys    []frozenKeys    // by room
	games   []func() []byte // by room
}

// freeze copies what the fold goes on to change. That takes a small part of the time
// of encoding it, for which nobody's tick waits.
func (p *Partition) freeze() *frozen {
	f := &frozen{pending: maps.Clone(p.pending.byNum), saved: savedPartition{
		Version: snapshotVersion, Partition: p.cfg.ID, Created: p.cfg.Created, Last: p.last, Clock: p.clock,
		Epoch: p.epoch, Owner: p.owner, Forged: p.forged, Lost: p.lost, LostAt: p.lostAt, Stated: p.digests.stated, Digested: p.digests.seq,
	}}
	if !maps.Equal(p.versions, firstVersions()) {
		f.saved.Versions = p.versions
	}
	for _, id := range slices.Sorted(maps.Keys(p.rooms)) {
		r := p.rooms[id]
		f.saved.Rooms = append(f.saved.Rooms, savedRoom{
			ID: r.id, Kind: r.kind, UUID: r.uuid, Name: r.name, Created: r.created, Closing: r.closing, Lost: r.lost, Seq: r.seq,
			Events: slices.Clone(r.events), LastCut: r.lastCut, LastTick: r.lastTick, Announced: r.announced,
		})
		f.keys = append(f.keys, r.keys.freeze())
		f.games = append(f.games, freezeGame(r.game))
	}
	for _, id := range p.actions.order {
		f.saved.Actions = append(f.saved.Actions, savedActionAnswer{id, p.actions.answers[id]})
	}
	return f
}

func freezeGame(r game.Room) func() []byte {
	if k, ok := r.(game.Freezing); ok {
		return k.Freeze()
	}
	b := r.Snapshot()
	return func() []byte { return b }
}

func (f *frozen) encode() []byte {
	f.saved.Pending = inOrder(f.pending)
	for i := range f.saved.Rooms {
		f.saved.Rooms[i].Keys, f.saved.Rooms[i].Game = f.keys[i].save(), f.games[i]()
	}
	return game.Encode(f.saved)
}

// roomWeight is how many keys weigh as much in a snapshot as a room without any, with
// its history.
const roomWeight = 64

// weight is how much a snapshot of the state has to list, in keys. To list one takes
// about as long as to fold a record.
func (p *Partition) weight() uint64 {
	n := len(p.pending.byID)
	for _, r := range p.rooms {
		n += roomWeight + len(r.keys.filed) + len(r.keys.newest)
	}
	return uint64(n)
}

// RestorePartition is the state that Snapshot saved. It refuses a snapshot of
// another format, partition or stream, and bytes that no Snapshot made; with
// game.ErrUnknown one of newer versions than cfg can fold.
func RestorePartition(cfg PartitionConfig, snapshot []byte) (*Partition, error) {
	var s savedPartition
	if err := json.Unmarshal(snapshot, &s); err != nil {
		return nil, fmt.Errorf("restore partition %d: %w", cfg.ID, err)
	}
	switch {
	case s.Version != snapshotVersion:
		return nil, fmt.Errorf("restore partition %d: snapshot has version %d, this build reads %d", cfg.ID, s.Version, snapshotVersion)
	case s.Partition != cfg.ID || s.Created != cfg.Created:
		return nil, fmt.Errorf("restore partition %d: the snapshot is of another log", cfg.ID)
	}
	p := newPartition(cfg)
	p.clock, p.last, p.epoch, p.owner = s.Clock, s.Last, s.Epoch, s.Owner
	p.lost, p.lostAt = s.Lost, s.LostAt
	if s.Versions != nil {
		if err := cfg.folds(s.Versions); err != nil {
			return nil, fmt.Errorf("restore partition %d: %w", cfg.ID, err)
		}
		p.versions = s.Versions
	}
	p.forged, p.digests.stated, p.digests.seq = s.Forged, s.Stated, s.Digested
	for _, b := range s.Pending {
		p.pending.add(b)
	}
	for _, a := range s.Actions {
		p.actions.file(a.ID, a.Answer)
	}
	for _, saved := range s.Rooms {
		r, err := p.restoreRoom(saved)
		if err != nil {
			return nil, fmt.Errorf("restore partition %d: room %s: %w", cfg.ID, saved.ID, err)
		}
		p.add(r)
	}
	if p.rooms[wire.CashierRoom] == nil {
		return nil, fmt.Errorf("restore partition %d: the snapshot has no cashier", cfg.ID)
	}
	return p, nil
}

func (p *Partition) restoreRoom(s savedRoom) (*roomState, error) {
	kind := p.kinds[s.Kind]
	if s.ID == wire.CashierRoom {
		kind = p.cfg.Cashier
	}
	if kind == nil {
		return nil, fmt.Errorf("game %q: %w", s.Kind, game.ErrUnknown)
	}
	g, err := kind.Restore(s.Game)
	if err != nil {
		return nil, err
	}
	keys, err := restoreKeys(s.Keys)
	if err != nil {
		return nil, err
	}
	r := &roomState{
		id: s.ID, kind: s.Kind, uuid: s.UUID, name: s.Name, log: logName(s.UUID, p.cfg.Created, s.Lost), lost: s.Lost, created: s.Created,
		hidden: s.ID == wire.CashierRoom, closing: s.Closing, game: g, keys: keys,
		seq: s.Seq, events: s.Events, lastCut: s.LastCut, lastTick: s.LastTick, phase: tickPhase(s.UUID), announced: s.Announced,
	}
	r.wake = r.nextWake(p, p.clock.Now)
	return r, nil
}

var errSealBroken = errors.New("the snapshot's checksum does not match its contents")

// seal protects a stored snapshot against bytes that changed on the way.
func seal(snapshot []byte) []byte {
	sum := sha256.Sum256(snapshot)
	return append(sum[:], snapshot...)
}

func unseal(b []byte) ([]byte, error) {
	if len(b) < sha256.Size || sha256.Sum256(b[sha256.Size:]) != [sha256.Size]byte(b) {
		return nil, errSealBroken
	}
	return b[sha256.Size:], nil
}
