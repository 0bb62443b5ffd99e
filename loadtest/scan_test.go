package loadtest

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"tickcast/loadtest/socket"
	"tickcast/wire"
)

func TestReadHead(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     head // only what is checked: kind, room, seq, t, epoch
		bad      bool
	}{
		{"update", `{"type":"update","room":"lobby","seq":42,"t":99,"events":[{"e":"x"}]}`, head{kind: []byte("update"), room: []byte("lobby"), seq: 42, t: 99}, false},
		{"tick", `{"type":"tick","room":"lobby","seq":42,"t":99,"epoch":7}`, head{kind: []byte("tick"), room: []byte("lobby"), seq: 42, t: 99, epoch: 7}, false},
		{"tick in another order", `{"epoch":7,"t":99,"extra":[1],"seq":42,"room":"lobby","type":"tick"}`, head{kind: []byte("tick"), room: []byte("lobby"), seq: 42, t: 99, epoch: 7}, false},
		{"spaces", ` { "type" : "tick", "room":"lobby","seq":42,"t":99,"epoch":7}`, head{kind: []byte("tick"), room: []byte("lobby"), seq: 42, t: 99, epoch: 7}, false},
		{"escape", `{"type":"t\u0069ck","room":"lobby","seq":42,"t":99,"epoch":7}`, head{kind: []byte("tick"), room: []byte("lobby"), seq: 42, t: 99, epoch: 7}, false},
		{"any other", `{"type":"balance","amount":-5}`, head{kind: []byte("balance")}, false},
		{"largest seq", `{"type":"update","room":"a","seq":18446744073709551615,"t":1,"events":[]}`, head{kind: []byte("update"), room: []byte("a"), seq: 1<<64 - 1, t: 1}, false},
		{"fraction", `{"type":"update","room":"a","seq":1.5,"t":1}`, head{}, true},
		{"negative", `{"type":"update","room":"a","seq":-1,"t":1}`, head{}, true},
		{"seq as text", `{"type":"update","room":"a","seq":"1","t":1}`, head{}, true},
		{"no room", `{"type":"tick","seq":1,"t":1,"epoch":1}`, head{}, true},
		{"no type", `{"room":"a"}`, head{}, true},
		{"null type", `{"type":null}`, head{}, true},
		{"list", `[]`, head{}, true},
		{"empty", ``, head{}, true},
		{"cut", `{"type":"update","room":"a","seq":1`, head{}, true},
	} {
		h, err := readHead([]byte(c.in))
		if (err != nil) != c.bad {
			t.Errorf("%s: error %v", c.name, err)
		}
		if err == nil && !sameHead(h, c.want) {
			t.Errorf("%s: %+v", c.name, h)
		}
	}
}

func sameHead(a, b head) bool {
	return bytes.Equal(a.kind, b.kind) && bytes.Equal(a.room, b.room) && a.seq == b.seq && a.t == b.t && a.epoch == b.epoch
}

// TestScanAgreesWithDecoding checks the quick scan against encoding/json.
func TestScanAgreesWithDecoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		room := rapid.StringMatching(`[a-z0-9][a-z0-9_-]{0,20}`).Draw(t, "room")
		seq, at := rapid.Uint64().Draw(t, "seq"), rapid.Int64Min(0).Draw(t, "t")
		var m any = wire.Tick{Type: wire.TypeTick, Room: room, Seq: seq, Time: at, Epoch: rapid.Uint64Max(1e18).Draw(t, "epoch")}
		if rapid.Bool().Draw(t, "update") {
			text := rapid.String().Draw(t, "text")
			m = wire.Update{Type: wire.TypeUpdate, Room: room, Seq: seq, Time: at, Events: []json.RawMessage{mustJSON(text)}}
		}
		b := mustJSON(m)
		quick, ok := scanHead(b)
		slow, err := decodeHead(b)
		if err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		// The scan leaves numbers of more than 19 digits to the decoder.
		if ok && !sameHead(quick, slow) {
			t.Fatalf("%s: %+v and %+v", b, quick, slow)
		}
		if !ok && seq < 1e18 {
			t.Fatalf("%s: not scanned", b)
		}
	})
}

// FuzzReadHead feeds any bytes to everything that decodes messages of a server:
// nothing panics, and the quick scan never contradicts the decoder.
func FuzzReadHead(f *testing.F) {
	for _, s := range []string{
		`{"type":"update","room":"lobby","seq":42,"t":99,"events":[{"e":"phase","phase":"crashed","round":1,"centi":2,"seed":"00"}]}`,
		`{"type":"tick","room":"lobby","seq":42,"t":99,"epoch":7}`,
		`{"type":"answer","room":"lobby","key":"k","ok":false,"error":{"code":"c","message":"m"}}`,
		`{"type":"joined","id":1,"room":"lobby","recovered":false,"position":{"log":"l","seq":1},"snapshot":{"game":"crash"}}`,
		`{"type":"skip","room":"lobby","from":1,"to":2}`, `{"type":"notice","room":"lobby","event":{"e":"out"}}`,
		`{"type":"welcome","protocol":1,"session":"s","player":{"id":"p"}}`, `{"type":"t\u0069ck"}`, `[1]`, ``,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		quick, ok := scanHead(b)
		slow, err := decodeHead(b)
		if ok && err == nil && !repeatsField(b) && !sameFields(quick, slow) {
			t.Errorf("%q: %+v and %+v", b, quick, slow)
		}
		_, _ = readNews(b, "lobby")
		// A bot swallows it as the first, and as any later message.
		s := testSwarm(t, Config{Rooms: []string{"lobby"}})
		b1 := s.bots[0]
		l := testLink(b1)
		for range 2 {
			b1.mu.Lock()
			if h, err := readHead(b); err == nil {
				b1.dispatch(l, h, b, 0)
			}
			b1.after = nil // nothing is really sent
			b1.mu.Unlock()
			l.welcomed = true
			l.cursors[0].onJoined(&wire.Joined{Room: "lobby", Position: wire.Position{Log: "l", Seq: 1}, Source: wire.SourceSnapshot})
		}
	})
}

// sameFields compares what the scan has read before it stopped.
func sameFields(quick, slow head) bool {
	return bytes.Equal(quick.kind, slow.kind) &&
		(quick.has&hasRoom == 0 || bytes.Equal(quick.room, slow.room)) &&
		(quick.has&hasSeq == 0 || quick.seq == slow.seq) &&
		(quick.has&hasT == 0 || quick.t == slow.t) &&
		(quick.has&hasEpoch == 0 || quick.epoch == slow.epoch)
}

// repeatsField reports whether a name of interest comes twice; decoders take the
// last one, the scan the first.
func repeatsField(b []byte) bool {
	for _, name := range []string{"type", "room", "seq", "t", "epoch"} {
		if strings.Count(string(b), `"`+name+`"`) > 1 || bytes.ContainsRune(b, '\\') {
			return true
		}
	}
	return false
}

// testSwarm makes a swarm whose bots are driven by the test.
func testSwarm(t testing.TB, c Config) *swarm {
	t.Helper()
	c.URLs = []string{"ws://gateway/ws"}
	c.Bots = max(2, c.Bots)
	s, err := newSwarm(c.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// testLink is a connection of a bot that goes nowhere.
func testLink(b *bot) *link {
	l := newLink(b, "ws://gateway/ws", 0)
	l.conn = nowhere{}
	b.link = l
	return l
}

// nowhere is a connection that takes everything. It implements socket.Conn.
type nowhere struct{}

func (nowhere) Start(socket.Handler) {}
func (nowhere) Send([]byte) error    { return nil }
func (nowhere) Allow(int)            {}
func (nowhere) Close()               {}
func (nowhere) CloseNow()            {}
