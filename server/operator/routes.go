package operator

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

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
		writeJSON(w, map[string]any{"nodes": a.nodes.list(time.Now())})
	})
	mux.HandleFunc("GET /api/partitions", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, map[string]any{"partitions": partitionsOf(a.nodes.list(time.Now()))})
	})
	mux.HandleFunc("GET /api/audit", a.query(wire.QueryAudit))
	mux.HandleFunc("GET /api/sessions", a.query(wire.QuerySessions))
	mux.HandleFunc("GET /api/ledger", a.query(wire.QueryHealth))
	mux.HandleFunc("GET /api/log", a.getLog)
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		writeError(w, http.StatusNotFound, wire.Errorf(wire.CodeUnknownOp, "the operator API has no %s %s", r.Method, r.URL.Path))
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
	writeJSON(w, map[string]any{"rooms": list})
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
		writeError(w, http.StatusBadRequest, wire.Errorf(wire.CodeBadArgs, "the uuid of a room is drawn by the server"))
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
	var settings json.RawMessage
	if readBody(w, r, &settings) {
		a.roomAction(w, r, r.PathValue("id"), wire.ActionSet, settings)
	}
}

// getSettings reads the settings in force, and the next ones, off the room's view.
func (a *API) getSettings(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if !wire.ValidRoomID(id) {
		writeError(w, http.StatusBadRequest, wire.Errorf(wire.CodeBadRoom, "%q is not a room ID", id))
		return
	}
	var reply wire.AskReply
	if err := a.actions.request(r.Context(), wire.AskSubject(a.partitionOf(id)), wire.Ask{Op: wire.AskSnapshot, Room: id}, &reply); err != nil {
		writeError(w, http.StatusServiceUnavailable, wire.Errorf(wire.CodeUnavailable, "the room's owner does not answer: %v", err))
		return
	}
	if reply.Error != nil {
		writeError(w, statusOf(reply.Error.Code), reply.Error)
		return
	}
	var view struct {
		Settings json.RawMessage `json:"settings"`
		Next     json.RawMessage `json:"next_settings"`
	}
	if err := json.Unmarshal(reply.View, &view); err != nil {
		writeError(w, http.StatusInternalServerError, wire.Errorf(wire.CodeUnavailable, "the room's view does not parse: %v", err))
		return
	}
	writeJSON(w, map[string]any{"settings": view.Settings, "next_settings": view.Next})
}

func (a *API) roomAction(w http.ResponseWriter, r *http.Request, id, op string, args any) {
	if !wire.ValidRoomID(id) {
		writeError(w, http.StatusBadRequest, wire.Errorf(wire.CodeBadRoom, "%q is not a room ID: want [a-z0-9][a-z0-9_-]{0,63}", id))
		return
	}
	a.act(w, r, order{partition: a.partitionOf(id), room: id, op: op, args: args})
}

// postPlayer credits, mutes or kicks a player. Actions on a player go to the cashier
// of the partition that the player's own cashier commands go to.
func (a *API) postPlayer(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Amount  int64  `json:"amount"`
		Until   int64  `json:"until"`
		Seconds *int64 `json:"seconds"`
		Reason  string `json:"reason"`
	}
	if !readBody(w, r, &body) {
		return
	}
	player, op := r.PathValue("id"), r.PathValue("op")
	if !wire.ValidPlayer(player) {
		writeError(w, http.StatusBadRequest, wire.Errorf(wire.CodeBadArgs, "%q is not a player ID", player))
		return
	}
	if body.Seconds != nil {
		if *body.Seconds < 0 || *body.Seconds > mostSeconds {
			writeError(w, http.StatusBadRequest, wire.Errorf(wire.CodeBadArgs, "seconds must be from 0, which ends it, to %d", mostSeconds))
			return
		}
		body.Until = 0
		if *body.Seconds > 0 {
			body.Until = time.Now().Add(time.Duration(*body.Seconds) * time.Second).UnixMilli()
		}
	}
	switch op {
	case wire.ActionCredit, wire.ActionMute, wire.ActionKick:
	default:
		writeError(w, http.StatusNotFound, wire.Errorf(wire.CodeUnknownOp, "players can be credited, muted and kicked, not %q", op))
		return
	}
	a.act(w, r, order{
		partition: a.partitionOf(player), room: wire.CashierRoom, op: op,
		args: wire.PlayerArgs{Player: player, Amount: body.Amount, Until: body.Until, Reason: body.Reason},
	})
}

func (a *API) act(w http.ResponseWriter, r *http.Request, o order) {
	o.operator = r.Header.Get("X-Operator")
	if o.operator == "" {
		o.operator = defaultOperator
	}
	if !wire.ValidText(o.operator, maxOperatorBytes) {
		writeError(w, http.StatusBadRequest, wire.Errorf(wire.CodeBadArgs, "X-Operator must be 1 to %d bytes of text", maxOperatorBytes))
		return
	}
	if refusal := a.actions.perform(r.Context(), o); refusal != nil {
		writeError(w, statusOf(refusal.Code), refusal)
		return
	}
	a.log.Info("operator", "op", o.op, "room", o.room, "operator", o.operator)
	writeJSON(w, map[string]any{"ok": true})
}

func (a *API) partitionOf(id string) int { return wire.PartitionOf(id, a.cfg.Partitions) }

// query passes a question on to the ledger.
func (a *API) query(op string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		values := r.URL.Query()
		q := wire.LedgerQuery{Op: op, Before: values.Get("before"), Room: values.Get("room"), Player: values.Get("player")}
		if s := values.Get("limit"); s != "" {
			n, err := strconv.Atoi(s)
			if err != nil || n < 1 || n > 100 {
				writeError(w, http.StatusBadRequest, wire.Errorf(wire.CodeBadArgs, "limit must be from 1 to 100"))
				return
			}
			q.Limit = n
		}
		var reply wire.LedgerReply
		if err := a.actions.request(r.Context(), wire.LedgerQuerySubject, q, &reply); err != nil {
			writeError(w, http.StatusServiceUnavailable, wire.Errorf(wire.CodeUnavailable, "no ledger worker answers: %v", err))
			return
		}
		if reply.Error != nil {
			writeError(w, statusOf(reply.Error.Code), reply.Error)
			return
		}
		writeJSON(w, reply.Data)
	}
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
	names := []string{wire.StreamLedger, wire.StreamChat, wire.StreamSessions}
	for p := range a.cfg.Partitions {
		names = append(names, wire.PartitionStream(p))
	}
	ctx, cancel := context.WithTimeout(r.Context(), actionTimeout/2)
	defer cancel()
	states := make([]streamState, 0, len(names))
	for _, name := range names {
		states = append(states, a.streamState(ctx, name))
	}
	writeJSON(w, map[string]any{"streams": states})
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
		writeError(w, http.StatusBadRequest, wire.Errorf(wire.CodeBadArgs, "body: %v", err))
		return false
	}
	return true
}

func statusOf(c wire.Code) int {
	switch c {
	case wire.CodeNoRoom, wire.CodeUnknownRoom:
		return http.StatusNotFound
	case wire.CodeRoomExists, wire.CodeAlreadyRunning, wire.CodeNotRunning, wire.CodeConflict, wire.CodeWrongPhase:
		return http.StatusConflict
	case wire.CodeUnavailable, wire.CodeTemporarilyUnavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_ = json.NewEncoder(w).Encode(v)
}

func writeError(w http.ResponseWriter, status int, e *wire.Error) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]*wire.Error{"error": e})
}
