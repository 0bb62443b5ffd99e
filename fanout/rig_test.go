package fanout_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tickcast/fanout"
)

// patience bounds every wait of these tests. Nothing is measured by it.
const patience = 30 * time.Second

// rig is a hub behind a real HTTP server on loopback that echoes text messages.
type rig struct {
	t     *testing.T
	hub   *fanout.Hub
	reg   *prometheus.Registry
	srv   *httptest.Server
	conns chan *fanout.Conn // accepted ones, in order
	ended chan error        // how they ended
}

// forEachWay runs a test with each way of sending.
func forEachWay(t *testing.T, f func(t *testing.T, cfg fanout.Config)) {
	for _, way := range []string{fanout.WayRaw, fanout.WayWrite, fanout.WayUring} {
		t.Run(way, func(t *testing.T) {
			if err := fanout.Missing(way); err != nil {
				t.Skip("SKIPPED: ", err)
			}
			f(t, fanout.WayConfig(way))
		})
	}
}

// patient calls nobody slow on a machine that is, unless the test says what slow is.
func patient(cfg fanout.Config) fanout.Config {
	if cfg.CloseTimeout == 0 {
		cfg.CloseTimeout = patience
	}
	for _, d := range []*time.Duration{&cfg.BehindAfter, &cfg.LateAfter, &cfg.StallTimeout, &cfg.SlowLimit} {
		if *d == 0 {
			*d = time.Hour
		}
	}
	return cfg
}

// newRig starts a hub that is patient. welcome, which may be nil, is called with each connection
// before the first read.
func newRig(t *testing.T, cfg fanout.Config, welcome func(*fanout.Conn)) *rig {
	t.Helper()
	r := &rig{t: t, reg: prometheus.NewRegistry(), conns: make(chan *fanout.Conn, 1024), ended: make(chan error, 1024)}
	cfg.Metrics = r.reg
	if cfg.Shards == 0 {
		cfg.Shards = 3 // several flushers, on whatever machine
	}
	r.hub = fanout.NewHub(patient(cfg))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.hub.Run(ctx) }()
	r.srv = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		c, err := r.hub.Accept(w, req, nil)
		if err != nil {
			return
		}
		if welcome != nil {
			welcome(c)
		}
		r.conns <- c
		c.Serve(&receiver{message: func(p []byte) { _ = c.Send(fanout.NewFrame(p)) }, ended: r.ended})
	}))
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
		r.srv.Close()
	})
	return r
}

// receiver is what takes messages in these tests.
type receiver struct {
	message func(p []byte) // nil ignores them
	ended   chan error
}

func (r *receiver) Receive(p []byte) {
	if r.message != nil {
		r.message(p)
	}
}

func (r *receiver) Ended(err error) { r.ended <- err }

// serve reads from c without looking; the result tells how it ended.
func serve(c *fanout.Conn) <-chan error {
	r := &receiver{ended: make(chan error, 1)}
	c.Serve(r)
	return r.ended
}

// accepted returns the server's side of the next accepted connection.
func (r *rig) accepted() *fanout.Conn {
	r.t.Helper()
	select {
	case c := <-r.conns:
		return c
	case <-time.After(patience):
		r.t.Fatal("no connection was accepted")
		return nil
	}
}

// metric sums the values of a counter or gauge, over one label value if given.
func (r *rig) metric(name, label string) float64 {
	r.t.Helper()
	families, err := r.reg.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() != "tickcast_fanout_"+name {
			continue
		}
		for _, m := range f.GetMetric() {
			if label != "" && m.GetLabel()[0].GetValue() != label {
				continue
			}
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sum
}

// eventually polls until cond holds.
func eventually(t *testing.T, why string, cond func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for !cond() {
		select {
		case <-poll.C:
		case <-deadline.C:
			t.Fatalf("%s: not within %v", why, patience)
		}
	}
}

// Opcodes of RFC 6455.
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xa
)

// peer is a client that speaks RFC 6455 by itself, byte for byte.
type peer struct {
	nc net.Conn
	br *bufio.Reader
}

const handshake = "GET /ws HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"

// dial connects and upgrades; early is sent in the same segment as the request.
func (r *rig) dial(early ...byte) *peer {
	r.t.Helper()
	nc, err := net.Dial("tcp", r.srv.Listener.Addr().String())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = nc.Close() })
	p, err := upgrade(nc, early)
	if err != nil {
		r.t.Fatal(err)
	}
	return p
}

func upgrade(nc net.Conn, early []byte) (*peer, error) {
	_ = nc.SetDeadline(time.Now().Add(patience)) // send and next go on from here
	if _, err := nc.Write(append(fmt.Appendf(nil, handshake, "localhost"), early...)); err != nil {
		return nil, err
	}
	p := &peer{nc: nc, br: bufio.NewReader(nc)}
	resp, err := http.ReadResponse(p.br, nil)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return nil, fmt.Errorf("status %d", resp.StatusCode)
	}
	return p, nil
}

// receiveBuffer bounds what the kernel holds for a client that does not read. It
// must come before much was received. A few KiB make TCP crawl, window by window.
func (p *peer) receiveBuffer(bytes int) { _ = p.nc.(*net.TCPConn).SetReadBuffer(bytes) }

// encode makes a masked client frame. first is FIN, the reserved bits and the
// opcode.
func encode(first byte, payload []byte) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	return append(b, maskWith([4]byte{0x37, 0xfa, 0x21, 0x3d}, payload)...)
}

func maskWith(key [4]byte, payload []byte) []byte {
	b := append([]byte(nil), key[:]...)
	for i, c := range payload {
		b = append(b, c^key[i%4])
	}
	return b
}

func text(s string) []byte { return encode(0x80|opText, []byte(s)) }

func closing(code uint16, reason string) []byte {
	return encode(0x80|opClose, append(binary.BigEndian.AppendUint16(nil, code), reason...))
}

func (p *peer) send(frames ...[]byte) error {
	_ = p.nc.SetWriteDeadline(time.Now().Add(patience))
	_, err := p.nc.Write(bytes.Join(frames, nil))
	return err
}

// message is a frame from the server.
type message struct {
	op      byte
	payload string
}

func (m message) String() string {
	if m.op == opClose && len(m.payload) >= 2 {
		return fmt.Sprintf("close %d %q", m.code(), m.payload[2:])
	}
	return fmt.Sprintf("op %#x %.60q (%d bytes)", m.op, m.payload, len(m.payload))
}

// code is the code of a close frame, 1005 if it has none.
func (m message) code() int {
	if len(m.payload) < 2 {
		return 1005
	}
	return int(m.payload[0])<<8 | int(m.payload[1])
}

var errBadFrame = errors.New("the server broke RFC 6455")

// next reads one frame and checks everything that RFC 6455 asks of a server that
// does not fragment.
func (p *peer) next() (message, error) {
	_ = p.nc.SetReadDeadline(time.Now().Add(patience))
	var head [2]byte
	if _, err := io.ReadFull(p.br, head[:]); err != nil {
		return message{}, err
	}
	op := head[0] & 0x0f
	switch {
	case head[0]&0xf0 != 0x80:
		return message{}, fmt.Errorf("%w: first byte %#x", errBadFrame, head[0])
	case head[1]&0x80 != 0:
		return message{}, fmt.Errorf("%w: masked", errBadFrame)
	case op != opText && op != opClose && op != opPong:
		return message{}, fmt.Errorf("%w: opcode %#x", errBadFrame, op)
	}
	n := uint64(head[1])
	var ext [8]byte
	switch {
	case n == 126:
		_, _ = io.ReadFull(p.br, ext[6:])
		n = binary.BigEndian.Uint64(ext[:])
	case n == 127:
		_, _ = io.ReadFull(p.br, ext[:])
		n = binary.BigEndian.Uint64(ext[:])
	}
	if n > 1<<20 || op >= opClose && n > 125 {
		return message{}, fmt.Errorf("%w: length %d of opcode %#x", errBadFrame, n, op)
	}
	payload := make([]byte, n)
	if _, err := io.ReadFull(p.br, payload); err != nil {
		return message{}, err
	}
	return message{op, string(payload)}, nil
}

// want reads one frame and compares.
func (p *peer) want(t *testing.T, why string, m message) {
	t.Helper()
	got, err := p.next()
	if err != nil || got != m {
		t.Fatalf("%s: got %v, %v, want %v", why, got, err, m)
	}
}

// wantEnd reads up to a close frame with the code and then the end of the stream.
func (p *peer) wantEnd(t *testing.T, why string, code int) {
	t.Helper()
	for {
		m, err := p.next()
		if err != nil {
			t.Fatalf("%s: %v before a close frame", why, err)
		}
		if m.op != opClose {
			continue
		}
		if m.code() != code {
			t.Fatalf("%s: %v, want code %d", why, m, code)
		}
		break
	}
	if m, err := p.next(); !errors.Is(err, io.EOF) {
		t.Fatalf("%s: %v, %v behind the close frame, want EOF", why, m, err)
	}
}

func frame(format string, args ...any) *fanout.Frame {
	return fanout.NewFrame(fmt.Appendf(nil, format, args...))
}

// padded is text of n bytes that starts with s.
func padded(s string, n int) string { return s + strings.Repeat(".", max(0, n-len(s))) }
