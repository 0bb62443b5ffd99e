package app_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// listener is a guest on a WebSocket who keeps every message he gets.
type listener struct {
	t     testing.TB
	ws    *websocket.Conn
	token string

	mu      sync.Mutex // guards the fields below
	joined  int
	answers int              // that accept a command
	phases  map[string]int64 // that were heard of, each with the game time at which it first began, µs
	now     int64            // newest game time, µs
}

// heardMessage is what a listener reads of a message.
type heardMessage struct {
	Type   string
	ID     int64
	OK     bool
	T      int64
	Events []struct {
		E, Phase string
		Start    int64
	}
}

func newListener(t testing.TB, public string, heard *capture) *listener {
	t.Helper()
	ws, token := dialAsGuest(t, public)
	l := &listener{t: t, ws: ws, token: token, phases: map[string]int64{}}
	ended := make(chan struct{})
	t.Cleanup(func() {
		_ = ws.CloseNow()
		<-ended
	})
	go func() {
		defer close(ended)
		l.read(heard.open(channelSockets))
	}()
	return l
}

// dialAsGuest opens a WebSocket and draws a token for the hello.
func dialAsGuest(t testing.TB, public string) (ws *websocket.Conn, token string) {
	t.Helper()
	resp, err := http.Post(public+"/api/guest", "application/json", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var guest struct{ Token string }
	if err := json.NewDecoder(resp.Body).Decode(&guest); err != nil || guest.Token == "" {
		t.Fatalf("guest: %s, %v", resp.Status, err)
	}
	ws, _, err = websocket.Dial(t.Context(), strings.Replace(public, "http", "ws", 1)+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	ws.SetReadLimit(-1)
	return ws, guest.Token
}

// read keeps all messages until the socket is closed.
func (l *listener) read(keep *piece) {
	for {
		_, b, err := l.ws.Read(context.Background())
		if err != nil {
			if l.t.Context().Err() == nil {
				l.t.Logf("a listener hears no more: %v", err)
			}
			return
		}
		_, _ = keep.Write(append(b, '\n'))
		var m heardMessage
		if json.Unmarshal(b, &m) == nil {
			l.apply(m)
		}
		if m.Type == "ping" {
			_ = l.ws.Write(context.Background(), websocket.MessageText, fmt.Appendf(nil, `{"type":"pong","id":%d}`, m.ID)) // a broken connection is noticed by reading
		}
	}
}

func (l *listener) apply(m heardMessage) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case m.Type == "joined":
		l.joined++
	case m.Type == "answer" && m.OK:
		l.answers++
	}
	if m.Type == "tick" || m.Type == "update" {
		l.now = max(l.now, m.T)
	}
	for _, e := range m.Events {
		if _, known := l.phases[e.Phase]; e.E == "phase" && !known {
			l.phases[e.Phase] = e.Start
		}
	}
}

func (l *listener) send(message any) {
	l.t.Helper()
	b, err := json.Marshal(message)
	if err == nil {
		err = l.ws.Write(l.t.Context(), websocket.MessageText, b)
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

// join asks to join the room, or again; the answer comes later.
func (l *listener) join() {
	l.t.Helper()
	l.send(map[string]any{"type": "join", "id": 1, "room": "lobby"})
}

func (l *listener) joins() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.joined
}

func (l *listener) accepted() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.answers
}

// reached reports whether a phase was heard of; it may be over.
func (l *listener) reached(phase string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, heard := l.phases[phase]
	return heard
}

// phaseStart is the game time at which a phase first began.
func (l *listener) phaseStart(phase string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Duration(l.phases[phase]) * time.Microsecond
}

// clock is the newest game time that was told.
func (l *listener) clock() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Duration(l.now) * time.Microsecond
}
