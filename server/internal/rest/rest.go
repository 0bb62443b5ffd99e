package rest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"tickcast/wire"
)

const (
	// maxPage and defaultPage bound the lists of an API.
	maxPage     = 100
	defaultPage = 50
	// maxCursorBytes bounds a cursor, which is the ledger's to judge.
	maxCursorBytes = 128
)

// OK answers with v, a value of our own types, which must marshal.
func OK(w http.ResponseWriter, v any) { write(w, http.StatusOK, v) }

// Error answers with a refusal and the status that fits its code.
func Error(w http.ResponseWriter, e *wire.Error) { ErrorStatus(w, status(e.Code), e) }

// ErrorStatus answers with a refusal and a status.
func ErrorStatus(w http.ResponseWriter, status int, e *wire.Error) {
	write(w, status, map[string]any{"error": e})
}

func write(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic("rest: marshal: " + err.Error())
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // the client went away; there is nobody to tell
}

// status is the HTTP status that fits a code.
func status(c wire.Code) int {
	switch c {
	case wire.CodeInvalidToken:
		return http.StatusUnauthorized
	case wire.CodeForbidden, wire.CodeGuestsOff:
		return http.StatusForbidden
	case wire.CodeUnknownRoom, wire.CodeNoRoom:
		return http.StatusNotFound
	case wire.CodeRoomExists, wire.CodeNotRunning, wire.CodeAlreadyRunning, wire.CodeConflict, wire.CodeWrongPhase:
		return http.StatusConflict
	case wire.CodeRateLimited:
		return http.StatusTooManyRequests
	case wire.CodeUnavailable, wire.CodeTemporarilyUnavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusBadRequest
}

// Page reads which page of a list a request asks for into q.
func Page(query url.Values, q *wire.LedgerQuery) *wire.Error {
	q.Limit, q.Before = defaultPage, query.Get("before")
	if s := query.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > maxPage {
			return wire.Errorf(wire.CodeBadArgs, "limit is 1 to %d", maxPage)
		}
		q.Limit = n
	}
	if len(q.Before) > maxCursorBytes {
		return wire.Errorf(wire.CodeBadArgs, "before is the next of the page before")
	}
	return nil
}
