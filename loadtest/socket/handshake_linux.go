package socket

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha1" // #nosec: RFC 6455 asks for it
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// acceptGUID is what RFC 6455 adds to the key of a handshake.
const acceptGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// dialLean connects, and takes the connection out of the Go runtime's hands when
// the handshake is done: from then on only a loop knows its descriptor.
func (c *Client) dialLean(ctx context.Context, u *url.URL, t Target) (Conn, error) {
	host := u.Host
	if u.Port() == "" {
		host = net.JoinHostPort(u.Hostname(), "80")
	}
	conn, err := t.dialer().DialContext(ctx, "tcp", host)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	rest, err := shakeHands(conn, u)
	if err != nil {
		return nil, errors.Join(err, context.Cause(ctx))
	}
	fd, err := duplicate(conn.(*net.TCPConn))
	if err != nil {
		return nil, err
	}
	return newLean(c.loops[t.Loop%len(c.loops)], fd, rest), nil
}

// shakeHands makes the connection a WebSocket, and returns bytes that came behind
// the answer.
func shakeHands(conn net.Conn, u *url.URL) (rest []byte, err error) {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // never fails
	key := base64.StdEncoding.EncodeToString(nonce[:])
	request := "GET " + u.RequestURI() + " HTTP/1.1\r\nHost: " + u.Host +
		"\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + "\r\n\r\n"
	if _, err := conn.Write([]byte(request)); err != nil {
		return nil, err
	}
	in := bufio.NewReaderSize(conn, 1<<10)
	resp, err := http.ReadResponse(in, &http.Request{Method: http.MethodGet})
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return nil, &Refused{Status: resp.StatusCode, Header: resp.Header}
	}
	sum := sha1.Sum([]byte(key + acceptGUID))
	h := resp.Header
	switch {
	case !strings.EqualFold(h.Get("Upgrade"), "websocket") || !strings.Contains(strings.ToLower(h.Get("Connection")), "upgrade"):
		return nil, fmt.Errorf("handshake: the answer upgrades to %q (%q)", h.Get("Upgrade"), h.Get("Connection"))
	case h.Get("Sec-WebSocket-Accept") != base64.StdEncoding.EncodeToString(sum[:]):
		return nil, errors.New("handshake: the answer is to another key")
	case h.Get("Sec-WebSocket-Extensions") != "" || h.Get("Sec-WebSocket-Protocol") != "":
		return nil, errors.New("handshake: the answer has extensions that nobody asked for")
	}
	rest = make([]byte, in.Buffered())
	_, _ = in.Read(rest) // from its buffer
	return rest, nil
}

// duplicate gives a descriptor of the connection that is not the runtime's.
func duplicate(conn *net.TCPConn) (int, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd := -1
	var failed error
	err = raw.Control(func(own uintptr) { fd, failed = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) })
	return fd, errors.Join(err, failed)
}

// control sets options before the connection is made. With a local address given,
// the port is chosen when the other end is known, so that one port serves many.
func (t *Target) control(_, _ string, raw syscall.RawConn) error {
	var failed error
	err := raw.Control(func(fd uintptr) {
		if t.ReceiveBuffer > 0 {
			failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, t.ReceiveBuffer)
		}
		if t.From.IsValid() {
			failed = errors.Join(failed, unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1))
		}
	})
	return errors.Join(err, failed)
}
