package serve

import (
	"io"
	"net"
	"net/http"
	"sync"
)

// hub gives each message to a queue per client, as the chat examples of WebSocket libraries do; whoever is
// too slow is closed. Its methods may be called concurrently.
type hub[M any] struct {
	queue int // messages that a client may be behind. Static.

	mu      sync.Mutex // guards members
	members map[*member[M]]struct{}
}

type member[M any] struct {
	messages  chan M
	closeSlow func()
}

func newHub[M any](queue int) *hub[M] {
	return &hub[M]{queue: queue, members: map[*member[M]]struct{}{}}
}

func (h *hub[M]) join(closeSlow func()) *member[M] {
	m := &member[M]{messages: make(chan M, h.queue), closeSlow: closeSlow}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.members[m] = struct{}{}
	return m
}

func (h *hub[M]) leave(m *member[M]) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.members, m)
}

func (h *hub[M]) broadcast(message M) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for m := range h.members {
		select {
		case m.messages <- message:
		default:
			delete(h.members, m)
			go m.closeSlow()
		}
	}
}

// group is the connections of a server that writes to them directly. Its methods may be called concurrently.
type group[C comparable] struct {
	mu   sync.Mutex // guards everything below
	list []C
	at   map[C]int
}

func newGroup[C comparable]() *group[C] { return &group[C]{at: map[C]int{}} }

func (g *group[C]) add(c C) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.at[c] = len(g.list)
	g.list = append(g.list, c)
}

func (g *group[C]) remove(c C) {
	g.mu.Lock()
	defer g.mu.Unlock()
	i, ok := g.at[c]
	if !ok {
		return
	}
	last := g.list[len(g.list)-1]
	g.list[i], g.at[last] = last, i
	g.list = g.list[:len(g.list)-1]
	delete(g.at, c)
}

// each calls f for every connection.
func (g *group[C]) each(f func(C)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.list {
		f(c)
	}
}

// serveHTTP serves on a free port and publishes until in ends.
func serveHTTP(in io.Reader, out io.Writer, handler http.Handler, send Broadcast) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := http.Server{Handler: handler}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	sayListening(out, l.Addr())
	err = Control(in, out, send)
	_ = server.Close() // clients are taken over and end with the process
	<-failed
	return err
}
