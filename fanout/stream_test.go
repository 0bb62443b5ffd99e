package fanout_test

import (
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
	"sync"

	"tickcast/fanout"
)

// The messages of these tests describe themselves: kind, number, newest update
// when they were published, padding, checksum.

func sealed(kind string, n, after uint64, size int) *fanout.Frame {
	s := padded(fmt.Sprintf("%s %d %d ", kind, n, after), size)
	return fanout.NewFrame(fmt.Appendf(nil, "%s %08x", s, crc32.ChecksumIEEE([]byte(s))))
}

type note struct {
	kind     string
	n, after uint64
}

func unseal(s string) (note, error) {
	cut := strings.LastIndexByte(s, ' ')
	if cut < 0 {
		return note{}, fmt.Errorf("no checksum in %.60q", s)
	}
	if sum, err := strconv.ParseUint(s[cut+1:], 16, 32); err != nil || uint32(sum) != crc32.ChecksumIEEE([]byte(s[:cut])) {
		return note{}, fmt.Errorf("checksum of %.60q is wrong", s)
	}
	var m note
	_, err := fmt.Sscanf(s, "%s %d %d", &m.kind, &m.n, &m.after)
	return m, err
}

// publisher publishes to one topic and knows what it has published.
type publisher struct {
	topic *fanout.Topic
	size  func(n uint64) int

	mu                    sync.Mutex
	updates, ticks, chats uint64
}

func (p *publisher) update() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.updates++
	p.topic.Update(p.updates, sealed("u", p.updates, p.updates-1, p.size(p.updates)))
}

func (p *publisher) tick() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ticks++
	p.topic.Tick(sealed("t", p.ticks, p.updates, 0))
}

func (p *publisher) chat() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.chats++
	p.topic.Notice(sealed("n", p.chats, p.updates, 0))
}

// checker judges what one client gets of one topic.
type checker struct {
	joined        bool
	seq           uint64 // newest update, or the position of the snapshot
	tick, chat    uint64
	own           uint64
	skips         int    // how often it was told of a loss
	skipped       uint64 // updates announced as not sent
	updates       uint64 // updates received
	ticks, chats  uint64
	maySkip       bool
	snapshotAfter bool // a skip was announced: a snapshot must follow
}

// take judges one text message. Kinds: j joined at position n; s skip, from n
// to after; u, t, n of the topic; o own messages.
func (c *checker) take(payload string) error {
	m, err := unseal(payload)
	if err != nil {
		return err
	}
	switch {
	case m.kind == "o":
		if m.n != c.own+1 {
			return fmt.Errorf("own message %d behind %d", m.n, c.own)
		}
		c.own = m.n
		return nil
	case m.kind == "j":
		return c.takeJoined(m)
	case m.kind == "s":
		if !c.maySkip || m.n != c.seq+1 || m.after < m.n {
			return fmt.Errorf("skip from %d to %d at %d", m.n, m.after, c.seq)
		}
		c.snapshotAfter = true
		c.skips++
		return nil
	case !c.joined || c.snapshotAfter:
		return fmt.Errorf("%v before the joined message", m)
	}
	return c.takeTopic(m)
}

func (c *checker) takeJoined(m note) error {
	if c.joined && !c.snapshotAfter || m.n < c.seq {
		return fmt.Errorf("joined at %d, was at %d", m.n, c.seq)
	}
	if c.joined {
		c.skipped += m.n - c.seq
	}
	c.joined, c.snapshotAfter, c.seq = true, false, m.n
	return nil
}

func (c *checker) takeTopic(m note) error {
	switch m.kind {
	case "u":
		if m.n != c.seq+1 {
			return fmt.Errorf("update %d behind %d", m.n, c.seq)
		}
		c.seq = m.n
		c.updates++
		return nil
	case "t":
		if m.n <= c.tick || m.after != c.seq {
			return fmt.Errorf("tick %d after update %d, at update %d behind tick %d", m.n, m.after, c.seq, c.tick)
		}
		c.tick = m.n
		c.ticks++
		return nil
	case "n":
		if m.n <= c.chat || m.after != c.seq {
			return fmt.Errorf("notice %d after update %d, at update %d behind notice %d", m.n, m.after, c.seq, c.chat)
		}
		c.chat = m.n
		c.chats++
		return nil
	}
	return fmt.Errorf("kind %q", m.kind)
}
