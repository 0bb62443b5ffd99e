// Package fanout holds a gateway's sockets and brings one encoded frame to many of them.
//
// Role: the lower half of the edge. It knows WebSockets and bytes; it knows nothing of
// rooms, players, JSON or NATS. coder/websocket does the handshake, reads, and control
// frames; this package owns the connection beneath it and writes everything.
//
// Nouns: a Frame is a text frame encoded once. A Topic keeps a ring of numbered updates,
// the newest tick and a few notices. A Conn is one client; its place in a topic is a
// cursor, not a queue. The Hub has a flusher for each core but one; each walks its share of a
// topic's connections when something was published and writes without blocking: the bytes
// that all get who keep up by io_uring, many sockets in one system call, where the kernel
// allows it, else and all others with one call per connection. What the socket does not
// take waits: the cursor stays where it is, and a goroutine that exists only while there is
// a backlog waits for the kernel.
// Reading is the same the other way round: a goroutine and a buffer exist only while bytes
// arrive, and one poller for all waits for the rest (see Conn.Serve).
//
// Ownership: Conn.mu guards what goes to one socket and is held during a non-blocking
// write. A flusher holds those of up to 256 of its own connections at a time; nobody else
// holds two. Topic.mu guards a topic's frames. Locks are taken in the order Conn, then
// Topic, part or Hub; callbacks run without any.
//
// Guarantees: frames are whole, control frames come between them, and no data frame
// follows a close frame. Updates of a topic reach a connection in order, without gap or
// repetition, or the caller is told which range is lost. Own messages keep their order
// and are never left out while the connection lives. A client that does not read delays
// nobody else and costs no memory beyond a bounded outbox.
//
// Non-guarantees: bytes given to the kernel may never arrive. Ticks and notices may be
// left out, and own messages may overtake frames of topics. Nothing is sent twice.
//
// Limits: wire.MaxClientMessageBytes per message from a client, wire.MaxRoomsPerSession
// topics per connection, the bounds of Config.
package fanout
