package wallet

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"tickcast/wire"
)

// pathPrefix precedes the operations in the address of a wallet.
const pathPrefix = "/v1/"

type authenticateRequest struct {
	Token string `json:"token"`
}

type authenticateAnswer struct {
	Player string `json:"player"` // empty when the token stands for nobody
	Name   string `json:"name"`
}

type balanceRequest struct {
	Player string `json:"player"`
}

type balanceAnswer struct {
	Balance int64 `json:"balance"`
}

// handler serves a Wallet.
type handler struct {
	wallet Wallet
	key    []byte
	now    func() time.Time
	log    *slog.Logger
}

// NewHandler serves a wallet by the protocol: what an operator's side does. It answers
// 200, 422 for a refusal, 409 with the first answer to a transaction that was asked for
// before; 401 for what is not signed; 503 when the
// wallet has no definite answer. Log may be nil.
func NewHandler(w Wallet, key []byte, log *slog.Logger) http.Handler {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	h := &handler{wallet: w, key: key, now: time.Now, log: log}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+pathPrefix+"authenticate", h.authenticate)
	mux.HandleFunc("POST "+pathPrefix+"balance", h.balance)
	mux.HandleFunc("POST "+pathPrefix+"{op}", h.transact)
	return mux
}

func (h *handler) authenticate(w http.ResponseWriter, r *http.Request) {
	var request authenticateRequest
	if !h.read(w, r, &request) {
		return
	}
	p, err := h.wallet.Authenticate(r.Context(), request.Token)
	if errors.Is(err, ErrToken) {
		p, err = wire.Player{}, nil
	}
	h.write(w, r, authenticateAnswer{p.ID, p.Name}, err)
}

func (h *handler) balance(w http.ResponseWriter, r *http.Request) {
	var request balanceRequest
	if !h.read(w, r, &request) {
		return
	}
	n, err := h.wallet.Balance(r.Context(), request.Player)
	h.write(w, r, balanceAnswer{n}, err)
}

func (h *handler) transact(w http.ResponseWriter, r *http.Request) {
	var t Transaction
	if !h.read(w, r, &t) {
		return
	}
	var answer Answer
	var err error
	switch op := r.PathValue("op"); op {
	case "withdraw":
		answer, err = h.wallet.Withdraw(r.Context(), t)
	case "deposit":
		answer, err = h.wallet.Deposit(r.Context(), t)
	case "rollback":
		answer, err = h.wallet.Rollback(r.Context(), t)
	default:
		http.Error(w, "there is no operation "+op, http.StatusNotFound)
		return
	}
	h.log.Info("wallet", "op", r.PathValue("op"), "id", t.ID, "player", t.Player, "amount", t.Amount,
		"done", answer.Done, "code", answer.Code, "balance", answer.Balance, "err", err)
	h.write(w, r, answer, err)
}

// read checks a request and decodes its body.
func (h *handler) read(w http.ResponseWriter, r *http.Request, v any) bool {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBodyBytes))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return false
	}
	if err := checkRequest(h.key, r.Header.Get(headerTime), r.URL.Path, r.Header.Get(headerSignature), body, h.now()); err != nil {
		http.Error(w, err.Error(), http.StatusUnauthorized)
		return false
	}
	if err := json.Unmarshal(body, v); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return false
	}
	return true
}

func (h *handler) write(w http.ResponseWriter, r *http.Request, v any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	status := http.StatusOK
	if a, ok := v.(Answer); ok && a.Repeated {
		status = http.StatusConflict
	} else if ok && !a.Done {
		status = http.StatusUnprocessableEntity
	}
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set(headerSignature, signAnswer(h.key, r.Header.Get(headerSignature), status, body))
	w.WriteHeader(status)
	_, _ = w.Write(body) // who does not hear it asks again
}
