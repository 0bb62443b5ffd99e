package wire

import (
	"bytes"
	"encoding/json"
	"testing"

	"pgregory.net/rapid"
)

// TestAppendedIsMarshalled draws messages with any text in them.
func TestAppendedIsMarshalled(tt *testing.T) {
	text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[a-z0-9_|-]{0,12}`))
	raw := rapid.Custom(func(t *rapid.T) json.RawMessage {
		b, _ := json.Marshal(map[string]string{"e": text.Draw(t, "e")})
		return b
	})
	rapid.Check(tt, func(t *rapid.T) {
		same := func(what string, appended []byte, v any) {
			want, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			if want = append([]byte("before"), want...); !bytes.Equal(appended, want) {
				t.Fatalf("%s:\n%s\n%s", what, appended, want)
			}
		}
		before := []byte("before")
		tick := Tick{
			Type: TypeTick, Room: text.Draw(t, "room"), Seq: rapid.Uint64().Draw(t, "seq"),
			Time: rapid.Int64().Draw(t, "t"), Epoch: rapid.Uint64().Draw(t, "epoch"),
		}
		same("tick", tick.AppendJSON(bytes.Clone(before)), tick)
		update := Update{Type: TypeUpdate, Room: tick.Room, Seq: tick.Seq, Time: tick.Time, Events: []json.RawMessage{}}
		update.Events = append(update.Events, rapid.SliceOfN(raw, 0, 4).Draw(t, "events")...)
		same("update", update.AppendJSON(bytes.Clone(before)), update)
		answer := Answer{Type: TypeAnswer, Room: tick.Room, Key: text.Draw(t, "key")}
		if answer.OK = rapid.Bool().Draw(t, "ok"); answer.OK {
			answer.Result = raw.Draw(t, "result")
		} else {
			answer.Error = Errorf(CodeBusy, "%s", text.Draw(t, "message"))
		}
		same("answer", answer.AppendJSON(bytes.Clone(before)), answer)
		notice := Notice{Type: TypeNotice, Room: tick.Room, Event: raw.Draw(t, "event")}
		same("notice", notice.AppendJSON(bytes.Clone(before)), notice)
		privates, answers := []Private{}, []RoutedAnswer{}
		for range rapid.IntRange(0, 3).Draw(t, "players") {
			player := text.Draw(t, "player")
			privates = append(privates, Private{Player: player, Message: notice.AppendJSON(nil)})
			answers = append(answers, RoutedAnswer{
				Player: player, Room: tick.Room, Key: answer.Key,
				Body: rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(t, "body"), Answer: answer.AppendJSON(nil),
			})
		}
		same("privates", AppendPrivates(bytes.Clone(before), privates), privates)
		same("answers", AppendAnswers(bytes.Clone(before), answers), answers)
	})
}
