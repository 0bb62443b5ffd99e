package server

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"tickcast/fanout"
	"tickcast/server/internal/peer"
	"tickcast/wire"
)

const (
	// chatBurst lines of a player in chatWindow are allowed (P5.2).
	chatBurst  = 5
	chatWindow = 10 * time.Second
	// chatShown lines are shown to who joins (P5.3).
	chatShown = 100
	// chatScan bounds the stored lines that are read for it; the stream keeps as many per room.
	chatScan = 1000
	// chatTimeout bounds a line's way into the stream, attempts included.
	chatTimeout = 3 * time.Second
)

// chatLoadTimeout bounds reading the last lines; joins wait for it once. A variable for tests.
var chatLoadTimeout = 2 * time.Second

// chatLog is a room's last lines, oldest first. Owned by the feed's loop.
type chatLog struct {
	lines   []wire.ChatLine
	last    uint64 // newest ID
	loaded  bool   // the stored lines are there, or could not be read in time
	loading bool
	missing bool // lines behind missed are to be read
	missed  uint64
}

// loadChat reads the stored lines behind one.
func (f *feed) loadChat(behind uint64) {
	f.chat.loading, f.chat.missing = true, false
	f.g.spawn(func() {
		lines, err := readChat(f.g.life, f.g.js, f.room, behind+1)
		f.post(func(time.Time) { f.chatLoaded(behind, lines, err) })
	})
}

func (f *feed) chatLoaded(behind uint64, lines []wire.ChatLine, err error) {
	c := &f.chat
	c.loading, c.loaded = false, true
	if err != nil {
		f.g.cfg.Log.Warn("chat lines could not be read", "room", f.room, "err", err)
		c.missing, c.missed = true, behind
		return
	}
	c.merge(lines...)
	f.copy.chatJSON = nil
}

// reloadChat reads what was missed, at the pace of the feed's housekeeping.
func (f *feed) reloadChat() {
	if f.chat.missing && !f.chat.loading {
		f.loadChat(f.chat.missed)
	}
}

// chatMessage passes on a line that was stored.
func (f *feed) chatMessage(m *nats.Msg) {
	seq, err := strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
	if err != nil {
		return
	}
	at, err := time.Parse(time.RFC3339Nano, m.Header.Get(jetstream.TimeStampHeaer))
	if err != nil {
		at = time.Now()
	}
	line, ok := chatLine(seq, at, m.Data)
	c := &f.chat
	if !ok || seq <= c.last {
		return
	}
	before, err := strconv.ParseUint(m.Header.Get(jetstream.LastSequenceHeader), 10, 64)
	if err == nil && c.loaded && before > c.last && !c.missing {
		c.missing, c.missed = true, c.last
	}
	c.merge(line)
	f.copy.chatJSON = nil
	line.Type, line.Room = wire.TypeChat, f.room
	f.topic.Notice(fanout.NewFrame(encode(line)))
}

// merge adds lines and keeps the newest.
func (c *chatLog) merge(lines ...wire.ChatLine) {
	c.lines = append(c.lines, lines...)
	slices.SortFunc(c.lines, func(a, b wire.ChatLine) int { return int(a.ID) - int(b.ID) })
	c.lines = slices.CompactFunc(c.lines, func(a, b wire.ChatLine) bool { return a.ID == b.ID })
	if n := len(c.lines); n > 0 {
		c.last = max(c.last, c.lines[n-1].ID)
		c.lines = slices.Clone(c.lines[max(0, n-chatShown):])
	}
}

func chatLine(seq uint64, at time.Time, data []byte) (wire.ChatLine, bool) {
	var r wire.ChatRecord
	if json.Unmarshal(data, &r) != nil {
		return wire.ChatLine{}, false
	}
	return wire.ChatLine{ID: seq, At: at.UnixMilli(), Player: r.Player, Name: r.Name, Text: r.Text}, true
}

// readChat reads a room's stored lines from a sequence on: the newest chatShown.
func readChat(ctx context.Context, js jetstream.JetStream, room string, from uint64) ([]wire.ChatLine, error) {
	ctx, cancel := context.WithTimeout(ctx, chatLoadTimeout)
	defer cancel()
	stored, err := jetstreamext.GetBatch(ctx, js, wire.StreamChat, chatScan,
		jetstreamext.GetBatchSubject(wire.ChatSubject(room)), jetstreamext.GetBatchSeq(from))
	if err != nil {
		return nil, err
	}
	var lines []wire.ChatLine
	for m, err := range stored {
		if errors.Is(err, jetstreamext.ErrNoMessages) {
			break
		}
		if err != nil {
			return nil, err
		}
		if line, ok := chatLine(m.Sequence, m.Time, m.Data); ok {
			lines = append(lines, line)
		}
	}
	return lines[max(0, len(lines)-chatShown):], nil
}

// chatter brings players' lines into the chat's stream.
type chatter struct {
	g     *Gateway
	lanes *lanes        // by player: his lines keep their order
	rates *keyedLimiter // by player: another connection is no further allowance
}

func newChatter(g *Gateway) *chatter {
	return &chatter{g: g, lanes: newLanes(), rates: newKeyedLimiter(windows(chatBurst, chatWindow))}
}

// say stores a line. The stored line comes back to everybody in the room; only a
// failure is answered here. How many lines wait is bounded by the players' rate limit.
func (c *chatter) say(s *session, id uint64, room string, r wire.ChatRecord) {
	line := peer.Record{Stream: wire.StreamChat, Subject: wire.ChatSubject(room), ID: newUUID(), Data: encode(r)}
	c.lanes.do(s.player.ID, func(over func()) {
		c.g.appends.Append(line, time.Now().Add(chatTimeout), func(_ bool, err error) {
			if err != nil {
				c.g.cfg.Log.Warn("a chat line could not be stored", "err", err)
				s.refuse(id, room, wire.Errorf(wire.CodeUnavailable, "the line could not be stored"))
			}
			over()
		})
	})
}
