// Package socket is the client side of very many WebSockets.
//
// A Client dials; a Conn delivers what comes to its Handler. On Linux a Conn without
// TLS costs a file descriptor and some 200 bytes while nothing happens: after the
// handshake a few loops wait with epoll for all of them, read without blocking into
// one buffer each, and take frames apart in place. Elsewhere, and with TLS, a Conn
// is a goroutine that reads with github.com/coder/websocket. Both ways are held to
// the same tests.
//
// # Guarantees
//
// A Handler sees whole messages, in order, one call at a time, and End once, as the
// last call. Control frames are answered: a ping with a pong, a close with a close.
// Frames that no server may send (RFC 6455) end the connection.
//
// # Non-guarantees
//
// Text is not checked for UTF-8. Extensions and subprotocols are not negotiated.
// Send never waits for the network on the lean way: what the kernel does not take is
// kept, up to a bound, and a connection over it ends.
package socket
