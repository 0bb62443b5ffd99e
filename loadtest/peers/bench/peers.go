package bench

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"tickcast/loadtest/peers/serve"
)

// bare is what everything is compared with.
func bare() Peer {
	return Peer{Name: "bare", About: "C, one send(2) per socket and update, nothing else", start: startBare, flatOut: true}
}

// ours is the program under test.
func ours() Peer {
	return Peer{Name: "tickcast", About: "the gateway: joined players, updates over NATS from another process", start: startTickcast()}
}

// oursSingle is the program under test without io_uring.
func oursSingle() Peer {
	return Peer{Name: "tickcast-single", About: "the gateway, a system call per socket and update", start: startTickcast("--single-sends")}
}

// Peers are all servers of the comparison, the bare loop first.
func Peers() []Peer {
	plain := Dialect{Path: "/"}
	return []Peer{
		bare(),
		ours(),
		oursSingle(),
		{Name: "gobwas", About: "gobwas/ws, compiled frame, blocking writes in a loop", start: alone("gobwas", plain)},
		{Name: "gws", About: "lxzan/gws, Broadcaster", start: alone("gws", plain)},
		{Name: "gorilla", About: "gorilla/websocket, PreparedMessage, two goroutines per connection", start: alone("gorilla", plain)},
		{Name: "coder", About: "coder/websocket, a goroutine and Write(ctx) per connection", start: alone("coder", plain)},
		{Name: "centrifuge", About: "centrifuge, JSON, default settings, engine in memory", start: alone("centrifuge", centrifugeJSON())},
		{Name: "centrifuge-best", About: "centrifuge, protobuf, pooled and small buffers, engine in memory", start: alone("centrifuge-best", centrifugeProtobuf())},
		{Name: "nats", About: "nats-server's WebSocket, published to by another process", start: startNATS},
		{Name: "node-ws", About: "Node ws, bytes made once", start: startNode("ws.js", plain)},
		{Name: "socketio", About: "socket.io on Node, WebSocket transport", start: startNode("socketio.js", socketIO())},
	}
}

// Select returns the peers with the names, in the order of Peers; all without names. The bare loop is always
// among them: nothing could be compared without it.
func Select(names []string) ([]Peer, error) {
	all := Peers()
	if len(names) == 0 {
		return all, nil
	}
	var known []string
	selected := slices.DeleteFunc(slices.Clone(all), func(p Peer) bool {
		known = append(known, p.Name)
		return p.Name != bare().Name && !slices.Contains(names, p.Name)
	})
	for _, n := range names {
		if !slices.Contains(known, n) {
			return nil, fmt.Errorf("no peer %q: there are %s", n, strings.Join(known, ", "))
		}
	}
	return selected, nil
}

func startBare(ctx context.Context, s *stage) error {
	program, err := s.kit.Programs.C(ctx, "bare")
	if err != nil {
		return err
	}
	c, err := s.run("bare", exec.CommandContext(ctx, program, "0"))
	if err != nil {
		return err
	}
	return s.alone(ctx, c, Dialect{Path: "/"})
}

// alone starts a server of package serve that is one process.
func alone(name string, d Dialect) func(context.Context, *stage) error {
	return func(ctx context.Context, s *stage) error {
		c, err := s.runSelf(ctx, nil, name)
		if err != nil {
			return err
		}
		return s.alone(ctx, c, d)
	}
}

func startNode(script string, d Dialect) func(context.Context, *stage) error {
	return func(ctx context.Context, s *stage) error {
		dir, err := s.kit.Programs.Node(ctx)
		if err != nil {
			return err
		}
		cmd := exec.CommandContext(ctx, "node", script)
		cmd.Dir = dir
		c, err := s.run(script, cmd)
		if err != nil {
			return err
		}
		return s.alone(ctx, c, d)
	}
}

func startNATS(ctx context.Context, s *stage) error {
	c, err := s.runSelf(ctx, nil, "nats")
	if err != nil {
		return err
	}
	port, err := c.expect(ctx, "clients ")
	if err != nil {
		return err
	}
	subscribe := `CONNECT {"verbose":false,"pedantic":false,"protocol":1}\r\nSUB ` + serve.Channel + ` 1\r\nPING\r\n`
	d := Dialect{Path: "/", Binary: true, Messages: [][]string{{subscribe}}, Ready: "PONG", Ping: "PING", Pong: `PONG\r\n`}
	if err := s.alone(ctx, c, d); err != nil {
		return err
	}
	if s.publisher, err = s.runSelf(ctx, nil, "nats-publisher", "nats://127.0.0.1:"+port); err != nil {
		return err
	}
	_, err = s.publisher.expect(ctx, "ready")
	return err
}

func centrifugeJSON() Dialect {
	return Dialect{
		Path:     "/",
		Messages: [][]string{{`{"id":1,"connect":{}}`, `{"id":2,"subscribe":{"channel":"` + serve.Channel + `"}}`}},
		Ready:    `"subscribe":`,
		Ping:     `{}`, Pong: `{}`,
	}
}

// centrifugeProtobuf says the same in protobuf: commands and replies with their lengths before them, of which
// an empty one is a ping.
func centrifugeProtobuf() Dialect {
	channel := `\x0a` + hexByte(len(serve.Channel)) + serve.Channel
	command := `\x08\x02\x2a` + hexByte(len(serve.Channel)+2) + channel // id 2, subscribe
	return Dialect{
		Path: "/?cf_protocol=protobuf", Binary: true,
		Messages: [][]string{{`\x04\x08\x01\x22\x00`, hexByte(len(serve.Channel)+6) + command}},
		Ready:    `\x08\x02\x32`, // id 2, result of subscribe
		Ping:     `\x00`, Pong: `\x00`,
	}
}

func hexByte(n int) string { return `\x` + strconv.FormatInt(int64(n)+0x100, 16)[1:] }

func socketIO() Dialect {
	return Dialect{
		Path: "/socket.io/?EIO=4&transport=websocket", Messages: [][]string{{"40"}}, Ready: "40{",
		Ping: "2", Pong: "3",
	}
}
