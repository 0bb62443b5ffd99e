package app_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/bus"
	"tickcast/internal/testkit"
	"tickcast/wire"
)

// TestACommandSentAgainAndAgain bets once, and sends the command again: on the same
// connection, after a reconnect, through another gateway, and when the log's server has
// forgotten that it was there. One effect, the same answer.
func TestACommandSentAgainAndAgain(t *testing.T) { onEach(t, kinds(), testOnce) }

func testOnce(t *testing.T, d *deployment) {
	const room = "once"
	d.run("rooms", "create", room, "--api", d.gateways[0].internal, "--set", "betting_ms=10000")
	for _, g := range d.gateways {
		testkit.Eventually(t, "each gateway lists the room", deadline, func() bool {
			_, list := g.get(g.public + "/api/rooms")
			return strings.Contains(list, `"`+room+`"`)
		})
	}
	d.shortenWindow(room)
	ann := d.player("ann", 0)
	round := ann.bettingIn(room)
	bet := map[string]any{"type": "cmd", "room": room, "key": "k", "op": "bet", "round": round, "args": map[string]any{"slot": 0, "amount": 1000}}
	first := ann.answer(bet)
	if !strings.Contains(first, `"ok":true`) {
		t.Fatalf("the bet: %s", first)
	}
	other := d.player("ann", len(d.gateways)-1)
	other.joins(room)
	again := d.player("ann", 0)
	again.joins(room)
	for why, c := range map[string]*socketPlayer{"on the same connection": ann, "through another gateway": other, "after a reconnect": again} {
		if got := c.answer(bet); got != first {
			t.Errorf("%s: %s, want %s", why, got, first)
		}
	}
	d.behindTheWindow(room, func() {
		if got := other.answer(bet); got != first {
			t.Fatalf("behind the window: %s, want %s", got, first)
		}
	})
	changed := map[string]any{"type": "cmd", "room": room, "key": "k", "op": "bet", "round": round, "args": map[string]any{"slot": 1, "amount": 2000}}
	if got := again.answer(changed); !strings.Contains(got, string(wire.CodeConflict)) {
		t.Errorf("another body under the key: %s", got)
	}
	if n := d.countRows(`SELECT COUNT(*) FROM bets WHERE player = 'ann'`); n != 1 {
		t.Errorf("%d bets are booked", n)
	}
}

// shortenWindow makes the log's server forget commands after a moment instead of the
// shipped 30 s. Nobody but the program reaches the one of a single box.
func (d *deployment) shortenWindow(room string) {
	d.t.Helper()
	if d.natsURL == "" {
		return
	}
	log, stream := d.logOf(room)
	config := stream.CachedInfo().Config
	config.Duplicates = 100 * time.Millisecond
	if _, err := log.UpdateStream(d.t.Context(), config); err != nil {
		d.t.Fatal(err)
	}
}

// behindTheWindow sends a command until the log has taken it as another record, and then
// once more.
func (d *deployment) behindTheWindow(room string, send func()) {
	d.t.Helper()
	if d.natsURL == "" {
		return
	}
	_, stream := d.logOf(room)
	subject := wire.CommandSubject(wire.PartitionOf(room, d.partitions), room)
	testkit.Eventually(d.t, "the log takes the command as another record", deadline, func() bool {
		send()
		info, err := stream.Info(d.t.Context(), jetstream.WithSubjectFilter(subject))
		if err != nil {
			d.t.Fatal(err)
		}
		return info.State.Subjects[subject] >= 2
	})
	send()
}

// logOf is the log with a room, with the rights of a room server.
func (d *deployment) logOf(room string) (jetstream.JetStream, jetstream.Stream) {
	d.t.Helper()
	nc, err := bus.Connect(d.t.Context(), withUser(d.natsURL, bus.RoleRoom), "test")
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		d.t.Fatal(err)
	}
	stream, err := js.Stream(d.t.Context(), wire.PartitionStream(wire.PartitionOf(room, d.partitions)))
	if err != nil {
		d.t.Fatal(err)
	}
	return js, stream
}

// socketPlayer speaks and listens in turn.
type socketPlayer struct {
	t  testing.TB
	ws *websocket.Conn
}

// player connects a player with a token of his own through a gateway.
func (d *deployment) player(id string, gateway int) *socketPlayer {
	d.t.Helper()
	ws, _, err := websocket.Dial(d.t.Context(), d.gateways[gateway].socket()+"/ws", nil)
	if err != nil {
		d.t.Fatal(err)
	}
	ws.SetReadLimit(-1)
	d.t.Cleanup(func() { _ = ws.CloseNow() })
	p := &socketPlayer{d.t, ws}
	p.say(map[string]any{"type": "hello", "protocol": 1, "token": strings.TrimSpace(d.run("token", id))})
	return p
}

func (p *socketPlayer) say(message map[string]any) {
	p.t.Helper()
	b, err := json.Marshal(message)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.ws.Write(p.t.Context(), websocket.MessageText, b); err != nil {
		p.t.Fatal(err)
	}
}

// hear reads until a message of a type comes.
func (p *socketPlayer) hear(messageType string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), deadline)
	defer cancel()
	for {
		_, b, err := p.ws.Read(ctx)
		if err != nil {
			p.t.Fatalf("no %s came: %v", messageType, err)
		}
		var m struct{ Type string }
		if json.Unmarshal(b, &m) == nil && m.Type == messageType {
			return string(b)
		}
	}
}

func (p *socketPlayer) answer(command map[string]any) string {
	p.t.Helper()
	p.say(command)
	return p.hear(wire.TypeAnswer)
}

func (p *socketPlayer) joins(room string) string {
	p.t.Helper()
	p.say(map[string]any{"type": "join", "id": 1, "room": room})
	return p.hear(wire.TypeJoined)
}

// bettingIn joins a room and returns its round, in which bets are taken: by the snapshot, which
// may be older than the round, or the updates behind it.
func (p *socketPlayer) bettingIn(room string) (round uint64) {
	p.t.Helper()
	type phase struct {
		E, Phase string
		Round    uint64
	}
	var joined struct{ Snapshot phase }
	if err := json.Unmarshal([]byte(p.joins(room)), &joined); err != nil {
		p.t.Fatal(err)
	}
	now := joined.Snapshot
	for now.Phase != "betting" {
		var update struct{ Events []phase }
		if err := json.Unmarshal([]byte(p.hear(wire.TypeUpdate)), &update); err != nil {
			p.t.Fatal(err)
		}
		for _, e := range update.Events {
			if e.E == "phase" {
				now = e
			}
		}
	}
	return now.Round
}
