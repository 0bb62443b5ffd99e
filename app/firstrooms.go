package app

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"tickcast/bus"
	"tickcast/wire"
)

// factFirstRooms is remembered once the first rooms were made, so that a room
// which an operator closed does not come back with the next start.
const factFirstRooms = "first-rooms"

// makeRoomRetry is the wait before a room is asked for again.
const makeRoomRetry = 200 * time.Millisecond

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
	client.http.Transport = &http.Transport{} // to itself without a proxy, which would see the key
	for _, room := range firstRooms() {
		if err := makeRoom(ctx, p.log, client, room); err != nil {
			return err
		}
	}
	return bus.SetFact(ctx, p.room, factFirstRooms, time.Now().UTC().Format(time.RFC3339))
}

// makeRoom makes a room, if it takes several tries: a process that has just started
// on a busy machine is no reason to end it.
func makeRoom(ctx context.Context, log *slog.Logger, client *operatorClient, room roomRequest) error {
	for {
		err := client.call(ctx, http.MethodPost, "/rooms", room, nil)
		refused, _ := errors.AsType[*refusal](err)
		switch {
		case err == nil, refused != nil && refused.code == wire.CodeRoomExists: // a try before, or the start before
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, context.DeadlineExceeded), refused != nil && refused.code == wire.CodeUnavailable:
			log.Warn("room is not made yet", "room", room.ID, "err", err)
		default:
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(makeRoomRetry):
		}
	}
}
