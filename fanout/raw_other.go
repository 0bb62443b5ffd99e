//go:build !linux

package fanout

// rawSupported tells whether sendNow works on this system. Where it does not, each
// connection's own Write is used.
const rawSupported = false

func sendNow(int32, []byte) (int, error) { panic("fanout: no raw way on this system") }

func unacknowledged(int32) int { return 0 }
