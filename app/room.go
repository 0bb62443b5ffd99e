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

// addRoom adds the rooms: streams are made, and this process folds every
// partition and owns its share of them.
func (p *process) addRoom(ctx context.Context) error {
	nc, err := p.connect(ctx, bus.RoleRoom)
	if err != nil {
		return err
	}
	if p.partitions, err = p.infra.ensureStreams(ctx, nc); err != nil {
		return err
	}
	host, err := room.NewHost(room.HostConfig{
		Node:       p.name,
		Version:    version(),
		Conn:       nc,
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
