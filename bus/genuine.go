package bus

import "github.com/nats-io/nats.go"

// Genuine reports whether a message that came from the feed or by direct get is a
// record that somebody published to the stream. Otherwise it is an answer of
// JetStream, for instance to the direct get of another stream, which a client had
// sent to a subject of the log by naming it as the reply subject: no permission
// forbids that, but the server marks such an answer with its source, and whatever
// a stream hands out with the stream.
func Genuine(stream string, h nats.Header) bool {
	source := h[nats.JSStream]
	return len(source) == 1 && source[0] == stream
}

// Published reports the same of a message that came from a consumer of the stream,
// which hands out what was stored and adds nothing.
func Published(h nats.Header) bool { return len(h[nats.JSStream]) == 0 }
