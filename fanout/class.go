package fanout

// class is what kind of frame goes out; it decides what may happen to the frame when a
// client is slow, and is the label "class" of the frame counter.
type class uint8

const (
	classUpdate  class = iota // numbered, in order, never silently left out
	classTick                 // only the newest counts
	classNotice               // droppable
	classOwn                  // to one connection, never skipped
	classControl              // pong and close
	classes
)

// String returns the metric label.
func (c class) String() string {
	return [classes]string{"update", "tick", "notice", "own", "control"}[c]
}

// DropReason tells why a frame was not sent. It is the label "reason" of
// tickcast_fanout_dropped_total.
type DropReason uint8

// Reasons for frames that were not sent.
const (
	DropTickConflated DropReason = iota // a newer tick was there before the socket took this one
	DropNoticeSlow                      // a notice for a connection with a backlog
	DropNoticeGone                      // a notice that left its window before its turn
	DropUpdateLost                      // an update that left the ring before its turn; the client is told
	DropPong                            // a pong that a newer pong replaced
	DropClosed                          // queued for a connection that ended
	DropOverflow                        // refused because the outbox was full
	dropReasons
)

// String returns the metric label.
func (r DropReason) String() string {
	return [dropReasons]string{
		"tick_conflated", "notice_slow", "notice_gone", "update_lost", "pong_replaced", "closed", "outbox_full",
	}[r]
}

// SlowReason tells why this package closed a connection with wire.CloseSlow. It is the
// label "reason" of tickcast_fanout_slow_closed_total.
type SlowReason uint8

// Reasons for closing a slow connection.
const (
	SlowOutbox SlowReason = iota // own messages overflowed the outbox
	SlowLost                     // it lived on snapshots for Config.SlowLimit
	SlowStall                    // its socket took no byte for Config.StallTimeout
	slowReasons
)

// String returns the metric label.
func (r SlowReason) String() string {
	return [slowReasons]string{"outbox_full", "lost_again", "stalled"}[r]
}
