package wire

import "testing"

// Names end up in snapshots, which are JSON: what is not text would read back as
// something else and part the replicas.
func TestDecodeCommandRefusesNamesThatAreNoText(t *testing.T) {
	for name, want := range map[string]bool{"": true, "Ann Ä": true, "a\xffb": false, "a\nb": false, "123456789012345678901234567890123": false} {
		c := Command{Player: "ann", Name: name, Gateway: "g1", Key: "k", Op: "tap"}
		b, err := c.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeCommand(b); (err == nil) != want {
			t.Errorf("name %q: %v", name, err)
		}
	}
}

// FuzzDecodeCommand: what decodes is what AppendBinary writes.
func FuzzDecodeCommand(f *testing.F) {
	for _, c := range []Command{
		{Player: "ann", Name: "Ann", Guest: true, Gateway: "g1", Key: "k", Op: "bet", Round: 300, Args: []byte(`{"slot":0,"amount":1000}`)},
		{Player: "u:1@x", Gateway: "g1", Key: "~", Op: "refill"},
	} {
		b, _ := c.AppendBinary(nil)
		f.Add(b)
		f.Add(b[:len(b)-1])
		f.Add(append(b, 0))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := DecodeCommand(b)
		if err != nil {
			return
		}
		again, err := c.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		d, err := DecodeCommand(again)
		if err != nil || d.MsgID("lobby") != c.MsgID("lobby") || d.Name != c.Name || d.Guest != c.Guest || d.Gateway != c.Gateway {
			t.Fatalf("%+v was read again as %+v, %v", c, d, err)
		}
	})
}

// TestMsgIDTellsCommandsApart: whatever differs is another message to the log.
func TestMsgIDTellsCommandsApart(t *testing.T) {
	base := Command{Player: "ann", Key: "k", Op: "bet", Round: 1, Args: []byte(`{}`), Gateway: "g1", Name: "Ann"}
	ids := map[string]string{base.MsgID("lobby"): "the first", base.MsgID("derby"): "another room"}
	if len(ids) != 2 {
		t.Error("the same command in another room has the same ID")
	}
	for why, change := range map[string]func(c *Command){
		"another player":      func(c *Command) { c.Player = "bob" },
		"another key":         func(c *Command) { c.Key = "l" },
		"another operation":   func(c *Command) { c.Op = "cashout" },
		"another round":       func(c *Command) { c.Round = 2 },
		"other arguments":     func(c *Command) { c.Args = []byte(`{"a":1}`) },
		"operation, not args": func(c *Command) { c.Op, c.Args = "be", []byte("t{}") },
	} {
		c := base
		change(&c)
		if other, ok := ids[c.MsgID("lobby")]; ok {
			t.Errorf("%s has the ID of %s", why, other)
		}
		ids[c.MsgID("lobby")] = why
	}
	again := base
	again.Gateway, again.Name = "g2", "Anna"
	if ids[again.MsgID("lobby")] != "the first" {
		t.Error("the same command at another gateway has another ID")
	}
}
