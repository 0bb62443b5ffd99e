package wallet

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
)

const testKey = "a key that nobody else has, of 40 bytes."

// conform is what holds for every Wallet. Accounts begin with 1000.
func conform(t *testing.T, w Wallet) {
	t.Helper()
	ctx := context.Background()
	want := func(why string, do func(context.Context, Transaction) (Answer, error), tr Transaction, code Code, balance int64, repeated bool) {
		t.Helper()
		got, err := do(ctx, tr)
		if err != nil {
			t.Fatalf("%s: %v", why, err)
		}
		if got.Done != (code == "") || got.Code != code || got.Balance != balance || got.Repeated != repeated {
			t.Errorf("%s: got %+v, want code %q, balance %d, repeated %t", why, got, code, balance, repeated)
		}
	}
	take := func(id string, amount int64) Transaction { return Transaction{ID: id, Player: "ann", Amount: amount} }
	want("a withdrawal", w.Withdraw, take("w1", 300), "", 700, false)
	want("the same again", w.Withdraw, take("w1", 300), "", 700, true)
	want("another amount under its ID", w.Withdraw, take("w1", 400), CodeConflict, 700, false)
	want("a deposit under its ID", w.Deposit, take("w1", 300), CodeConflict, 700, false)
	want("more than there is", w.Withdraw, take("w2", 701), CodeFunds, 700, false)
	want("a deposit", w.Deposit, take("d1", 800), "", 1500, false)
	want("what was refused stays refused", w.Withdraw, take("w2", 701), CodeFunds, 700, true)
	want("a rollback", w.Rollback, take("w1", 300), "", 1800, false)
	want("the same rollback", w.Rollback, take("w1", 300), "", 1800, true)
	want("a rollback of what was refused", w.Rollback, take("w2", 701), "", 1800, false)
	want("a rollback of a deposit", w.Rollback, take("d1", 800), CodeConflict, 1800, false)
	want("a rollback before its withdrawal", w.Rollback, take("w3", 100), "", 1800, false)
	want("the withdrawal comes late", w.Withdraw, take("w3", 100), CodeVoided, 1800, true)
	want("nothing", w.Withdraw, take("w4", 0), CodeBadArgs, 1800, false)
	if n, err := w.Balance(ctx, "ann"); err != nil || n != 1800 {
		t.Errorf("balance %d, %v; want 1800", n, err)
	}
	if p, err := w.Authenticate(ctx, "ann"); err != nil || p.ID != "ann" || p.Name != "ann" {
		t.Errorf("authenticate: %+v, %v", p, err)
	}
	if _, err := w.Authenticate(ctx, "no one"); !errors.Is(err, ErrToken) {
		t.Errorf("authenticate a bad token: %v, want ErrToken", err)
	}
}

func TestMemory(t *testing.T) { conform(t, NewMemory(1000)) }

func serve(t *testing.T, h http.Handler) *Client {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	c, err := NewClient(server.URL+"/", []byte(testKey))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestClientAndHandler(t *testing.T) {
	conform(t, serve(t, NewHandler(NewMemory(1000), []byte(testKey), nil)))
}

// TestBelowAPath: what precedes the protocol's paths is not signed.
func TestBelowAPath(t *testing.T) {
	server := httptest.NewServer(http.StripPrefix("/games/tickcast", NewHandler(NewMemory(1000), []byte(testKey), nil)))
	t.Cleanup(server.Close)
	c, err := NewClient(server.URL+"/games/tickcast", []byte(testKey))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	conform(t, c)
}

// recorder keeps the last request and changes answers.
type recorder struct {
	next   http.Handler
	change func(http.ResponseWriter, *http.Request, *recorded)

	path   string
	header http.Header
	body   []byte
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	r.path, r.header = q.URL.Path, q.Header.Clone()
	r.body, _ = io.ReadAll(q.Body)
	q.Body = io.NopCloser(bytes.NewReader(r.body))
	answer := &recorded{header: http.Header{}, status: http.StatusOK}
	r.next.ServeHTTP(answer, q)
	if r.change != nil {
		r.change(w, q, answer)
		return
	}
	answer.copyTo(w)
}

// TestOnlySignedAnswersCount: whatever is not signed for this request leaves it unknown.
func TestOnlySignedAnswersCount(t *testing.T) {
	tr := Transaction{ID: "w", Player: "ann", Amount: 100}
	var earlier *recorded
	for why, change := range map[string]func(http.ResponseWriter, *http.Request, *recorded){
		"the page of a proxy": func(w http.ResponseWriter, _ *http.Request, _ *recorded) {
			_, _ = io.WriteString(w, `{"done":true,"balance":5}`)
		},
		"a body that was changed": func(w http.ResponseWriter, _ *http.Request, a *recorded) {
			a.body = *bytes.NewBuffer(bytes.Replace(a.body.Bytes(), []byte("900"), []byte("901"), 1))
			a.copyTo(w)
		},
		"a status that was changed": func(w http.ResponseWriter, _ *http.Request, a *recorded) {
			a.status = http.StatusUnprocessableEntity
			a.copyTo(w)
		},
		"an answer to another request": func(w http.ResponseWriter, _ *http.Request, a *recorded) {
			if earlier == nil {
				earlier = a
			}
			if earlier == a {
				http.Error(w, "lost", http.StatusBadGateway)
				return
			}
			earlier.copyTo(w)
		},
		"a redirect": func(w http.ResponseWriter, q *http.Request, _ *recorded) {
			http.Redirect(w, q, "/elsewhere", http.StatusTemporaryRedirect)
		},
		"a balance that cannot be": func(w http.ResponseWriter, q *http.Request, a *recorded) {
			a.body = *bytes.NewBufferString(`{"done":true,"balance":-1}`)
			a.header.Set(headerSignature, signAnswer([]byte(testKey), q.Header.Get(headerSignature), a.status, a.body.Bytes()))
			a.copyTo(w)
		},
		"done, with the code of a refusal": func(w http.ResponseWriter, q *http.Request, a *recorded) {
			a.body = *bytes.NewBufferString(`{"done":true,"code":"blocked"}`)
			a.header.Set(headerSignature, signAnswer([]byte(testKey), q.Header.Get(headerSignature), a.status, a.body.Bytes()))
			a.copyTo(w)
		},
	} {
		t.Run(why, func(t *testing.T) {
			c := serve(t, &recorder{next: NewHandler(NewMemory(1000), []byte(testKey), nil), change: change})
			c.now = ticking()
			for range 2 {
				if a, err := c.Withdraw(context.Background(), tr); err == nil {
					t.Errorf("taken for an answer: %+v", a)
				}
			}
		})
	}
}

// ticking is a clock that no two requests see at the same time.
func ticking() func() time.Time {
	n := time.Now()
	return func() time.Time {
		n = n.Add(time.Millisecond)
		return n
	}
}

// TestOnlySignedRequestsCount: nothing moves for what is not signed, or signed for
// something else, or long ago.
func TestOnlySignedRequestsCount(t *testing.T) {
	m := NewMemory(1000)
	h := NewHandler(m, []byte(testKey), nil)
	r := &recorder{next: h}
	c := serve(t, r)
	tr := Transaction{ID: "w", Player: "ann", Amount: 100}
	if _, err := c.Balance(context.Background(), "ann"); err != nil {
		t.Fatal(err)
	}
	body := []byte(`{"id":"w","player":"ann","amount":100}`)
	now := time.Now()
	signed := func(at time.Time, path string, key string) (string, string) {
		ms := strconv.FormatInt(at.UnixMilli(), 10)
		return ms, signRequest([]byte(key), ms, path, body)
	}
	post := func(at, signature string) int {
		q := httptest.NewRequest(http.MethodPost, "/v1/withdraw", bytes.NewReader(body))
		q.Header.Set(headerTime, at)
		q.Header.Set(headerSignature, signature)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, q)
		return w.Code
	}
	for why, sign := range map[string]func() (string, string){
		"nothing": func() (string, string) { return "", "" },
		"another key": func() (string, string) {
			return signed(now, "/v1/withdraw", strings.ToUpper(testKey))
		},
		"another operation": func() (string, string) { return signed(now, "/v1/balance", testKey) },
		"long ago":          func() (string, string) { return signed(now.Add(-MaxSkew-time.Minute), "/v1/withdraw", testKey) },
		"in the future":     func() (string, string) { return signed(now.Add(MaxSkew+time.Minute), "/v1/withdraw", testKey) },
		"another time": func() (string, string) {
			_, s := signed(now, "/v1/withdraw", testKey)
			return strconv.FormatInt(now.UnixMilli()+1, 10), s
		},
		"another body": func() (string, string) { return r.header.Get(headerTime), r.header.Get(headerSignature) },
	} {
		if at, signature := sign(); post(at, signature) != http.StatusUnauthorized {
			t.Errorf("signed: %s: not refused", why)
		}
	}
	if n, err := c.Balance(context.Background(), "ann"); err != nil || n != 1000 {
		t.Errorf("balance %d, %v; want all of it", n, err)
	}
	at, signature := signed(now.Add(-MaxSkew+time.Minute), "/v1/withdraw", testKey)
	for _, status := range []int{http.StatusOK, http.StatusConflict} { // a replay within the window is a repetition
		if got := post(at, signature); got != status {
			t.Errorf("status %d, want %d", got, status)
		}
	}
	if a, err := c.Withdraw(context.Background(), tr); err != nil || !a.Done || a.Balance != 900 {
		t.Errorf("the same by the client: %+v, %v", a, err)
	}
}

// TestSignature is the example of docs/wallet.md.
func TestSignature(t *testing.T) {
	body := []byte(`{"player":"ann"}`)
	request := signRequest([]byte("0123456789abcdef0123456789abcdef"), "1700000000000", "/v1/balance", body)
	answer := signAnswer([]byte("0123456789abcdef0123456789abcdef"), request, 200, []byte(`{"balance":1000}`))
	if want := exampleRequest; request != want {
		t.Errorf("request signed %s, want %s", request, want)
	}
	if want := exampleAnswer; answer != want {
		t.Errorf("answer signed %s, want %s", answer, want)
	}
}

const (
	exampleRequest = "d7580695e89ba9b503ca517d438dc05a72eec08543bca99bd62e71d250942eb9"
	exampleAnswer  = "10db8c552e538aff75e3c07a3d513770b4956295b2b1d8bd34ff6171cdf072e3"
)

func TestNewClientRefuses(t *testing.T) {
	for _, address := range []string{"", "wallet", "ftp://wallet", "http://", "http://wallet?x=1", "http://%zz"} {
		if _, err := NewClient(address, []byte(testKey)); err == nil {
			t.Errorf("%q was accepted", address)
		}
	}
	if _, err := NewClient("http://wallet", []byte("short")); err == nil {
		t.Error("a short key was accepted")
	}
	if _, err := NewClient("ftp://user:hush@wallet", []byte(testKey)); err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("%v, want no password", err)
	}
}

// TestFaults: each fault does what it says.
func TestFaults(t *testing.T) {
	for _, fault := range AllFaults() {
		t.Run(string(fault), func(t *testing.T) {
			m := NewMemory(1000)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			h := NewHandler(m, []byte(testKey), nil)
			f := NewFaults(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				h.ServeHTTP(w, r)
				if fault == FaultTimeout { // it has happened; all the others end the request themselves
					cancel()
				}
			}), 1, 1, []Fault{fault})
			c := serve(t, f)
			a, err := c.Withdraw(ctx, Transaction{ID: "w", Player: "ann", Amount: 100})
			if answered := fault == FaultTwice; answered != (err == nil) || answered && (!a.Done || !a.Repeated) {
				t.Errorf("answer %+v, %v", a, err)
			}
			arrived := fault == FaultReplyLost || fault == FaultTimeout || fault == FaultTwice
			if moved := m.Moves()["w"] == 1; moved != arrived {
				t.Errorf("moved: %t, want %t", moved, arrived)
			}
			f.Flush()
			if moved := m.Moves()["w"] == 1; moved != (arrived || fault == FaultLate) {
				t.Errorf("moved when all has arrived: %t", moved)
			}
			if f.Counts()[fault] != 1 {
				t.Errorf("counts %v", f.Counts())
			}
		})
	}
	if _, err := ParseFaults("late,never"); err == nil {
		t.Error("an unknown fault was accepted")
	}
	if l, err := ParseFaults("late,lost"); err != nil || len(l) != 2 {
		t.Errorf("faults %v, %v", l, err)
	}
}
