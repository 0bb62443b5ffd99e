package room

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"tickcast/bus"
	"tickcast/internal/testkit"
	"tickcast/room/cashier"
	"tickcast/room/game"
	"tickcast/room/race"
	"tickcast/wire"
)

// TestSnapshotsThatDoNotFitAreNotUsed stores what can become of a snapshot and asks
// whether it is restored.
func TestSnapshotsThatDoNotFitAreNotUsed(t *testing.T) {
	s := newStage(t, 1)
	h := s.host("one", true)
	s.create("derby", "race", fastRace)
	s.eventually("rounds", func() bool { return s.updatesOf("derby") > 5 })
	h.stop()
	nc := s.connect(bus.RoleRoom)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	f, err := openFeed(t.Context(), nc, js, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	store := checkpoints{js, 0}
	good, _, err := store.GetCheckpoint(t.Context(), 0)
	if err != nil || good == nil {
		t.Fatalf("the checkpoint of the host that left: %d bytes, %v", len(good), err)
	}
	cfg := PartitionConfig{Created: f.created(), Kinds: []game.Kind{race.Kind{}}, Cashier: cashier.Kind{}}
	restore := func(sealed []byte) (*Partition, error) {
		overwrite(t, store, 0, sealed)
		only := newKeeper(nil, []CheckpointStore{store}, testkit.Logger(t)).sources()[0]
		return restoreFrom(t.Context(), cfg, newNATSLog(t.Context(), f, 0), only.get)
	}
	for why, c := range map[string]struct {
		sealed []byte
		want   string
	}{
		"empty":                      {[]byte{}, "checksum"},
		"truncated":                  {good[:len(good)/2], "checksum"},
		"a bit flipped":              {flipped(good), "checksum"},
		"of a later format":          {edited(t, good, func(s *savedPartition) { s.Version++ }), "version"},
		"of another partition":       {edited(t, good, func(s *savedPartition) { s.Partition++ }), "another log"},
		"of another stream":          {edited(t, good, func(s *savedPartition) { s.Created++ }), "another log"},
		"newer than the log":         {edited(t, good, func(s *savedPartition) { s.Last.Seq += 1000 }), "it ends with record"},
		"of a tail that was lost":    {edited(t, good, func(s *savedPartition) { s.Last.Time++ }), "another record"},
		"of a record with more data": {edited(t, good, func(s *savedPartition) { s.Last.Hash[0]++ }), "another record"},
	} {
		if _, err := restore(c.sealed); !errors.Is(err, errUnfit) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want errUnfit with %q", why, err, c.want)
		}
	}
	p, err := restore(good)
	if err != nil || p.Rooms() != 1 {
		t.Fatalf("the snapshot as it was: %v", err)
	}
	s.command("derby", wire.Command{Player: "ann", Key: "behind the snapshot", Op: "tap"})
	if p, err = restore(good); err != nil || p.Rooms() != 1 {
		t.Fatalf("a snapshot that is older than the log: %v", err)
	}
}

func flipped(b []byte) []byte {
	b = append([]byte(nil), b...)
	b[len(b)/2] ^= 1
	return b
}

// edited is a snapshot whose checksum is right and whose contents are not.
func edited(t *testing.T, sealed []byte, edit func(*savedPartition)) []byte {
	t.Helper()
	b, err := unseal(sealed)
	if err != nil {
		t.Fatal(err)
	}
	var s savedPartition
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	edit(&s)
	return seal(game.Encode(s))
}
