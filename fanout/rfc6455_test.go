package fanout_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"tickcast/fanout"
)

func TestHandshake(t *testing.T) {
	r := newRig(t, fanout.Config{}, nil)
	good := strings.ReplaceAll(handshake, "%s", "localhost")
	for _, tc := range []struct {
		name, old, new string
		status         int
	}{
		{"as in the RFC", "", "", 101},
		{"header names and tokens in other case", "Upgrade: websocket", "uPGRADE: WebSocket", 101},
		{"connection with other tokens", "Connection: Upgrade", "Connection: keep-alive, upgrade", 101},
		{"an extension that is not spoken", "Version: 13\r\n", "Version: 13\r\nSec-WebSocket-Extensions: permessage-deflate\r\n", 101},
		{"no upgrade", "Upgrade: websocket\r\n", "", 426},
		{"another upgrade", "Upgrade: websocket", "Upgrade: h2c", 426},
		{"no connection", "Connection: Upgrade\r\n", "", 426},
		{"HTTP/1.0", "HTTP/1.1", "HTTP/1.0", 426},
		{"POST", "GET", "POST", 405},
		{"version 8", "Version: 13", "Version: 8", 400},
		{"no version", "Sec-WebSocket-Version: 13\r\n", "", 400},
		{"no key", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", 400},
		{"short key", "dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZQ==", 400},
		{"key that is not base64", "dGhlIHNhbXBsZSBub25jZQ==", "!", 400},
		{"foreign origin", "Version: 13\r\n", "Version: 13\r\nOrigin: https://elsewhere.example\r\n", 403},
		{"own origin", "Version: 13\r\n", "Version: 13\r\nOrigin: http://localhost\r\n", 101},
	} {
		t.Run(tc.name, func(t *testing.T) {
			nc, err := net.Dial("tcp", r.srv.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			_ = nc.SetDeadline(time.Now().Add(patience))
			if _, err := nc.Write([]byte(strings.Replace(good, tc.old, tc.new, 1))); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(bufio.NewReader(nc), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != tc.status {
				t.Fatalf("status %d, want %d", resp.StatusCode, tc.status)
			}
			if tc.status != 101 {
				return
			}
			if got := resp.Header.Get("Sec-WebSocket-Accept"); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
				t.Errorf("Sec-WebSocket-Accept %q", got)
			}
			if got := resp.Header.Get("Sec-WebSocket-Extensions"); got != "" {
				t.Errorf("negotiated %q, but frames are not compressed", got)
			}
		})
	}
}

type rfcCase struct {
	name  string
	send  [][]byte
	want  []message // text and pong frames, in order
	close int       // code that the server sends then; zero: it goes on, and a client's close ends it
}

func rfcCases() []rfcCase {
	say := func(s string) message { return message{opText, s} }
	cases := []rfcCase{
		{"text", [][]byte{text("hello")}, []message{say("hello")}, 0},
		{"empty text", [][]byte{text("")}, []message{say("")}, 0},
		{"125 bytes", [][]byte{text(padded("", 125))}, []message{say(padded("", 125))}, 0},
		{"126 bytes", [][]byte{text(padded("", 126))}, []message{say(padded("", 126))}, 0},
		{"the largest message", [][]byte{text(padded("", 4096))}, []message{say(padded("", 4096))}, 0},
		{"one byte more", [][]byte{text(padded("", 4097))}, nil, 1009},
		{"one byte more in fragments", [][]byte{encode(opText, make([]byte, 4000)), encode(0x80, make([]byte, 97))}, nil, 1009},
		{"64-bit length far over the limit", [][]byte{long(1<<40, 5000)}, nil, 1009},
		{"64-bit length with its highest bit", [][]byte{long(1<<63, 16)}, nil, 1002},
		{"not masked", [][]byte{{0x81, 2, 'h', 'i'}}, nil, 1002},
		{"control frame not masked", [][]byte{{0x89, 0}}, nil, 1002},
		{"ping", [][]byte{encode(0x80|opPing, nil)}, []message{{opPong, ""}}, 0},
		{"ping with 125 bytes", [][]byte{encode(0x80|opPing, make([]byte, 125))}, []message{{opPong, string(make([]byte, 125))}}, 0},
		{"ping with bytes that are no text", [][]byte{encode(0x80|opPing, []byte{0, 0xff})}, []message{{opPong, "\x00\xff"}}, 0},
		{"ping with 126 bytes", [][]byte{encode(0x80|opPing, make([]byte, 126))}, nil, 1002},
		{"ping in fragments", [][]byte{encode(opPing, nil)}, nil, 1002},
		{"pong unasked", [][]byte{encode(0x80|opPong, []byte("x")), text("on")}, []message{say("on")}, 0},
		{"fragments", [][]byte{encode(opText, []byte("a")), encode(0, []byte("b")), encode(0x80, []byte("c"))}, []message{say("abc")}, 0},
		{"empty fragments", [][]byte{encode(opText, nil), encode(0, nil), encode(0x80, nil)}, []message{say("")}, 0},
		{
			"ping between fragments",
			[][]byte{encode(opText, []byte("a")), encode(0x80|opPing, []byte("p")), encode(0x80, []byte("b"))},
			[]message{{opPong, "p"}, say("ab")},
			0,
		},
		{"text within fragments", [][]byte{encode(opText, []byte("a")), text("b")}, nil, 1002},
		{"continuation of nothing", [][]byte{encode(0x80, []byte("a"))}, nil, 1002},
		{"continuation of nothing, open", [][]byte{encode(0, []byte("a"))}, nil, 1002},
		{"binary", [][]byte{encode(0x80|opBinary, []byte("x"))}, nil, 1003},
		{"binary in fragments", [][]byte{encode(opBinary, []byte("x")), encode(0x80, nil)}, nil, 1003},
		{"UTF-8", [][]byte{text("κόσμε \U0001F680")}, []message{say("κόσμε \U0001F680")}, 0},
		{
			"a character cut by fragments",
			[][]byte{encode(opText, []byte("\xce")), encode(0x80, []byte("\xba"))},
			[]message{say("κ")},
			0,
		},
		{"close without a code", [][]byte{encode(0x80|opClose, nil)}, nil, 1005},
		{"close with half a code", [][]byte{encode(0x80|opClose, []byte{3})}, nil, 1002},
		{"close with a reason", [][]byte{closing(1000, "bye")}, nil, 1000},
		{"close with the longest reason", [][]byte{closing(1000, padded("", 123))}, nil, 1000},
		{"close with too long a reason", [][]byte{closing(1000, padded("", 124))}, nil, 1002},
		{"close with a reason that is no text", [][]byte{closing(1000, "\xff\xfe")}, nil, 1007},
		{"close within fragments", [][]byte{encode(opText, []byte("a")), closing(1000, "")}, nil, 1000},
		{"text behind close", [][]byte{closing(1000, ""), text("late"), encode(0x80|opPing, nil)}, nil, 1000},
		{"text, then close", [][]byte{text("a"), closing(4242, "")}, []message{say("a")}, 4242},
	}
	for _, first := range []byte{0xc0 | opText, 0xa0 | opText, 0x90 | opText, 0xc0 | opPing} {
		cases = append(cases, rfcCase{fmt.Sprintf("reserved bits %#x", first), [][]byte{encode(first, nil)}, nil, 1002})
	}
	for _, op := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		cases = append(cases, rfcCase{fmt.Sprintf("reserved opcode %#x", op), [][]byte{encode(0x80|op, nil)}, nil, 1002})
	}
	for _, s := range []string{"\xff", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "κ\xce", "\xf8\x88\x80\x80\x80"} {
		cases = append(cases, rfcCase{fmt.Sprintf("not UTF-8 %q", s), [][]byte{text(s)}, nil, 1007})
	}
	for _, code := range []uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		cases = append(cases, rfcCase{fmt.Sprint("close code ", code), [][]byte{closing(code, "")}, nil, int(code)})
	}
	for _, code := range []uint16{0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535} {
		cases = append(cases, rfcCase{fmt.Sprint("invalid close code ", code), [][]byte{closing(code, "")}, nil, 1002})
	}
	return cases
}

// long is a masked text frame that announces n bytes in the 64-bit form and
// brings only some.
func long(n uint64, brings int) []byte {
	b := binary.BigEndian.AppendUint64([]byte{0x80 | opText, 0x80 | 127}, n)
	return append(b, make([]byte, 4+brings)...)
}

func TestRFC6455(t *testing.T) {
	forEachWay(t, func(t *testing.T, cfg fanout.Config) {
		r := newRig(t, cfg, nil)
		for _, tc := range rfcCases() {
			t.Run(tc.name, func(t *testing.T) {
				p := r.dial()
				if err := p.send(tc.send...); err != nil {
					t.Fatal(err)
				}
				tc.check(t, r, p)
			})
			t.Run(tc.name+", byte for byte", func(t *testing.T) {
				p := r.dial()
				for _, b := range bytes.Join(tc.send, nil) {
					if p.send([]byte{b}) != nil {
						break // the server has ended it already
					}
				}
				tc.check(t, r, p)
			})
			t.Run(tc.name+", behind the handshake", func(t *testing.T) {
				tc.check(t, r, r.dial(bytes.Join(tc.send, nil)...))
			})
		}
	})
}

func (tc *rfcCase) check(t *testing.T, r *rig, p *peer) {
	t.Helper()
	for _, m := range tc.want {
		p.want(t, "answer", m)
	}
	code := tc.close
	if code == 0 {
		code = 1000
		if err := p.send(closing(1000, "")); err != nil {
			t.Fatal(err)
		}
	}
	p.wantEnd(t, "end", code)
	_ = p.nc.Close()
	select {
	case err := <-r.ended:
		if got := int(websocket.CloseStatus(err)); got != code {
			t.Errorf("Read ended with %v, want code %d", err, code)
		}
	case <-time.After(patience):
		t.Error("Read did not return")
	}
}

// TLS in the process: the raw way would write past the encryption.
func TestTLS(t *testing.T) {
	h := fanout.NewHub(patient(fanout.Config{}))
	defer runHub(h)()
	topic := h.Topic("room", 0)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var serving sync.WaitGroup
	defer serving.Wait()
	serving.Add(1)
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		defer serving.Done()
		c, err := h.Accept(w, req, nil)
		if err != nil {
			t.Error(err)
			return
		}
		if err := topic.Join(c, 0, frame("joined")); err != nil {
			t.Error(err)
		}
		topic.Update(1, frame("update"))
		c.Close(4101, "move")
		<-serve(c)
	}))
	defer srv.Close()
	c, _, err := websocket.Dial(ctx, srv.URL, &websocket.DialOptions{HTTPClient: srv.Client()})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"joined", "update"} {
		if _, p, err := c.Read(ctx); err != nil || string(p) != s {
			t.Errorf("got %q, %v, want %s", p, err, s)
		}
	}
	if _, _, err := c.Read(ctx); websocket.CloseStatus(err) != 4101 {
		t.Errorf("end: %v", err)
	}
}

// A client of the library itself, as a second opinion on the handshake and the
// close handshake in both directions.
func TestLibraryClient(t *testing.T) {
	forEachWay(t, func(t *testing.T, cfg fanout.Config) {
		r := newRig(t, cfg, nil)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		url := "ws" + strings.TrimPrefix(r.srv.URL, "http")
		c, _, err := websocket.Dial(ctx, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		if _, p, err := c.Read(ctx); err != nil || string(p) != "hello" {
			t.Fatalf("echo %q, %v", p, err)
		}
		if err := c.Close(websocket.StatusNormalClosure, "bye"); err != nil {
			t.Errorf("close by the client: %v", err)
		}

		if c, _, err = websocket.Dial(ctx, url, nil); err != nil {
			t.Fatal(err)
		}
		r.accepted()
		r.accepted().Close(4101, "move")
		if _, _, err := c.Read(ctx); websocket.CloseStatus(err) != 4101 {
			t.Errorf("close by the server: %v, want 4101", err)
		}
	})
}
