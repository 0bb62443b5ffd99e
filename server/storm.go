package server

import "runtime/debug"

// stormSize is how many connections more than before make their handshakes' garbage worth
// a collection: a few megabytes.
const stormSize = 256

// storm notices that many connections have come and no more are coming. Owned by beat.
type storm struct {
	last    int // connections at the last look
	settled int // connections when memory was given back last
}

// over reports, once a storm, that it is over. It is asked once a second.
func (s *storm) over(connections int) bool {
	calm := connections <= s.last
	s.last = connections
	s.settled = min(s.settled, connections)
	if !calm || connections < s.settled+stormSize {
		return false
	}
	s.settled = connections
	return true
}

// giveBack returns what handshakes, tokens and first snapshots have left behind to the system. A gateway
// allocates nothing per update, so without this the next collection could be hours away, and until then
// half of what its connections seem to need is garbage.
func giveBack() { debug.FreeOSMemory() }
