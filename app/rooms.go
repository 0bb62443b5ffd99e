package app

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"tickcast/wire"
)

// roomLine is a room in the operator API's list.
type roomLine struct {
	wire.RoomInfo
	Players int `json:"players"`
}

// roomRequest creates a room.
type roomRequest struct {
	ID       string         `json:"id"`
	Game     string         `json:"game"`
	Name     string         `json:"name,omitempty"`
	Paused   bool           `json:"paused,omitempty"`
	Settings map[string]any `json:"settings,omitempty"`
}

func newRooms() *cobra.Command {
	o := &operatorFlags{}
	cmd := &cobra.Command{
		Use:     "rooms",
		Short:   "List, create, start, pause, void, configure and close rooms",
		GroupID: "operators",
		Args:    onlyCommands,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	o.add(cmd)
	cmd.AddCommand(newRoomsList(o), newRoomsCreate(o), newRoomsSet(o),
		newRoomAction(o, wire.ActionStart, "Start a paused room"),
		newRoomAction(o, wire.ActionPause, "Pause a room after its current round"),
		newRoomAction(o, wire.ActionResume, "Take a pause back"),
		newRoomAction(o, wire.ActionVoid, "Void the current round: open bets are refunded, the seed is revealed"),
		newRoomAction(o, wire.ActionClose, "Close a room after its current round, for good"),
	)
	return cmd
}

func newRoomsList(o *operatorFlags) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the rooms",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := o.client(cmd)
			if err != nil {
				return err
			}
			var answer struct {
				Rooms []roomLine `json:"rooms"`
			}
			if err := client.call(cmd.Context(), http.MethodGet, "/rooms", nil, &answer); err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(answer.Rooms)
			}
			return printRooms(cmd.OutOrStdout(), answer.Rooms)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printRooms(w io.Writer, rooms []roomLine) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "ROOM\tGAME\tSTATE\tPLAYERS\tPARTITION\tCREATED\tNAME")
	for _, r := range rooms {
		created := time.UnixMilli(r.Created).UTC().Format(time.DateTime)
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d\t%s\t%s\n", r.ID, r.Game, r.State, r.Players, r.Partition, created, r.Name)
	}
	return t.Flush()
}

func newRoomsCreate(o *operatorFlags) *cobra.Command {
	var room roomRequest
	var settings []string
	cmd := &cobra.Command{
		Use:   "create ROOM",
		Short: "Create a room, or many",
		Long:  "Creates a room, or all that a range of numbers in its ID stands for (many-[0-9999]).",
		Example: "  tickcast rooms create vip --name VIP --set betting_ms=8000 --set min_stake=1000\n" +
			"  tickcast rooms create 'many-[0-999]' --game race --set tick_ms=1000",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ids, err := expandRooms(args)
			if err != nil {
				return err
			}
			for _, id := range ids {
				if !wire.ValidRoomID(id) {
					return fmt.Errorf("%q is not a room ID: 1 to %d of a-z, 0-9, _ and -, the first a letter or digit", id, wire.MaxRoomIDBytes)
				}
			}
			if room.Settings, err = parseSettings(settings); err != nil {
				return err
			}
			return createRooms(cmd, o, room, ids)
		},
	}
	f := cmd.Flags()
	f.StringVar(&room.Game, "game", "crash", "the game, crash or race")
	f.StringVar(&room.Name, "name", "", "name shown to players; empty: the room's ID")
	f.BoolVar(&room.Paused, "paused", false, "do not start rounds yet")
	f.StringArrayVar(&settings, "set", nil, "a setting of the game, as name=value")
	return cmd
}

// roomsAtOnce bounds the requests that create rooms at the same time.
const roomsAtOnce = 32

// createRooms creates rooms that differ in their IDs. It stops at the first that is refused.
func createRooms(cmd *cobra.Command, o *operatorFlags, room roomRequest, ids []string) error {
	client, err := o.client(cmd)
	if err != nil {
		return err
	}
	creating, ctx := errgroup.WithContext(cmd.Context())
	creating.SetLimit(roomsAtOnce)
	for _, id := range ids {
		creating.Go(func() error {
			if ctx.Err() != nil {
				return nil // the one that was refused tells why
			}
			one := room
			one.ID = id
			if err := client.call(ctx, http.MethodPost, "/rooms", one, nil); err != nil && len(ids) > 1 {
				return fmt.Errorf("create room %s: %w", id, err)
			} else if err != nil {
				return err
			}
			return nil
		})
	}
	if err := creating.Wait(); err != nil {
		return err
	}
	done := "room " + ids[0] + " was created"
	if len(ids) > 1 {
		done = fmt.Sprintf("%d rooms were created", len(ids))
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), done)
	return err
}

func newRoomsSet(o *operatorFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "set ROOM NAME=VALUE ...",
		Short:   "Change settings, from the next round on",
		Example: "  tickcast rooms set lobby betting_ms=8000 max_stake=500000",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			settings, err := parseSettings(args[1:])
			if err != nil {
				return err
			}
			return o.do(cmd, http.MethodPatch, roomPath(args[0])+"/settings", settings, "the settings of "+args[0]+" were stored")
		},
	}
}

func newRoomAction(o *operatorFlags, op, short string) *cobra.Command {
	return &cobra.Command{
		Use:   op + " ROOM",
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.do(cmd, http.MethodPost, roomPath(args[0])+"/"+op, struct{}{}, fmt.Sprintf("%s: %s is done", args[0], op))
		},
	}
}

// do sends an action and says that it was done.
func (o *operatorFlags) do(cmd *cobra.Command, method, path string, body any, done string) error {
	client, err := o.client(cmd)
	if err != nil {
		return err
	}
	if err := client.call(cmd.Context(), method, path, body, nil); err != nil {
		return err
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), done)
	return err
}

func roomPath(room string) string { return "/rooms/" + url.PathEscape(room) }

// parseSettings reads name=value pairs. A value is JSON, or else a text.
func parseSettings(pairs []string) (map[string]any, error) {
	settings := map[string]any{}
	for _, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("%q is not of the form name=value", pair)
		}
		if _, twice := settings[name]; twice {
			return nil, fmt.Errorf("setting %s is given twice", name)
		}
		if json.Valid([]byte(value)) {
			settings[name] = json.RawMessage(value)
		} else {
			settings[name] = value
		}
	}
	return settings, nil
}
