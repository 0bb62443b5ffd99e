package server

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"golang.org/x/time/rate"

	"tickcast/fanout"
	"tickcast/server/internal/peer"
	"tickcast/server/kvwatch"
	"tickcast/wire"
)

// Gateway holds the players' connections of one process. Make it with New; its
// methods may be called concurrently.
type Gateway struct {
	cfg     Config              // Static.
	js      jetstream.JetStream // Static.
	peer    *peer.Peer          // Static.
	appends *peer.Appends       // Static.
	keys    tokenKeys           // Static.
	metrics *metrics            // Static.
	started time.Time           // Static.
	handler http.Handler        // Static.

	// Static; each guards itself.
	hub       *fanout.Hub
	wheel     *wheel
	pings     pings // Owned by the wheel.
	admission *admission
	guests    *keyedLimiter
	players   *players
	directory *directory
	sanctions *sanctions
	feeds     *feeds
	presence  *presence
	commands  *commands
	chat      *chatter
	balances  *balances
	store     *store
	events    *eventLog
	unlooked  rate.Sometimes // of what is logged of sessions that cannot be looked up

	life context.Context // Static. Ends when nothing of the gateway may go on.
	stop context.CancelFunc

	mu      sync.Mutex // guards running, stopped, and adding to work
	running bool
	stopped bool
	work    sync.WaitGroup // goroutines that Run waits for
}

// New checks the configuration and builds a gateway. It starts nothing.
func New(cfg Config) (*Gateway, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	js, err := jetstream.New(cfg.Conn)
	if err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	g := &Gateway{
		cfg: cfg, js: js, keys: tokenKeys{cfg.Secret, cfg.PreviousSecret},
		metrics: newMetrics(cfg.Metrics), started: time.Now(),
		wheel: newWheel(), admission: &admission{most: cfg.MaxConnections},
		guests: newKeyedLimiter(tokenBuckets(cfg.GuestsPerSecond, cfg.GuestBurst)), players: newPlayers(cfg.MaxPerPlayer),
		presence: newPresence(cfg.ID), unlooked: rate.Sometimes{Interval: cacheWarning},
	}
	g.peer = peer.New(cfg.Conn, js)
	g.appends = peer.NewAppends(cfg.Conn, g.metrics.publishRetries.Inc)
	g.life, g.stop = context.WithCancel(context.Background())
	g.feeds = newFeeds(g)
	sockets := cfg.Fanout
	sockets.OnLost, sockets.Metrics = g.feeds.lost, cfg.Metrics
	g.hub = fanout.NewHub(sockets)
	g.directory = newDirectory(g.feeds.doubt)
	g.sanctions = newSanctions(g.kick)
	g.commands = newCommands(g)
	g.chat = newChatter(g)
	g.balances = newBalances(g)
	g.store = newStore(cfg.Cache, g.metrics.dropped.WithLabelValues("session").Inc, func(error) { g.metrics.cacheErrors.Inc() })
	g.events = newEventLog(js, cfg.ID, g.metrics.dropped.WithLabelValues("event").Inc)
	g.handler = g.routes()
	g.gauges()
	return g, nil
}

// gauges registers what is read when metrics are scraped.
func (g *Gateway) gauges() {
	f := promauto.With(g.cfg.Metrics)
	gauge := func(name, help string, read func() float64) {
		f.NewGaugeFunc(prometheus.GaugeOpts{Name: "tickcast_" + name, Help: help}, read)
	}
	gauge("connections", "Open connections.", func() float64 { return float64(g.admission.connections()) })
	gauge("connections_capacity", "Connection cap.", func() float64 { return float64(g.cfg.MaxConnections) })
	gauge("demand", "Connections, and those refused for lack of room within ten seconds.", func() float64 {
		return float64(g.admission.demand(time.Now()))
	})
}

// ID is the gateway's ID.
func (g *Gateway) ID() string { return g.cfg.ID }

// PublicHandler serves the public listener: pages, /ws and the read-only API.
func (g *Gateway) PublicHandler() http.Handler { return g.handler }

// Ready reports whether clients should be sent here, and else why not.
// Connections that are there go on in any case.
func (g *Gateway) Ready() (bool, []string) {
	var why []string
	if !g.isRunning() {
		why = append(why, "not running")
	}
	if g.admission.isDraining() {
		why = append(why, "draining")
	}
	if g.admission.connections() >= g.cfg.MaxConnections {
		why = append(why, "full")
	}
	if !g.cfg.Conn.IsConnected() {
		why = append(why, "not connected to NATS")
	}
	if !g.directory.ready() {
		why = append(why, "room directory not loaded")
	}
	return len(why) == 0, why
}

// Run serves until ctx ends. Then it closes all connections with wire.CloseShutdown, stores
// what there is to store and returns when every goroutine has. It is called once.
func (g *Gateway) Run(ctx context.Context) error {
	answers, err := g.subscribe()
	if err != nil {
		return fmt.Errorf("gateway %s: %w", g.cfg.ID, err)
	}
	defer g.stop()
	var serving, archive sync.WaitGroup
	end, endArchive := context.WithCancel(context.WithoutCancel(ctx))
	defer endArchive()
	archive.Go(func() { g.store.run(end) })
	archive.Go(func() { g.events.run(end) })
	hub, endHub := context.WithCancel(context.WithoutCancel(ctx))
	defer endHub()
	serving.Go(func() { _ = g.hub.Run(hub) })
	for _, loop := range []func(context.Context){g.wheel.run, g.appends.Run, g.commands.run, g.balances.run, g.balances.copy, g.beat, g.feeds.run, g.watchConnection, g.followDirectory, g.followSanctions} {
		serving.Go(func() { loop(g.life) })
	}
	g.setRunning()

	<-ctx.Done()
	g.admission.close()
	g.closeAll(wire.CloseShutdown, "the gateway stops")
	g.waitForSessions()
	g.stop()
	endHub()
	for _, s := range answers {
		_ = s.Unsubscribe() // fails on a closed connection only
	}
	g.mu.Lock()
	g.stopped = true
	g.mu.Unlock()
	g.work.Wait()
	serving.Wait()
	endArchive()
	archive.Wait()
	return nil
}

// subscribe subscribes to what concerns the whole gateway.
func (g *Gateway) subscribe() ([]*nats.Subscription, error) {
	var subs []*nats.Subscription
	for subject, handle := range map[string]nats.MsgHandler{
		wire.AnswerSubject(g.cfg.ID): g.commands.answer,
		g.appends.Answers():          g.appends.Answered,
		wire.PresenceSubject("*"):    g.presence.heard,
		wire.RingSubject(g.cfg.ID):   g.feeds.give,
		// The cashiers of all partitions: credits reach a player in any room and in none.
		"out.*." + wire.CashierRoom + "." + string(wire.OutPrivate): g.cashier,
	} {
		s, err := g.cfg.Conn.Subscribe(subject, handle)
		if err != nil {
			return nil, fmt.Errorf("subscribe to %s: %w", subject, err)
		}
		subs = append(subs, s)
	}
	return subs, nil
}

func (g *Gateway) setRunning() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running = true
}

func (g *Gateway) isRunning() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.running
}

// spawn starts a goroutine that Run waits for, unless it is too late.
func (g *Gateway) spawn(f func()) bool {
	if !g.hold() {
		return false
	}
	go func() {
		defer g.work.Done()
		f()
	}()
	return true
}

// hold has Run wait for one more Done of work, unless it is too late.
func (g *Gateway) hold() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped || !g.running {
		return false
	}
	g.work.Add(1)
	return true
}

func (g *Gateway) followDirectory(ctx context.Context) {
	kvwatch.Follow(ctx, g.js, wire.BucketRooms, g.directory.apply, g.directory.caughtUp)
}

func (g *Gateway) followSanctions(ctx context.Context) {
	kvwatch.Follow(ctx, g.js, wire.BucketSanctions, g.sanctions.apply, func() {})
}

// watchConnection has all rooms ask for what they missed when NATS was away.
func (g *Gateway) watchConnection(ctx context.Context) {
	changes := g.cfg.Conn.StatusChanged(nats.CONNECTED)
	defer g.cfg.Conn.RemoveStatusListener(changes)
	for {
		select {
		case <-ctx.Done():
			return
		case _, ok := <-changes:
			if !ok {
				return
			}
			g.feeds.check()
		}
	}
}

// beat says once a second that the gateway lives, and how many are in its rooms.
func (g *Gateway) beat(ctx context.Context) {
	tick := time.NewTicker(presenceInterval)
	defer tick.Stop()
	var joins storm
	for now := time.Now(); ; {
		g.sayInfo()
		g.tellPresence(now)
		if joins.over(g.admission.connections()) && !g.cfg.Shared {
			giveBack()
		}
		select {
		case <-ctx.Done():
			return
		case now = <-tick.C:
		}
	}
}

func (g *Gateway) sayInfo() {
	_ = g.cfg.Conn.Publish(wire.NodeSubject("gateway", g.cfg.ID), encode(wire.NodeInfo{
		ID: g.cfg.ID, Role: "gateway", Version: g.cfg.Version, Started: g.started.UnixMilli(), Draining: g.admission.isDraining(),
		Connections: g.admission.connections(), Capacity: g.cfg.MaxConnections, Address: g.cfg.Address,
	})) // said again in a second
}

// cashier brings players what their cashier tells them, in whatever rooms they are.
func (g *Gateway) cashier(m *nats.Msg) {
	_, body, err := wire.ParseOut(m.Data)
	var list []wire.Private
	if err != nil || json.Unmarshal(body, &list) != nil {
		return
	}
	for _, p := range list {
		g.tellPlayer("", p)
	}
}

// tellPlayer gives a message of a room (empty for the cashier) to the player's connections here. It
// returns the frame if it is one for members only.
func (g *Gateway) tellPlayer(room string, p wire.Private) *fanout.Frame {
	sessions := g.players.of(p.Player)
	if len(sessions) == 0 {
		return nil
	}
	var b wire.Balance
	if json.Unmarshal(p.Message, &b) == nil && b.Type == wire.TypeBalance {
		for _, s := range sessions {
			s.tellBalance(b)
		}
		return nil
	}
	frame := fanout.NewFrame(p.Message)
	for _, s := range sessions {
		s.tell(room, frame)
	}
	return frame
}

// kick closes the connections of a player.
func (g *Gateway) kick(player string) {
	for _, s := range g.players.of(player) {
		s.conn.Close(wire.CloseKicked, "kicked by an operator")
	}
}

// serveSocket upgrades to a WebSocket and begins a session.
func (g *Gateway) serveSocket(w http.ResponseWriter, r *http.Request) {
	if !g.isRunning() {
		turnAway(w, refusedDraining)
		return
	}
	why, ok := g.admission.enter(time.Now())
	if !ok {
		g.metrics.refusedBy[why].Inc()
		if why == refusedFull && g.cfg.RefuseInBand && g.admission.enterToBeTold() {
			g.refuseInBand(w, r)
			return
		}
		turnAway(w, why)
		return
	}
	var s *session // of who pings: nothing is read before it is there
	conn, err := g.accept(w, r, func() bool { return s.pinged(time.Now()) })
	if err != nil {
		g.admission.leave()
		g.metrics.refusedBy[refusedHandshake].Inc()
		return
	}
	g.metrics.opened.Inc()
	s = newSession(g, conn, clientAddress(r, g.cfg.TrustedProxies), time.Now())
	if !g.hold() {
		conn.Close(wire.CloseShutdown, "the gateway stops")
		g.admission.leave()
		return
	}
	s.serve()
}

// accept answers with the error if the handshake is refused. pinged is asked by the reading
// goroutine whether a ping frame gets a pong.
func (g *Gateway) accept(w http.ResponseWriter, r *http.Request, pinged func() bool) (*fanout.Conn, error) {
	return g.hub.Accept(w, r, &websocket.AcceptOptions{
		OriginPatterns: g.cfg.Origins,
		OnPingReceived: func(context.Context, []byte) bool { return pinged() },
	})
}

// refuseInBand tells a browser that there is no room.
func (g *Gateway) refuseInBand(w http.ResponseWriter, r *http.Request) {
	conn, err := g.accept(w, r, func() bool { return false })
	if err != nil {
		g.admission.leaveTold()
		return
	}
	_ = conn.Send(fanout.NewFrame(encode(wire.Retry{Type: wire.TypeRetry, AfterMS: retryAfter.Milliseconds()}))) // the close tells the same
	conn.Close(wire.CloseOverCapacity, "this gateway is full")
	conn.Serve((*turnedAway)(g.admission))
}

// turnedAway is the receiver of a connection that was told to go.
type turnedAway admission

// Receive implements fanout.Receiver.
func (*turnedAway) Receive([]byte) {}

// Ended implements fanout.Receiver.
func (t *turnedAway) Ended(error) { (*admission)(t).leaveTold() }
