package operator

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/server/internal/peer"
	"tickcast/server/internal/rest"
	"tickcast/server/kvwatch"
	"tickcast/wire"
)

// minKeyBytes is the least length of the operator's key. Keys that are drawn have
// 256 bits.
const minKeyBytes = 16

// Config configures an API. ID, Conn and Key are needed.
type Config struct {
	ID         string       // this process's ID, a subject token, unique in the deployment
	Conn       *nats.Conn   // as the operator role
	Partitions int          // 0 means wire.DefaultPartitions
	Key        string       // the operator's key, at least 16 bytes
	Hosts      []string     // host names under which the listener may be asked, besides addresses and localhost
	Console    http.Handler // serves /console and /static/; nil serves no pages
	Log        *slog.Logger // nil discards
}

func (c *Config) validate() error {
	switch {
	case !wire.ValidNode(c.ID):
		return fmt.Errorf("operator API: ID %q is not 1 to 64 letters, digits, _ and -", c.ID)
	case c.Conn == nil:
		return errors.New("operator API: no NATS connection")
	case len(c.Key) < minKeyBytes:
		return fmt.Errorf("operator API: the key has %d bytes, want at least %d", len(c.Key), minKeyBytes)
	case c.Partitions < 0 || c.Partitions > wire.MaxPartitions:
		return fmt.Errorf("operator API: %d partitions, want 1 to %d", c.Partitions, wire.MaxPartitions)
	}
	return nil
}

// API is the operator API of one process.
type API struct {
	cfg     Config // Static after New.
	js      jetstream.JetStream
	peer    *peer.Peer
	log     *slog.Logger
	rooms   *rooms
	nodes   *nodes
	actions *actions
}

// New makes an API; Run starts what it needs.
func New(cfg Config) (*API, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.Partitions == 0 {
		cfg.Partitions = wire.DefaultPartitions
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	js, err := jetstream.New(cfg.Conn)
	if err != nil {
		return nil, fmt.Errorf("operator API: %w", err)
	}
	p := peer.New(cfg.Conn, js)
	return &API{cfg: cfg, js: js, peer: p, log: cfg.Log, rooms: newRooms(), nodes: newNodes(), actions: newActions(cfg.ID, p)}, nil
}

// Run listens for answers, nodes and rooms until ctx ends. It returns after every
// goroutine it started.
func (a *API) Run(ctx context.Context) error {
	for subject, f := range map[string]nats.MsgHandler{
		wire.AnswerSubject(a.cfg.ID): a.actions.answered,
		wire.NodeSubject("*", "*"):   func(m *nats.Msg) { a.nodes.heard(m, time.Now()) },
		wire.PresenceSubject("*"):    func(m *nats.Msg) { a.nodes.counted(m, time.Now()) },
	} {
		sub, err := a.cfg.Conn.Subscribe(subject, f)
		if err != nil {
			return fmt.Errorf("operator API: subscribe to %s: %w", subject, err)
		}
		defer func() { _ = sub.Unsubscribe() }()
	}
	kvwatch.Follow(ctx, a.js, wire.BucketRooms, a.rooms.apply, a.rooms.caughtUp)
	return nil
}

// Ready tells why the API cannot work yet, or "".
func (a *API) Ready() string {
	if !a.rooms.ready() {
		return "the room directory is not loaded"
	}
	return ""
}

// Handler serves /console, /static/, /api/ and /debug/pprof/.
func (a *API) Handler() http.Handler {
	mux := http.NewServeMux()
	if a.cfg.Console != nil {
		mux.Handle("/console", a.cfg.Console)
		mux.Handle("/static/", a.cfg.Console)
	}
	mux.Handle("/api/", a.guarded(a.routes()))
	mux.Handle("/debug/pprof/", a.guarded(profiles()))
	return a.sameHost(mux)
}

func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

// guarded wants the operator's key as a bearer token. It is never a cookie, so no
// other page can make a browser send it.
func (a *API) guarded(next http.Handler) http.Handler {
	want := sha256.Sum256([]byte(a.cfg.Key))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		got := sha256.Sum256([]byte(key)) // of equal length, or the time would tell the key's
		if !ok || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="operator"`)
			rest.ErrorStatus(w, http.StatusUnauthorized, wire.Errorf(wire.CodeForbidden, "this needs the operator's key as a bearer token"))
			return
		}
		next.ServeHTTP(w, r)
	})
}

// sameHost refuses a request under a host name that is not ours, which is how a
// page elsewhere reaches a listener on this machine by rebinding its own name, and
// one that another origin's page sent.
func (a *API) sameHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !a.knownHost(r.Host) {
			rest.ErrorStatus(w, http.StatusMisdirectedRequest, wire.Errorf(wire.CodeForbidden, "%q is not a name of this listener", r.Host))
			return
		}
		if origin := r.Header.Get("Origin"); origin != "" {
			if u, err := url.Parse(origin); err != nil || !strings.EqualFold(u.Host, r.Host) {
				rest.ErrorStatus(w, http.StatusForbidden, wire.Errorf(wire.CodeForbidden, "pages of %s may not ask this listener", origin))
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

func (a *API) knownHost(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	return strings.EqualFold(host, "localhost") || net.ParseIP(strings.Trim(host, "[]")) != nil || slices.ContainsFunc(a.cfg.Hosts, func(h string) bool { return strings.EqualFold(h, host) })
}
