package app

import (
	"context"
	"errors"
	"net/http"
	"time"

	"tickcast/bus"
	"tickcast/wire"
)

// factFirstRooms is remembered once the first rooms were made, so that a room
// which an operator closed does not come back with the next start.
const factFirstRooms = "first-rooms"

// firstRooms are what a fresh deployment begins with, one of each game.
func firstRooms() []roomRequest {
	return []roomRequest{
		{ID: "lobby", Game: "crash", Name: "Lobby"},
		{ID: "derby", Game: "race", Name: "Derby"},
	}
}

// makeFirstRooms makes the first rooms, at the first start only, the way an
// operator makes rooms: by the operator API of this process.
func (p *process) makeFirstRooms(ctx context.Context) error {
	done, err := bus.Fact(ctx, p.room, factFirstRooms)
	if err != nil || done != "" {
		return err
	}
	client := newOperatorClient(localURL(p.internal.Addr().String()), p.secrets.operatorKey, "first-start")
	for _, room := range firstRooms() {
		err := client.call(ctx, http.MethodPost, "/rooms", room, nil)
		var r *refusal
		if errors.As(err, &r) && r.code == wire.CodeRoomExists {
			continue // the start before was cut short
		}
		if err != nil {
			return err
		}
	}
	return bus.SetFact(ctx, p.room, factFirstRooms, time.Now().UTC().Format(time.RFC3339))
}
