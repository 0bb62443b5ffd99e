package app

import (
	"fmt"
	"regexp"
	"strconv"
)

// mostRooms bounds what a pattern stands for.
const mostRooms = 100_000

// roomPattern is a range of numbers in a room's ID.
var roomPattern = regexp.MustCompile(`^([^\[\]]*)\[(\d{1,9})-(\d{1,9})\]([^\[\]]*)$`)

// expandRooms puts the rooms that a pattern like many-[0-9999] stands for in its place.
func expandRooms(list []string) (rooms []string, err error) {
	for _, r := range list {
		m := roomPattern.FindStringSubmatch(r)
		if m == nil {
			rooms = append(rooms, r)
			continue
		}
		from, _ := strconv.Atoi(m[2]) // digits, and few of them
		to, _ := strconv.Atoi(m[3])
		if from > to || to-from >= mostRooms {
			return nil, fmt.Errorf("rooms %s: %d to %d is no range of at most %d rooms", r, from, to, mostRooms)
		}
		for n := from; n <= to; n++ {
			rooms = append(rooms, m[1]+strconv.Itoa(n)+m[4])
		}
	}
	return rooms, nil
}
