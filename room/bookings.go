package room

import (
	"maps"
	"slices"

	"tickcast/wire"
)

// bookings are the bookings that rooms asked for and whose results are not in the
// log. The owner repeats them until then.
type bookings struct {
	byID  map[string]int64 // ID to number
	byNum map[int64]wire.Booking
	next  int64 // numbers grow, so that order is the order of asking
	rooms map[string]int
}

func newBookings() bookings {
	return bookings{byID: map[string]int64{}, byNum: map[int64]wire.Booking{}, rooms: map[string]int{}}
}

// add reports false when the booking is already outstanding.
func (b *bookings) add(k wire.Booking) bool {
	if _, ok := b.byID[k.ID]; ok {
		return false
	}
	b.byID[k.ID] = b.next
	b.byNum[b.next] = k
	b.next++
	b.rooms[k.Room]++
	return true
}

func (b *bookings) take(id string) (wire.Booking, bool) {
	n, ok := b.byID[id]
	if !ok {
		return wire.Booking{}, false
	}
	k := b.byNum[n]
	delete(b.byID, id)
	delete(b.byNum, n)
	if b.rooms[k.Room]--; b.rooms[k.Room] == 0 {
		delete(b.rooms, k.Room)
	}
	return k, true
}

// list returns the outstanding bookings in the order of asking.
func (b *bookings) list() []wire.Booking { return inOrder(b.byNum) }

func inOrder(byNum map[int64]wire.Booking) []wire.Booking {
	l := make([]wire.Booking, 0, len(byNum))
	for _, n := range slices.Sorted(maps.Keys(byNum)) {
		l = append(l, byNum[n])
	}
	return l
}
