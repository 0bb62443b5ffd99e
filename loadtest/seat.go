package loadtest

import (
	"encoding/json"
	"fmt"
	"time"

	"tickcast/wire"
)

// seat is a bot's place in one room, across connections. Guarded by its bot's mu.
type seat struct {
	stream     *stream       // the log that applied counts in, nil before the first join
	applied    uint64        // last update that the bot has acted on: where it resumes
	table      table         // how the bot plays, nil before the first snapshot
	tickMark   uint64        // newest update that a tick told of before the bots stopped acting
	heardAt    time.Duration // when the room was heard last, 0 when a silence would not count
	everJoined bool
	gone       bool // the room was closed or cannot be joined

	bot  *bot   // static
	room string // static
}

// table plays one game at a seat. All methods are called under the bot's lock;
// times are since the run began.
type table interface {
	// onView shows the whole state of the room, at a join.
	onView(v *view, at time.Duration)
	// onYou shows what the room knows of the player, at a join that was asked for at a
	// time. It is at least as new as any answer before that (P3.7).
	onYou(you json.RawMessage, asked time.Duration)
	// onNews shows events, each once and in order.
	onNews(n *news, at time.Duration)
	// onAnswer gives a command's definite answer, or the temporary refusal at which
	// the bot gave up.
	onAnswer(cmd *command, m *wire.Answer, at time.Duration)
	// onNotice gives the event of a private notice.
	onNotice(e *event)
	// stop ends the bot's own actions; what is open is brought to an end.
	stop(at time.Duration)
	// open reports whether anything of the player has no end yet.
	open() bool
}

func (st *seat) position() *wire.Position {
	if st.stream == nil {
		return nil
	}
	return &wire.Position{Log: st.stream.log, Seq: st.applied}
}

func (st *seat) onJoined(l *link, c *cursor, m *wire.Joined, at time.Duration) {
	if !st.everJoined {
		st.everJoined = true
		st.bot.s.joined.Add(1)
	}
	if st.stream != c.stream {
		st.stream, st.applied, st.tickMark = c.stream, 0, 0
	}
	if !m.Recovered {
		st.onSnapshot(l, m, at)
	}
	if st.table != nil {
		st.table.onYou(m.You, c.askedAt)
	}
}

func (st *seat) onSnapshot(l *link, m *wire.Joined, at time.Duration) {
	var v view
	if err := decode(m.Snapshot, &v); err != nil {
		st.bot.fail(l, checkProtocol, "snapshot of room %s: %v", st.room, err)
		return
	}
	for _, p := range st.stream.learn(&v) {
		st.bot.fail(l, p.check, "snapshot of room %s: %s", st.room, p.detail)
	}
	if want := st.bot.s.cfg.Game; want != "" && v.Game != want {
		st.bot.fail(l, checkJoined, "room %s plays %q, not %q", st.room, v.Game, want)
	}
	if st.table == nil && st.bot.slow == readsAll {
		switch v.Game {
		case gameCrash:
			st.table = &crashTable{seat: st, bets: map[betPlace]*bet{}}
		case gameRace:
			st.table = &raceTable{seat: st}
		default:
			st.bot.s.check.count("snapshots of a game that bots cannot play", 1)
		}
	}
	if m.Position.Seq < st.applied {
		return // the other connection is ahead, and has told it all
	}
	st.applied = m.Position.Seq
	if st.table != nil {
		st.table.onView(&v, at)
	}
}

// onNews passes on what an update said, the first time that it comes on any of
// the bot's connections.
func (st *seat) onNews(s *stream, seq uint64, n *news, at time.Duration) {
	if s != st.stream || seq <= st.applied {
		return
	}
	st.applied = seq
	if n != nil && st.table != nil {
		st.table.onNews(n, at)
	}
}

// ask sends a command of this room with arguments that encode to JSON.
func (st *seat) ask(cmd command, args string, values ...any) *command {
	cmd.room = st.room
	cmd.args = json.RawMessage(fmt.Sprintf(args, values...))
	return st.bot.ask(cmd)
}

// fail tells of a result that does not agree with the rules.
func (st *seat) fail(round uint64, format string, args ...any) {
	e := Example{Bot: st.bot.n, Room: st.room, Detail: fmt.Sprintf("round %d: ", round) + fmt.Sprintf(format, args...)}
	if st.stream != nil {
		e.Log = st.stream.log
	}
	st.bot.s.check.fail(checkRules, e)
}
