package bus_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tickcast/bus"
	"tickcast/internal/service"
	"tickcast/internal/testkit"
	"tickcast/internal/testsvc"
	"tickcast/wire"
)

const testTimeout = 30 * time.Second

// quietSync keeps the server's sync timer away from streams that are being made,
// with which it has a data race (nats-server 2.15.2, setSyncTimer).
const quietSync = time.Minute

// TestMain keeps the log of refused publishes, of which the tests make hundreds,
// out of their output.
func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler))
	os.Exit(m.Run())
}

// deployment is a NATS server with users, embedded or a process of its own.
type deployment struct {
	connect func(r bus.Role) *nats.Conn
}

func startEmbedded(t *testing.T, dir string) *deployment {
	t.Helper()
	e, err := bus.StartEmbedded(bus.EmbeddedConfig{StoreDir: dir, SyncInterval: quietSync})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Shutdown)
	return &deployment{connect: func(r bus.Role) *nats.Conn {
		t.Helper()
		nc, err := e.Connect(r, "test-"+string(r))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		return nc
	}}
}

// startProcess runs the nats-server of go.mod with a rendered configuration.
func startProcess(t *testing.T) *deployment {
	t.Helper()
	passwords := map[bus.Role]string{}
	for _, r := range bus.Roles() {
		if r != bus.RoleLedger { // its password comes from the environment
			passwords[r] = `pass "` + string(r) + `" 1k`
		}
	}
	t.Setenv(bus.PasswordVariable(bus.RoleLedger), `"5k-from-the-environment"`)
	config := bus.ServerConfig(passwords, bus.ServerOptions{Name: "n1"})
	addr := strings.TrimPrefix(testsvc.StartNATS(t, config).URL, "nats://")
	passwords[bus.RoleLedger] = "5k-from-the-environment"
	return &deployment{connect: func(r bus.Role) *nats.Conn {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
		defer cancel()
		url := fmt.Sprintf("nats://%s:%s@%s", r, urlEscape(passwords[r]), addr)
		nc, err := bus.Connect(ctx, url, "test-"+string(r))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		return nc
	}}
}

func urlEscape(s string) string {
	return strings.NewReplacer(" ", "%20", `"`, "%22").Replace(s)
}

func ensure(t *testing.T, nc *nats.Conn, l bus.Layout) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	return bus.EnsureStreams(ctx, nc, l)
}

func mustEnsure(t *testing.T, nc *nats.Conn) {
	t.Helper()
	if err := ensure(t, nc, bus.Layout{Partitions: 2}); err != nil {
		t.Fatal(err)
	}
}

// publishes reports whether the server let nc publish on subject, by the error
// that it sends back before the pong of a flush.
func publishes(t *testing.T, nc *nats.Conn, subject string) bool {
	t.Helper()
	return !violates(t, nc, "Publish", subject, func() error { return nc.Publish(subject, []byte("{}")) })
}

func subscribes(t *testing.T, nc *nats.Conn, subject string) bool {
	t.Helper()
	return !violates(t, nc, "Subscription", subject, func() error {
		sub, err := nc.SubscribeSync(subject)
		if err == nil {
			t.Cleanup(func() { _ = sub.Unsubscribe() })
		}
		return err
	})
}

func violates(t *testing.T, nc *nats.Conn, what, subject string, do func() error) bool {
	t.Helper()
	if err := do(); err != nil {
		t.Fatalf("%s of %s: %v", what, subject, err)
	}
	if err := nc.FlushTimeout(testTimeout); err != nil {
		t.Fatal(err)
	}
	err := nc.LastError()
	return errors.Is(err, nats.ErrPermissionViolation) &&
		strings.Contains(strings.ToLower(err.Error()), strings.ToLower(what)+` to "`+strings.ToLower(subject)+`"`)
}

func TestPermissions(t *testing.T) {
	t.Run("embedded", func(t *testing.T) { testPermissions(t, startEmbedded(t, t.TempDir())) })
	t.Run("process", func(t *testing.T) { testPermissions(t, startProcess(t)) })
}

// rule says which roles may use a subject; all others must be refused.
type rule struct {
	subject string
	roles   []bus.Role
}

// publishRules try every kind of subject.
func publishRules() []rule {
	const g, r, l, o, a = bus.RoleGateway, bus.RoleRoom, bus.RoleLedger, bus.RoleOperator, bus.RoleAuditor
	return []rule{
		{wire.CommandSubject(0, "lobby"), []bus.Role{g}},
		{wire.CommandSubject(1, wire.CashierRoom), []bus.Role{g}},
		{wire.ActionSubject(0, "lobby"), []bus.Role{o}},
		{wire.ClaimSubject(0), []bus.Role{r}},
		{wire.OwnerSubject(0), []bus.Role{r}},
		{wire.ResultSubject(0), []bus.Role{l}},
		{wire.OutClassSubject(0, "lobby", wire.OutUpdate), []bus.Role{r}},
		{wire.AnswerSubject("g1"), []bus.Role{r}},
		{wire.AskSubject(0), []bus.Role{g, r, o}},
		{wire.FollowerSubject(0), []bus.Role{g, o}},
		{wire.RingSubject("g1"), []bus.Role{g}},
		{wire.PingSubject(0), []bus.Role{g, r, o}},
		{wire.LedgerSubject(0), []bus.Role{r}},
		{wire.LedgerQuerySubject, []bus.Role{g, r, o}},
		{wire.LedgerOrderSubject, []bus.Role{o}},
		{wire.ChatSubject("lobby"), []bus.Role{g}},
		{wire.ChatOutSubject("lobby"), nil},
		{wire.SessionSubject("g1"), []bus.Role{g}},
		{wire.PresenceSubject("g1"), []bus.Role{g}},
		{wire.NodeSubject("gateway", "g1"), []bus.Role{g}},
		{wire.NodeSubject("room", "r1"), []bus.Role{r}},
		{wire.NodeSubject("ledger", "l1"), []bus.Role{l}},
		{"log.0.own.0", nil},
		{"log.0.cmd.0.lobby", nil},
		{"log.1.res.1", nil},
		{"$KV.rooms.lobby", []bus.Role{r}},
		{"$KV.sanctions.x", []bus.Role{r}},
		{"$KV.system.other", []bus.Role{r}},
		{"$O.ckpt.M.x", []bus.Role{r}},
		{"$O.archive.M.x", []bus.Role{r}},
		{"_INBOX.gateway.x", []bus.Role{g, r, l}},
		{"_INBOX.operator.x", []bus.Role{r, l}},
		{"$JS.API.STREAM.CREATE.P0", []bus.Role{r}},
		{"$JS.API.STREAM.UPDATE.P0", []bus.Role{r}},
		{"$JS.API.STREAM.PURGE.P9", []bus.Role{r}},
		{"$JS.API.STREAM.PURGE.OBJ_archive", []bus.Role{r}},
		{"$JS.API.STREAM.DELETE.P0", nil},
		{"$JS.API.STREAM.MSG.DELETE.P0", nil},
		{"$JS.API.CONSUMER.CREATE.P0.x", []bus.Role{r}},
		{"$JS.API.CONSUMER.CREATE.CHAT.x", []bus.Role{r}},
		{"$JS.API.CONSUMER.CREATE.LEDGER.worker", []bus.Role{r, l}},
		{"$JS.API.CONSUMER.MSG.NEXT.SESSIONS.archive", []bus.Role{r, l}},
		{"$JS.API.CONSUMER.DELETE.LEDGER.worker", []bus.Role{r, l}},
		{"$JS.API.DIRECT.GET.P0", []bus.Role{r, a}},
		{"$JS.API.DIRECT.GET.LEDGER", []bus.Role{r}},
		{"$JS.API.DIRECT.GET.SESSIONS", []bus.Role{r}},
		{"$JS.API.DIRECT.GET.KV_sanctions.$KV.sanctions.x", []bus.Role{g, r, o}},
		{"$JS.API.DIRECT.GET.OBJ_ckpt", []bus.Role{r}},
		{"$JS.API.DIRECT.GET.OBJ_archive", []bus.Role{r, a}},
		{"$JS.API.CONSUMER.CREATE.OBJ_archive.x", []bus.Role{r, a}},
		{"$JS.API.CONSUMER.CREATE.OBJ_ckpt.x", []bus.Role{r}},
		{"$JS.API.DIRECT.GET.CHAT", []bus.Role{g, r}},
		{"anything", nil},
		{"$SYS.REQ.SERVER.PING", nil},
	}
}

func subscribeRules() []rule {
	const g, r, l, o = bus.RoleGateway, bus.RoleRoom, bus.RoleLedger, bus.RoleOperator
	return []rule{
		{wire.FeedSubject(0), []bus.Role{r}},
		{"cmd.>", nil},
		{"res.*", nil},
		{">", nil},
		{wire.OutSubject(0, "lobby"), []bus.Role{g}},
		{wire.AnswerSubject("g1"), []bus.Role{g, o}},
		{wire.ChatOutSubject("lobby"), []bus.Role{g}},
		{wire.PresenceSubject("*"), []bus.Role{g, r, o}},
		{wire.NodeSubject("*", "*"), []bus.Role{g, r, o}},
		{wire.AskSubject(0), []bus.Role{r}},
		{wire.FollowerSubject(0), []bus.Role{r}},
		{wire.RingSubject("g1"), []bus.Role{g}},
		{wire.PingSubject(0), []bus.Role{r}},
		{wire.LedgerQuerySubject, []bus.Role{l}},
		{wire.LedgerOrderSubject, []bus.Role{l}},
		{"_INBOX.gateway.>", []bus.Role{g}},
		{"_INBOX.operator.>", []bus.Role{o}},
		{"_INBOX.auditor.>", []bus.Role{bus.RoleAuditor}},
		{"_INBOX.>", nil},
	}
}

func testPermissions(t *testing.T, d *deployment) {
	conns := map[bus.Role]*nats.Conn{}
	for _, role := range bus.Roles() {
		conns[role] = d.connect(role)
	}
	mustEnsure(t, conns[bus.RoleRoom])
	for _, c := range publishRules() {
		for role, nc := range conns {
			if got, want := publishes(t, nc, c.subject), slices.Contains(c.roles, role); got != want {
				t.Errorf("%s publishes %s: %v, want %v", role, c.subject, got, want)
			}
		}
	}
	for _, c := range subscribeRules() {
		for role, nc := range conns {
			if got, want := subscribes(t, nc, c.subject), slices.Contains(c.roles, role); got != want {
				t.Errorf("%s subscribes %s: %v, want %v", role, c.subject, got, want)
			}
		}
	}
}

// TestRolesWork does with each role's user what that role does.
func TestRolesWork(t *testing.T) {
	d := startEmbedded(t, t.TempDir())
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	room, gateway, ledger := d.connect(bus.RoleRoom), d.connect(bus.RoleGateway), d.connect(bus.RoleLedger)
	if _, err := bus.StoredPartitions(ctx, gateway); !errors.Is(err, bus.ErrNotReady) {
		t.Fatalf("number of partitions before the streams are made: %v, want ErrNotReady", err)
	}
	mustEnsure(t, room)
	for _, nc := range []*nats.Conn{room, gateway, ledger, d.connect(bus.RoleOperator)} {
		if n, err := bus.StoredPartitions(ctx, nc); n != 2 || err != nil {
			t.Fatalf("number of partitions: %d, %v", n, err)
		}
	}

	if v, err := bus.Fact(ctx, gateway, "seeded"); v != "" || err != nil {
		t.Fatalf("a fact that nobody knows: %q, %v", v, err)
	}
	if err := bus.SetFact(ctx, room, "seeded", "yes"); err != nil {
		t.Fatal(err)
	}
	if v, err := bus.Fact(ctx, gateway, "seeded"); v != "yes" || err != nil {
		t.Fatalf("a fact: %q, %v", v, err)
	}

	feed, err := room.SubscribeSync(wire.FeedSubject(1))
	if err != nil {
		t.Fatal(err)
	}
	_ = room.Flush()
	js, _ := jetstream.New(gateway)
	ack, err := js.Publish(ctx, wire.CommandSubject(1, "lobby"), []byte("x"), jetstream.WithMsgID("a"))
	if err != nil || ack.Sequence != 1 {
		t.Fatalf("publish a command: %+v, %v", ack, err)
	}
	m, err := feed.NextMsgWithContext(ctx)
	if err != nil || m.Subject != "log.1.cmd.1.lobby" || m.Header.Get("Nats-Sequence") != "1" {
		t.Fatalf("feed: %+v, %v", m, err)
	}

	testBuckets(ctx, t, room, gateway)
	testChat(ctx, t, gateway)
	testConsumer(ctx, t, room, ledger)
}

func testBuckets(ctx context.Context, t *testing.T, room, gateway *nats.Conn) {
	t.Helper()
	js, _ := jetstream.New(gateway)
	kv, err := js.KeyValue(ctx, wire.BucketRooms)
	if err != nil {
		t.Fatal(err)
	}
	watch, err := kv.WatchAll(ctx)
	if err != nil {
		t.Fatalf("gateway watches rooms: %v", err)
	}
	defer watch.Stop()
	if publishes(t, gateway, "$KV.rooms.lobby") {
		t.Fatal("gateway wrote the room directory")
	}
	rjs, _ := jetstream.New(room)
	rkv, err := rjs.KeyValue(ctx, wire.BucketRooms)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rkv.Put(ctx, "lobby", []byte("info")); err != nil {
		t.Fatal(err)
	}
	if e, err := kv.Get(ctx, "lobby"); err != nil || string(e.Value()) != "info" {
		t.Fatalf("gateway reads the room directory: %v, %v", e, err)
	}
	for {
		select {
		case e := <-watch.Updates():
			if e != nil {
				return
			}
		case <-ctx.Done():
			t.Fatal("the watch of the room directory said nothing")
		}
	}
}

func testChat(ctx context.Context, t *testing.T, gateway *nats.Conn) {
	t.Helper()
	js, _ := jetstream.New(gateway)
	sub, err := gateway.SubscribeSync(wire.ChatOutSubject("lobby"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(ctx, wire.ChatSubject("lobby"), []byte("hi")); err != nil {
		t.Fatal(err)
	}
	if m, err := sub.NextMsgWithContext(ctx); err != nil || string(m.Data) != "hi" {
		t.Fatalf("chat line: %v, %v", m, err)
	}
	s, err := js.Stream(ctx, wire.StreamChat)
	if err != nil {
		t.Fatal(err)
	}
	if m, err := s.GetLastMsgForSubject(ctx, wire.ChatSubject("lobby")); err != nil || string(m.Data) != "hi" {
		t.Fatalf("stored chat line: %v, %v", m, err)
	}
}

func testConsumer(ctx context.Context, t *testing.T, room, ledger *nats.Conn) {
	t.Helper()
	rjs, _ := jetstream.New(room)
	if _, err := rjs.Publish(ctx, wire.LedgerSubject(0), []byte("booking")); err != nil {
		t.Fatal(err)
	}
	js, _ := jetstream.New(ledger)
	c, err := js.CreateOrUpdateConsumer(ctx, wire.StreamLedger, jetstream.ConsumerConfig{Durable: "worker", AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.Next()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.DoubleAck(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(ctx, wire.ResultSubject(0), []byte("result")); err != nil {
		t.Fatal(err)
	}
}

func TestEnsureStreams(t *testing.T) {
	dir := t.TempDir()
	e, err := bus.StartEmbedded(bus.EmbeddedConfig{StoreDir: dir, SyncInterval: quietSync})
	if err != nil {
		t.Fatal(err)
	}
	nc, err := e.Connect(bus.RoleRoom, "a")
	if err != nil {
		t.Fatal(err)
	}
	results := make(chan error, 2)
	for range 2 { // two room servers at the same time
		go func() { results <- ensure(t, nc, bus.Layout{}) }()
	}
	for range 2 {
		if err := <-results; err != nil {
			t.Fatal(err)
		}
	}
	if err := ensure(t, nc, bus.Layout{Partitions: 9}); err == nil || !strings.Contains(err.Error(), "8 partitions") {
		t.Fatalf("another number of partitions: %v", err)
	}
	js, _ := jetstream.New(nc)
	s, err := js.Stream(t.Context(), wire.PartitionStream(3))
	if err != nil {
		t.Fatal(err)
	}
	changed := s.CachedInfo().Config
	changed.MaxBytes, changed.Duplicates = 1<<30, time.Second
	if _, err := js.UpdateStream(t.Context(), changed); err != nil {
		t.Fatal(err)
	}
	nc.Close()
	e.Shutdown()

	room := startEmbedded(t, dir).connect(bus.RoleRoom)
	if err := ensure(t, room, bus.Layout{}); err != nil {
		t.Fatal(err)
	}
	js, _ = jetstream.New(room)
	if s, err = js.Stream(t.Context(), wire.PartitionStream(3)); err != nil {
		t.Fatal(err)
	}
	got := s.CachedInfo().Config
	if got.Duplicates != wire.DedupeWindow || got.MaxBytes != 1<<30 || got.Discard != jetstream.DiscardNew || !got.AllowAtomicPublish || !got.DenyDelete {
		t.Fatalf("settings after a restart: %+v", got)
	}
}

func TestRespondRefusesLogSubjects(t *testing.T) {
	d := startEmbedded(t, t.TempDir())
	room, gateway := d.connect(bus.RoleRoom), d.connect(bus.RoleGateway)
	mustEnsure(t, room)
	asked := make(chan error, 1)
	if _, err := room.Subscribe(wire.AskSubject(0), func(m *nats.Msg) { asked <- bus.Respond(m, []byte("{}")) }); err != nil {
		t.Fatal(err)
	}
	_ = room.Flush()
	if err := gateway.PublishRequest(wire.AskSubject(0), wire.ClaimSubject(0), nil); err != nil {
		t.Fatal(err)
	}
	if err := <-asked; !errors.Is(err, bus.ErrReply) {
		t.Fatalf("answer to a claim subject: %v, want ErrReply", err)
	}
	if m, err := gateway.Request(wire.AskSubject(0), nil, testTimeout); err != nil || string(m.Data) != "{}" {
		t.Fatalf("answer to an inbox: %v, %v", m, err)
	}
	if err := <-asked; err != nil {
		t.Fatal(err)
	}
}

// TestGenuine has a stored chat line delivered to a claim subject and to the
// feed, which the server allows, and tells it from a record.
func TestGenuine(t *testing.T) {
	d := startEmbedded(t, t.TempDir())
	ctx, cancel := context.WithTimeout(context.Background(), testTimeout)
	defer cancel()
	room, gateway := d.connect(bus.RoleRoom), d.connect(bus.RoleGateway)
	mustEnsure(t, room)
	feed, err := room.SubscribeSync(wire.FeedSubject(0))
	if err != nil {
		t.Fatal(err)
	}
	_ = room.Flush()
	js, _ := jetstream.New(gateway)
	if _, err := js.Publish(ctx, wire.ChatSubject("lobby"), []byte(`{"node":"evil"}`)); err != nil {
		t.Fatal(err)
	}
	for _, reply := range []string{wire.ClaimSubject(0), "log.0." + wire.ClaimSubject(0)} {
		if err := gateway.PublishRequest("$JS.API.DIRECT.GET."+wire.StreamChat, reply, []byte(`{"seq":1}`)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := js.Publish(ctx, wire.CommandSubject(0, "lobby"), []byte("x")); err != nil {
		t.Fatal(err)
	}
	genuine := 0
	for range 3 {
		m, err := feed.NextMsgWithContext(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if bus.Genuine(wire.PartitionStream(0), m.Header) {
			genuine++
		}
	}
	rjs, _ := jetstream.New(room)
	s, err := rjs.Stream(ctx, wire.PartitionStream(0))
	if err != nil {
		t.Fatal(err)
	}
	forged, err := s.GetLastMsgForSubject(ctx, wire.ClaimSubject(0))
	if err != nil || bus.Genuine(wire.PartitionStream(0), forged.Header) || genuine != 1 {
		t.Errorf("%d of 1 genuine records in the feed, stored forgery %+v, %v", genuine, forged, err)
	}
}

func TestConnect(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_, err := bus.Connect(ctx, "nats://gateway:hunter2@127.0.0.1:1", "x")
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, nats.ErrNoServers) || strings.Contains(err.Error(), "hunter2") {
		t.Fatalf("nobody listens: %v", err)
	}
	if _, err = bus.Connect(context.Background(), "nats://a b:4222", "x"); err == nil {
		t.Fatal("a malformed URL was accepted")
	}
}

// TestAuditorReadsLogsOnly: of all streams of a deployment the auditor reads those of
// the partitions, their archive and the number of partitions.
func TestAuditorReadsLogsOnly(t *testing.T) {
	d := startEmbedded(t, t.TempDir())
	room, auditor := d.connect(bus.RoleRoom), d.connect(bus.RoleAuditor)
	mustEnsure(t, room)
	js, err := jetstream.New(room)
	if err != nil {
		t.Fatal(err)
	}
	names := js.StreamNames(context.Background())
	for name := range names.Name() {
		want := strings.HasPrefix(name, "P") || name == "KV_"+wire.BucketSystem || name == "OBJ_"+wire.BucketArchive
		for _, subject := range []string{"$JS.API.DIRECT.GET." + name, "$JS.API.STREAM.INFO." + name, "$JS.API.STREAM.MSG.GET." + name} {
			if got := publishes(t, auditor, subject); got != want {
				t.Errorf("the auditor publishes %s: %v, want %v", subject, got, want)
			}
		}
	}
	if err := names.Err(); err != nil {
		t.Fatal(err)
	}
}

// startCluster starts three nodes with rendered configurations, and returns the options of
// one and where they are reached as a room server.
func startCluster(t *testing.T) (node bus.ServerOptions, url string) {
	t.Helper()
	c := testsvc.StartNATSCluster(t, func(n service.NATSNode) string {
		node = bus.ServerOptions{
			Name: n.Name, Monitor: n.Monitor, ClusterName: "c", ClusterAddr: n.Routes, Routes: n.Others, NoAdvertise: true,
		}
		return bus.ServerConfig(clusterPasswords(), node)
	})
	return node, strings.ReplaceAll(c.URL(), "nats://", "nats://room:room-password@")
}

func clusterPasswords() map[bus.Role]string {
	passwords := map[bus.Role]string{}
	for _, r := range bus.Roles() {
		passwords[r] = string(r) + "-password"
	}
	return passwords
}

// TestNodesProveThemselves: who has another password for the routes is no part of a
// cluster.
func TestNodesProveThemselves(t *testing.T) {
	node, _ := startCluster(t)
	stranger := testsvc.StartNATS(t, bus.ServerConfig(clusterPasswords(), bus.ServerOptions{
		Name: "stranger", ClusterName: "c", ClusterAddr: service.Address(testsvc.FreePort(t)),
		Routes: []string{strings.Replace(node.Routes[0], "node:", "node:not-the-", 1)},
	}))
	testkit.Eventually(t, "the stranger is refused", testTimeout, func() bool {
		return strings.Contains(stranger.Log(), "Authorization Violation")
	})
}

// TestStreamsAreMadeSideBySide has three room servers make the streams on a cluster at
// the same time, which leaves some of their requests unanswered.
func TestStreamsAreMadeSideBySide(t *testing.T) {
	_, url := startCluster(t)
	made := make(chan error)
	for i := range 3 {
		nc, err := bus.Connect(t.Context(), url, fmt.Sprint("room-", i))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(nc.Close)
		go func() { made <- ensure(t, nc, bus.Layout{Partitions: 4, Replicas: 3}) }()
	}
	for range 3 {
		if err := <-made; err != nil {
			t.Error(err)
		}
	}
}
