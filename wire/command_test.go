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
