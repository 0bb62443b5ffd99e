package operator

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/google/uuid"

	"tickcast/server/internal/rest"
	"tickcast/wire"
)

const (
	// maxBodyBytes bounds the body of a request: an action must fit a log record.
	maxBodyBytes = 16 << 10
	// maxOperatorBytes bounds an operator's name.
	maxOperatorBytes = 64
	defaultOperator  = "operator"
	// mostSeconds bounds how long a mute or kick can last: a century is "for good".
	mostSeconds = 100 * 365 * 24 * 3600
)

func (a *API) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/rooms", a.getRooms)
	mux.HandleFunc("POST /api/rooms", a.postRoom)
	mux.HandleFunc("GET /api/rooms/{id}/settings", a.getSettings)
	mux.HandleFunc("PATCH /api/rooms/{id}/settings", a.patchSettings)
	for _, op := range []string{wire.ActionStart, wire.ActionPause, wire.ActionResume, wire.ActionVoid, wire.ActionClose} {
		mux.HandleFunc("POST /api/rooms/{id}/"+op, a.postRoomAction(op))
	}
	mux.HandleFunc("POST /api/players/{id}/{op}", a.postPlayer)
	mux.HandleFunc("GET /api/nodes", func(w http.ResponseWriter, _ *http.Request) {
		rest.OK(w, map[string]any{"nodes": a.nodes.list(time.Now())})
	})
	mux.HandleFunc("GET /api/partitions", func(w http.ResponseWriter, _ *http.Request) {
		rest.OK(w, map[string]any{"partitions": partitionsOf(a.nodes.list(time.Now()))})
	})
	mux.HandleFunc("GET /api/audit", a.query(wire.QueryAudit))
	mux.HandleFunc("GET /api/sessions", a.query(wire.QuerySessions))
	mux.HandleFunc("GET /api/ledger", a.query(wire.QueryHealth))
	mux.HandleFunc("GET /api/wallet", a.query(wire.QueryWallet))
	for _, op := range []string{wire.WalletRetry, wire.WalletDone, wire.WalletDenied} {
		mux.HandleFunc("POST /api/wallet/"+op, a.postWallet(op))
	}
	mux.HandleFunc("GET /api/log", a.getLog)
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		rest.ErrorStatus(w, http.StatusNotFound, wire.Errorf(wire.CodeUnknownOp, "the operator API has no %s %s", r.Method, r.URL.Path))
	})
	return mux
}

type listedRoom struct {
	wire.RoomInfo
	Players int `json:"players"`
}

func (a *API) getRooms(w http.ResponseWriter, _ *http.Request) {
	players := a.nodes.players(time.Now())
	list := []listedRoom{}
	for _, info := range a.rooms.list() {
		list = append(list, listedRoom{info, players[info.ID]})
	}
	rest.OK(w, map[string]any{"rooms": list})
}

func (a *API) postRoom(w http.ResponseWriter, r *http.Request) {
	var body struct {
		ID string `json:"id"`
		wire.CreateArgs
	}
	if !readBody(w, r, &body) {
		return
	}
	if body.UUID != "" {
		rest.Error(w, wire.Errorf(wire.CodeBadArgs, "the uuid of a room is drawn by the server"))
		return
	}
	body.UUID = uuid.Must(uuid.NewV7()).String()
	a.roomAction(w, r, body.ID, wire.ActionCreate, body.CreateArgs)
}

func (a *API) postRoomAction(op string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var none struct{}
		if readBody(w, r, &none) {
			a.roomAction(w, r, r.PathValue("id"), op, nil)
		}
	}
}

func (a *API) patchSettings(w http.ResponseWriter, r *http.Request) {
	var settings map[string]json.RawMessage
	if !readBody(w, r, &settings) {
		return
	}
	if len(settings) == 0 {
		rest.Error(w, wire.Errorf(wire.CodeBadArgs, "the body names no setting"))
		return
	}
	a.roomAction(w, r, r.PathValue("id"), wire.ActionSet, settings)
}

// getSettings reads the settings in force, and the next ones, off the room's view.
func (a *API) getSettings(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if !wire.ValidRoomID(id) {
		rest.Error(w, wire.Errorf(wire.CodeBadRoom, "%q is not a room ID", id))
		return
	}
	reply, err := a.peer.Owner(r.Context(), a.partitionOf(id), wire.Ask{Op: wire.AskSnapshot, Room: id})
	if err != nil {
		a.refuse(w, err, "the room's owner does not answer")
		return
	}
	var view struct {
		Settings json.RawMessage `json:"settings"`
		Next     json.RawMessage `json:"next_settings"`
	}
	if err := json.Unmarshal(reply.View, &view); err != nil {
		rest.Error(w, wire.Errorf(wire.CodeUnavailable, "the room's view does not parse: %v", err))
		return
	}
	rest.OK(w, map[string]any{"settings": view.Settings, "next_settings": view.Next})
}

func (a *API) roomAction(w http.ResponseWriter, r *http.Request, id, op string, args any) {
	if !wire.ValidRoomID(id) {
		rest.Error(w, wire.Errorf(wire.CodeBadRoom, "%q is not a room ID: want [a-z0-9][a-z0-9_-]{0,63}", id))
		return
	}
	a.act(w, r, order{partition: a.partitionOf(id), room: id, op: op, args: args})
}

// postPlayer credits, mutes or kicks a player. Actions on a player go to the cashier
// of the partition that the player's own cashier commands go to.
func (a *API) postPlayer(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Amount  int64  `json:"amount"`
		Until   *int64 `json:"until"`
		Seconds *int64 `json:"seconds"`
		Reason  string `json:"reason"`
	}
	if !readBody(w, r, &body) {
		return
	}
	player, op := r.PathValue("id"), r.PathValue("op")
	if !wire.ValidPlayer(player) {
		rest.Error(w, wire.Errorf(wire.CodeBadArgs, "%q is not a player ID", player))
		return
	}
	args := wire.PlayerArgs{Player: player, Amount: body.Amount, Reason: body.Reason}
	switch op {
	case wire.ActionCredit:
	case wire.ActionMute, wire.ActionKick:
		var refusal *wire.Error
		if args.Until, refusal = sanctionEnd(body.Until, body.Seconds, time.Now()); refusal != nil {
			rest.Error(w, refusal)
			return
		}
	default:
		rest.ErrorStatus(w, http.StatusNotFound, wire.Errorf(wire.CodeUnknownOp, "players can be credited, muted and kicked, not %q", op))
		return
	}
	a.act(w, r, order{partition: a.partitionOf(player), room: wire.CashierRoom, op: op, args: args})
}

// sanctionEnd is when a sanction ends in Unix ms, 0 to end it at once. It has to be said: a
// forgotten field would lift the sanction that was meant to begin.
func sanctionEnd(until, seconds *int64, now time.Time) (int64, *wire.Error) {
	switch {
	case (until == nil) == (seconds == nil):
		return 0, wire.Errorf(wire.CodeBadArgs, "give until, in Unix milliseconds, or seconds; 0 ends it")
	case until != nil:
		return *until, nil
	case *seconds < 0 || *seconds > mostSeconds:
		return 0, wire.Errorf(wire.CodeBadArgs, "seconds must be from 0, which ends it, to %d", mostSeconds)
	case *seconds == 0:
		return 0, nil
	}
	return now.Add(time.Duration(*seconds) * time.Second).UnixMilli(), nil
}

// postWallet gives the ledger an order about a call of the wallet.
func (a *API) postWallet(op string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			ID     string `json:"id"`
			Reason string `json:"reason"`
		}
		if !readBody(w, r, &body) {
			return
		}
		who, ok := operatorOf(w, r)
		if !ok {
			return
		}
		if err := a.peer.Order(r.Context(), wire.WalletOrder{Op: op, ID: body.ID, Operator: who, Reason: body.Reason}); err != nil {
			a.refuse(w, err, "no ledger worker with a wallet answers")
			return
		}
		a.log.Info("operator", "op", "wallet "+op, "id", body.ID, "operator", who)
		rest.OK(w, map[string]any{"ok": true})
	}
}

// operatorOf is who acts, or the answer says what is wrong with the name.
func operatorOf(w http.ResponseWriter, r *http.Request) (string, bool) {
	who := r.Header.Get("X-Operator")
	if who == "" {
		who = defaultOperator
	}
	if !wire.ValidText(who, maxOperatorBytes) {
		rest.Error(w, wire.Errorf(wire.CodeBadArgs, "X-Operator must be 1 to %d bytes of text", maxOperatorBytes))
		return "", false
	}
	return who, true
}

func (a *API) act(w http.ResponseWriter, r *http.Request, o order) {
	who, ok := operatorOf(w, r)
	if !ok {
		return
	}
	o.operator = who
	if refusal := a.actions.perform(r.Context(), o); refusal != nil {
		rest.Error(w, refusal)
		return
	}
	a.log.Info("operator", "op", o.op, "room", o.room, "operator", o.operator)
	rest.OK(w, map[string]any{"ok": true})
}

func (a *API) partitionOf(id string) int { return wire.PartitionOf(id, a.cfg.Partitions) }

// query passes a question on to the ledger.
func (a *API) query(op string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		values := r.URL.Query()
		q := wire.LedgerQuery{Op: op, Room: values.Get("room"), Player: values.Get("player")}
		if e := rest.Page(values, &q); e != nil {
			rest.Error(w, e)
			return
		}
		var data json.RawMessage
		if err := a.peer.Ledger(r.Context(), q, &data); err != nil {
			a.refuse(w, err, "no ledger worker answers")
			return
		}
		rest.OK(w, data)
	}
}

// refuse answers with the refusal in err, or says what could not be had.
func (a *API) refuse(w http.ResponseWriter, err error, what string) {
	var e *wire.Error
	if !errors.As(err, &e) {
		e = wire.Errorf(wire.CodeUnavailable, "%s: %v", what, err)
	}
	rest.Error(w, e)
}

// streamState is one stream of the log.
type streamState struct {
	Name     string `json:"name"`
	Messages uint64 `json:"messages"`
	Bytes    uint64 `json:"bytes"`
	FirstSeq uint64 `json:"first_seq"`
	LastSeq  uint64 `json:"last_seq"`
	Replicas int    `json:"replicas"`
	Leader   string `json:"leader,omitempty"` // in a cluster
	Error    string `json:"error,omitempty"`
}

func (a *API) getLog(w http.ResponseWriter, r *http.Request) {
	names := []string{wire.StreamLedger, wire.StreamChat, wire.StreamSessions, "OBJ_" + wire.BucketArchive}
	for p := range a.cfg.Partitions {
		names = append(names, wire.PartitionStream(p))
	}
	ctx, cancel := context.WithTimeout(r.Context(), actionTimeout/2)
	defer cancel()
	states := make([]streamState, 0, len(names))
	for _, name := range names {
		states = append(states, a.streamState(ctx, name))
	}
	rest.OK(w, map[string]any{"streams": states})
}

func (a *API) streamState(ctx context.Context, name string) streamState {
	s, err := a.js.Stream(ctx, name)
	if err != nil {
		return streamState{Name: name, Error: err.Error()}
	}
	info := s.CachedInfo()
	state := streamState{
		Name: name, Messages: info.State.Msgs, Bytes: info.State.Bytes,
		FirstSeq: info.State.FirstSeq, LastSeq: info.State.LastSeq, Replicas: info.Config.Replicas,
	}
	if info.Cluster != nil {
		state.Leader = info.Cluster.Leader
	}
	return state
}

// readBody decodes a JSON body, refusing fields that are not known. An empty body
// is an empty object.
func readBody(w http.ResponseWriter, r *http.Request, v any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBodyBytes))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil && d.More() {
		err = errors.New("more than one value")
	}
	if err != nil && !errors.Is(err, io.EOF) {
		rest.Error(w, wire.Errorf(wire.CodeBadArgs, "body: %s", rest.Decoding(err)))
		return false
	}
	return true
}
