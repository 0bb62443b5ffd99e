package service

import (
	"bytes"
	"io"
	"sync"
)

// keptOutput bounds what is kept of a service's output.
const keptOutput = 64 << 10

// output collects what a process writes and notices the text that says that it is
// ready.
type output struct {
	tee io.Writer // static; gets everything as well, nil for none

	mu     sync.Mutex // guards the following
	text   []byte     // the end of it
	unread int        // text[unread:] was not searched for want yet
	want   []byte     // nil once it was seen
	seen   chan struct{}
}

// expect begins to wait for a text in what comes from here on.
func (o *output) expect(text string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.want, o.unread, o.seen = []byte(text), len(o.text), make(chan struct{})
}

// ready is closed when the expected text was written.
func (o *output) ready() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.seen
}

// Write implements io.Writer.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.tee != nil {
		_, _ = o.tee.Write(b) // a log that cannot be kept stops no service
	}
	o.text = append(o.text, b...)
	if o.want != nil && bytes.Contains(o.text[o.unread:], o.want) {
		o.want = nil
		close(o.seen)
	}
	if surplus := len(o.text) - keptOutput; surplus > 0 {
		o.text = append(o.text[:0], o.text[surplus:]...)
		o.unread = max(0, o.unread-surplus)
	}
	return len(b), nil
}

func (o *output) tail() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text)
}
