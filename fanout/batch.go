package fanout

// due is one frame that goes out next, and what changes once it has.
type due struct {
	frame  *Frame
	sub    *subscription // nil: the only one; for a letter: the one that it opens
	n      uint64        // number within its class: seq of an update, count of ticks or notices
	class  class
	letter bool // from the outbox
}

// batch is what goes out in one write. It is scratch memory: a shard has its own, others
// borrow one from the hub.
type batch struct {
	due   []due
	size  int
	buf   []byte
	tally tally
}

func newBatch() *batch { return &batch{due: make([]due, 0, batchFrames)} }

func (b *batch) reset() {
	clear(b.due)
	b.due, b.size = b.due[:0], 0
}

// add appends d unless the batch is full. A frame over the limit goes alone.
func (b *batch) add(d due) bool {
	if len(b.due) == batchFrames || (b.size > 0 && b.size+d.frame.Size() > batchBytes) {
		return false
	}
	b.due = append(b.due, d)
	b.size += d.frame.Size()
	return true
}

// bytes returns the batch as one piece: a single frame as it is, several copied behind
// each other. Valid until the next call.
func (b *batch) bytes() []byte {
	if len(b.due) == 1 {
		return b.due[0].frame.wire
	}
	b.buf = b.buf[:0]
	for i := range b.due {
		b.buf = append(b.buf, b.due[i].frame.wire...)
	}
	return b.buf
}
