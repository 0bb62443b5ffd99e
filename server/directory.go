package server

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"

	"tickcast/wire"
)

// stateClosed is RoomInfo.State of a room that is gone.
const stateClosed = "closed"

// directory is this gateway's copy of the room directory.
type directory struct {
	changed func(room string) // Static. Called without mu.

	mu     sync.RWMutex // guards everything below
	rooms  map[string]wire.RoomInfo
	loaded bool
}

func newDirectory(changed func(room string)) *directory {
	return &directory{changed: changed, rooms: map[string]wire.RoomInfo{}}
}

// apply takes a value of the bucket. Values that are none are left out: only room
// servers can write there.
func (d *directory) apply(room string, value []byte) {
	var info wire.RoomInfo
	open := value != nil && json.Unmarshal(value, &info) == nil && info.ID == room && wire.ValidRoomID(room) && info.State != stateClosed
	d.mu.Lock()
	old, known := d.rooms[room]
	if open {
		d.rooms[room] = info
	} else {
		delete(d.rooms, room)
	}
	d.mu.Unlock()
	if known && (!open || old.UUID != info.UUID) {
		d.changed(room)
	}
}

func (d *directory) caughtUp() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.loaded = true
}

func (d *directory) ready() bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.loaded
}

// room looks up an open room.
func (d *directory) room(id string) (wire.RoomInfo, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	info, ok := d.rooms[id]
	return info, ok
}

// refusal says why a room cannot be joined: before the directory is there, nobody
// can say that a room does not exist.
func (d *directory) refusal(id string) *wire.Error {
	if !d.ready() {
		return wire.Errorf(wire.CodeUnavailable, "the room directory is not loaded yet")
	}
	return wire.Errorf(wire.CodeUnknownRoom, "there is no room %q", id)
}

// list returns the open rooms by ID.
func (d *directory) list() []wire.RoomInfo {
	d.mu.RLock()
	defer d.mu.RUnlock()
	all := make([]wire.RoomInfo, 0, len(d.rooms))
	for _, info := range d.rooms {
		all = append(all, info)
	}
	slices.SortFunc(all, func(a, b wire.RoomInfo) int { return strings.Compare(a.ID, b.ID) })
	return all
}
