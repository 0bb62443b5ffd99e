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
const snapshotVersion = 2

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
	Stated    uint64              `json:"stated"`
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
func (p *Partition) Snapshot() []byte {
	s := savedPartition{
		Version: snapshotVersion, Partition: p.cfg.ID, Created: p.cfg.Created, Last: p.last, Clock: p.clock,
		Epoch: p.epoch, Owner: p.owner, Forged: p.forged, Stated: p.digests.stated, Pending: p.pending.list(),
	}
	for _, id := range slices.Sorted(maps.Keys(p.rooms)) {
		r := p.rooms[id]
		s.Rooms = append(s.Rooms, savedRoom{
			ID: r.id, Kind: r.kind, UUID: r.uuid, Name: r.name, Created: r.created, Closing: r.closing, Seq: r.seq,
			Events: r.events, LastCut: r.lastCut, LastTick: r.lastTick, Announced: r.announced, Keys: r.keys.save(), Game: r.game.Snapshot(),
		})
	}
	for _, id := range p.actions.order {
		s.Actions = append(s.Actions, savedActionAnswer{id, p.actions.answers[id]})
	}
	return game.Encode(s)
}

// RestorePartition is the state that Snapshot saved. It refuses a snapshot of
// another format, partition or stream, and bytes that no Snapshot made.
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
	p.forged, p.digests.stated = s.Forged, s.Stated
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
		return nil, fmt.Errorf("unknown game %q", s.Kind)
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
		id: s.ID, kind: s.Kind, uuid: s.UUID, name: s.Name, log: logName(s.UUID, p.cfg.Created), created: s.Created,
		hidden: s.ID == wire.CashierRoom, closing: s.Closing, game: g, keys: keys,
		seq: s.Seq, events: s.Events, lastCut: s.LastCut, lastTick: s.LastTick, announced: s.Announced,
	}
	r.wake = r.nextWake(p.clock.Now)
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
