package app

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"

	"tickcast/archive"
	"tickcast/bus"
	"tickcast/room"
	"tickcast/room/cashier"
	"tickcast/room/crash"
	"tickcast/room/game"
	"tickcast/room/race"
)

// makeStreams connects as a room server and makes the streams, which every other
// role waits for.
func (p *process) makeStreams(ctx context.Context) error {
	nc, err := p.connect(ctx, bus.RoleRoom)
	if err != nil {
		return err
	}
	p.room = nc
	p.partitions, err = p.infra.ensureStreams(ctx, nc)
	return err
}

// addRoom adds the rooms: this process folds every partition and owns its share
// of them.
func (p *process) addRoom(context.Context) error {
	store, err := p.archive()
	if err != nil {
		return err
	}
	host, err := room.NewHost(room.HostConfig{
		Node:       p.name,
		Version:    version(),
		Conn:       p.room,
		Snapshots:  p.infra.cache,
		Kinds:      []game.Kind{crash.New(crash.NewChains(p.secrets.room, rand.Reader)), race.Kind{}},
		Cashier:    cashier.Kind{},
		Partitions: p.partitions,
		Alone:      p.kind == ProcessServe && p.config.embeddedNATS(),
		Archive:    store,
		Keep:       uint64(max(p.config.LogKeep, 0)),

		SegmentRecords:     uint64(p.config.SegmentRecords),
		CheckpointRecords:  uint64(p.config.CheckpointRecords),
		CheckpointInterval: p.config.CheckpointInterval,

		Address: p.internal.Addr().String(),
		Log:     p.log.With("component", "room"),
		Metrics: p.metrics,
	})
	if err != nil {
		return err
	}
	p.ready = append(p.ready, func() string {
		select {
		case <-host.Ready():
			return ""
		default:
			return "partitions are being read"
		}
	})
	p.group.add("rooms", host.Run)
	return nil
}

// archive is where records go that are trimmed from the logs; nil when nothing is.
func (p *process) archive() (archive.Store, error) {
	if p.config.LogKeep < 0 {
		return nil, nil
	}
	if dir := p.config.ArchiveDir; dir != "" {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("make archive: %w", err)
		}
	}
	stores, err := archiveStores(p.room, p.config.ArchiveDir)
	if err != nil {
		return nil, err
	}
	return stores[0], nil
}
