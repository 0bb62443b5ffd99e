package wallet

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Fault is something that happens to a request.
type Fault string

// Faults.
const (
	FaultRefused   Fault = "refused"   // 500, and nothing has happened
	FaultLost      Fault = "lost"      // the connection breaks before the request arrives
	FaultReplyLost Fault = "replylost" // it has happened, and nobody hears of it
	FaultTimeout   Fault = "timeout"   // it has happened, and the answer never comes
	FaultTwice     Fault = "twice"     // it arrives twice, and is answered with the second answer
	FaultLate      Fault = "late"      // 504; it arrives behind requests that come later
	FaultForeign   Fault = "foreign"   // 200 with the page of somebody else
)

// AllFaults are all faults.
func AllFaults() []Fault {
	return []Fault{FaultRefused, FaultLost, FaultReplyLost, FaultTimeout, FaultTwice, FaultLate, FaultForeign}
}

const (
	// maxHeld bounds the requests that are late.
	maxHeld = 1000
	// hangMost bounds a time-out: the client has given up by then.
	hangMost = 30 * time.Second
)

// Faults damages the requests of a handler. It is safe for concurrent use; with
// requests that come one by one the same seed does the same.
type Faults struct {
	next  http.Handler
	kinds []Fault

	mu     sync.Mutex // guards the following
	random *rand.Rand
	rate   float64
	held   []heldRequest
	counts map[Fault]int
}

// heldRequest is a request that is late.
type heldRequest struct {
	request *http.Request
	body    []byte
}

// NewFaults damages a share of the requests to next, 0 to 1, each in one of the ways
// of kinds.
func NewFaults(next http.Handler, seed uint64, rate float64, kinds []Fault) *Faults {
	return &Faults{next: next, kinds: kinds, random: rand.New(rand.NewPCG(seed, seed)), rate: rate, counts: map[Fault]int{}}
}

// SetRate changes the share of damaged requests.
func (f *Faults) SetRate(rate float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rate = rate
}

// Counts tells how often each fault has happened.
func (f *Faults) Counts() map[Fault]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := map[Fault]int{}
	for k, n := range f.counts {
		out[k] = n
	}
	return out
}

// ServeHTTP implements http.Handler.
func (f *Faults) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBodyBytes))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	fault, late := f.draw(r, body)
	for _, h := range late {
		f.serve(h.request, h.body)
	}
	switch fault {
	case FaultRefused:
		http.Error(w, "something is wrong", http.StatusInternalServerError)
	case FaultLost:
		panic(http.ErrAbortHandler)
	case FaultReplyLost:
		f.serve(r, body)
		panic(http.ErrAbortHandler)
	case FaultTimeout:
		f.serve(r, body)
		hang(r)
	case FaultTwice:
		f.serve(r, body)
		f.serve(r, body).copyTo(w)
	case FaultLate:
		http.Error(w, "a proxy gave up", http.StatusGatewayTimeout)
	case FaultForeign:
		_, _ = fmt.Fprint(w, `{"done":true,"balance":1}`)
	default:
		f.serve(r, body).copyTo(w)
	}
}

// draw decides what happens to a request, and which late ones arrive before it.
func (f *Faults) draw(r *http.Request, body []byte) (Fault, []heldRequest) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var late []heldRequest
	for len(f.held) > 0 && f.random.Float64() < 0.3 {
		i := f.random.IntN(len(f.held))
		late = append(late, f.held[i])
		f.held = append(f.held[:i], f.held[i+1:]...)
	}
	if len(f.kinds) == 0 || f.random.Float64() >= f.rate {
		return "", late
	}
	fault := f.kinds[f.random.IntN(len(f.kinds))]
	if fault == FaultLate {
		if len(f.held) >= maxHeld {
			fault = FaultRefused
		} else {
			f.held = append(f.held, heldRequest{r.Clone(context.WithoutCancel(r.Context())), body})
		}
	}
	f.counts[fault]++
	return fault, late
}

// Flush lets the requests arrive that are late.
func (f *Faults) Flush() {
	f.mu.Lock()
	held := f.held
	f.held = nil
	f.mu.Unlock()
	for _, h := range held {
		f.serve(h.request, h.body)
	}
}

// serve has a request answered by the handler behind.
func (f *Faults) serve(r *http.Request, body []byte) *recorded {
	again := r.Clone(r.Context())
	again.Body = io.NopCloser(bytes.NewReader(body))
	w := &recorded{header: http.Header{}, status: http.StatusOK}
	f.next.ServeHTTP(w, again)
	return w
}

func hang(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-time.After(hangMost):
	}
}

// ParseFaults reads a list of faults, comma-separated; empty for all.
func ParseFaults(list string) ([]Fault, error) {
	if list == "" {
		return AllFaults(), nil
	}
	var out []Fault
	for s := range strings.SplitSeq(list, ",") {
		known := false
		for _, k := range AllFaults() {
			known = known || string(k) == s
		}
		if !known {
			return nil, fmt.Errorf("wallet: %q is no fault; there are %v", s, AllFaults())
		}
		out = append(out, Fault(s))
	}
	return out, nil
}

// recorded is an answer that nobody was sent yet.
type recorded struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (w *recorded) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *recorded) WriteHeader(status int) { w.status = status }

// Write implements http.ResponseWriter.
func (w *recorded) Write(b []byte) (int, error) { return w.body.Write(b) }

func (w *recorded) copyTo(to http.ResponseWriter) {
	for k, v := range w.header {
		to.Header()[k] = v
	}
	to.WriteHeader(w.status)
	_, _ = to.Write(w.body.Bytes())
}
