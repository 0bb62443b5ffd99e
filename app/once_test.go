package app_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"net/url"
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
// connection, after a reconnect, through the other gateway, and when the log's server has
// forgotten that it was there. One effect, the same answer.
func TestACommandSentAgainAndAgain(t *testing.T) {
	t.Parallel()
	d := startDeployment(t)
	const room = "once"
	d.run("rooms", "create", room, "--api", d.gateways[0].internal, "--set", "betting_ms=10000")
	for _, g := range d.gateways {
		testkit.Eventually(t, "each gateway lists the room", deadline, func() bool {
			_, list := g.get(g.public + "/api/rooms")
			return strings.Contains(list, "running")
		})
	}
	log := d.roomLog()
	stream, err := log.Stream(t.Context(), wire.PartitionStream(wire.PartitionOf(room, 4)))
	if err != nil {
		t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	config.Duplicates = 100 * time.Millisecond // of the shipped 30 s
	if _, err := log.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}

	ann := d.player("ann", 0)
	round := ann.bettingIn(room)
	bet := map[string]any{"type": "cmd", "room": room, "key": "k", "op": "bet", "round": round, "args": map[string]any{"slot": 0, "amount": 1000}}
	first := ann.answer(bet)
	if !strings.Contains(first, `"ok":true`) {
		t.Fatalf("the bet: %s", first)
	}
	other := d.player("ann", 1)
	other.joins(room)
	again := d.player("ann", 0)
	again.joins(room)
	for why, c := range map[string]*socketPlayer{"on the same connection": ann, "through the other gateway": other, "after a reconnect": again} {
		if got := c.answer(bet); got != first {
			t.Errorf("%s: %s, want %s", why, got, first)
		}
	}
	subject := wire.CommandSubject(wire.PartitionOf(room, 4), room)
	records := func() uint64 {
		info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter(subject))
		if err != nil {
			t.Fatal(err)
		}
		return info.State.Subjects[subject]
	}
	testkit.Eventually(t, "the log takes the command as another record", deadline, func() bool {
		if got := other.answer(bet); got != first {
			t.Fatalf("behind the window: %s, want %s", got, first)
		}
		return records() >= 2
	})
	if got := other.answer(bet); got != first {
		t.Errorf("when it was folded twice: %s, want %s", got, first)
	}
	changed := map[string]any{"type": "cmd", "room": room, "key": "k", "op": "bet", "round": round, "args": map[string]any{"slot": 1, "amount": 2000}}
	if got := again.answer(changed); !strings.Contains(got, string(wire.CodeConflict)) {
		t.Errorf("another body under the key: %s", got)
	}
	books, err := sql.Open("pgx", d.database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = books.Close() })
	var bets int
	if err := books.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM bets WHERE player = 'ann'`).Scan(&bets); err != nil || bets != 1 {
		t.Errorf("%d bets are booked, %v", bets, err)
	}
}

// roomLog connects with the rights of a room server.
func (d *deployment) roomLog() jetstream.JetStream {
	d.t.Helper()
	u, err := url.Parse(d.nats.URL)
	if err != nil {
		d.t.Fatal(err)
	}
	u.User = url.UserPassword(string(bus.RoleRoom), natsPassword(bus.RoleRoom))
	nc, err := bus.Connect(d.t.Context(), u.String(), "test")
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		d.t.Fatal(err)
	}
	return js
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

// bettingIn joins a room and returns its round, in which bets are taken.
func (p *socketPlayer) bettingIn(room string) (round uint64) {
	p.t.Helper()
	testkit.Eventually(p.t, "bets are taken", deadline, func() bool {
		text := p.joins(room)
		var joined struct {
			View struct {
				Phase string
				Round uint64
			} `json:"snapshot"`
		}
		if err := json.Unmarshal([]byte(text), &joined); err != nil {
			p.t.Fatal(err)
		}
		round = joined.View.Round
		return joined.View.Phase == "betting"
	})
	return round
}
