package app

import (
	"context"
	"crypto/rand"

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
	host, err := room.NewHost(room.HostConfig{
		Node:       p.name,
		Version:    version(),
		Conn:       p.room,
		Snapshots:  p.infra.cache,
		Kinds:      []game.Kind{crash.New(crash.NewChains(p.secrets.room, rand.Reader)), race.Kind{}},
		Cashier:    cashier.Kind{},
		Partitions: p.partitions,
		Alone:      p.kind == ProcessServe && p.config.embeddedNATS(),
		Address:    p.internal.Addr().String(),
		Log:        p.log.With("component", "room"),
		Metrics:    p.metrics,
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
