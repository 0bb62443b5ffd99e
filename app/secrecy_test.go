package app_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tickcast/bus"
	"tickcast/internal/testkit"
	"tickcast/internal/testsvc"
	"tickcast/room/crash"
)

// The channels on which bytes leave the processes.
const (
	channelSockets   = "WebSockets"
	channelPublic    = "public HTTP"
	channelInternal  = "operator API"
	channelMetrics   = "metrics"
	channelProfiles  = "profiles of the gateway"
	channelNATS      = "NATS"
	channelRedis     = "Redis"
	channelRedisKeys = "keys of Redis"
	channelSQL       = "SQL"
	channelLogs      = "output"
)

// channels lists all of them, each with whether a round's result goes over it once
// the round has crashed.
func channels() map[string]bool {
	return map[string]bool{
		channelSockets: true, channelPublic: true, channelNATS: true, channelRedis: true, channelRedisKeys: true, channelSQL: true,
		channelInternal: false, channelMetrics: false, channelProfiles: false, channelLogs: false,
	}
}

// roomSecret is of these tests alone: it is searched for as well.
const roomSecret = "e0b7d1469a3f582ce0b7d1469a3f582d"

// TestNothingLeavesDuringAFlight flies a round of more than 45 seconds, so that the
// snapshot of every thirty falls into what is searched of it. Its crash point is a number of four digits,
// none twice, and so is searched for in text only. The seed is searched for in every
// form; so are the seeds of later rounds, which this one's follows from.
func TestNothingLeavesDuringAFlight(t *testing.T) {
	t.Parallel()
	flySecretly(t, func(centi int64) bool {
		digits := map[rune]bool{}
		for _, d := range strconv.FormatInt(centi, 10) {
			digits[d] = true
		}
		return centi >= 1500 && centi < 1900 && len(digits) == 4
	})
}

// flySecretly flies a round whose crash point is an unusual one, searches all that was
// heard up to shortly before the crash, and then, with the same search, all that was
// heard after it.
func flySecretly(t *testing.T, unusual func(centi int64) bool) {
	f := startFlight(t)
	for range 3 { // numbers that stand somewhere all the time are no choice
		f.poll()
	}
	f.plan(unusual)
	f.takeOff()
	before := f.watch()
	for channel := range channels() {
		if len(before[channel]) == 0 {
			t.Errorf("%s: nothing was heard during the flight", channel)
		}
		if found := f.search(channel, before[channel]); len(found) > 0 {
			t.Errorf("%s: the secret of a flying round of %d is said: %s", channel, f.secret.Centi, strings.Join(found, ", "))
		}
	}
	if !hasSnapshotInFlight(before[channelRedis]) {
		t.Error("no snapshot of the flying round went to Redis")
	}
	after := f.crash()
	for channel, told := range channels() {
		found := f.search(channel, after[channel])
		for _, want := range []string{"seed, hex", "crash point, decimal"} {
			if told && !slices.Contains(found, want) {
				t.Errorf("%s: after the crash the same search does not find %q in %d bytes", channel, want, size(after[channel]))
			}
		}
	}
}

func size(pieces [][]byte) (n int) {
	for _, p := range pieces {
		n += len(p)
	}
	return n
}

// secretFlight is a deployment on which everything is heard, with one room.
type secretFlight struct {
	*deployment
	heard         *capture
	cache         string // address of Redis, not through a tap
	player, guest *listener

	secret       testkit.Secret
	others       []testkit.Secret // seeds of later rounds
	takeoff, end time.Duration    // game time of the flight
}

func startFlight(t *testing.T) *secretFlight {
	t.Helper()
	f := &secretFlight{heard: newCapture(), deployment: &deployment{t: t, secrets: []string{
		"TICKCAST_ROOM_SECRET=" + roomSecret, "TICKCAST_JWT_SECRET=" + testSecret, "TICKCAST_OPERATOR_KEY=" + testSecret,
	}}}
	d := f.deployment
	for r, password := range natsPasswords() {
		d.secrets = append(d.secrets, bus.PasswordVariable(r)+"="+password)
	}
	config := bus.ServerConfig(natsPasswords(), bus.ServerOptions{})
	nats, redis, sql := testsvc.StartNATS(t, config).URL, testsvc.Redis(t), testsvc.Postgres(t)
	d.services = []string{
		"--nats-url", f.heard.tap(t, channelNATS, nats), "--redis-url", f.heard.tap(t, channelRedis, redis), "--log-level", "debug",
	}
	f.cache = hostOf(t, redis)
	d.rooms = []*server{d.process("room", "--partitions", "2"), d.process("room", "--partitions", "2")}
	d.gateways = []*server{d.process("gateway", "--guests", "on")}
	d.ledgers = []*server{d.process("ledger", "--database-url", f.heard.tap(t, channelSQL, sql))}
	d.startAll()
	// With few ticks no sequence number comes near the crash point while it is searched for.
	d.run("rooms", "create", "lobby", "--paused", "--set", "tick_ms=500", "--set", "betting_ms=12000", "--set", "crashed_ms=20000", "--api", d.gateways[0].internal)
	f.player, f.guest = f.listen(), f.listen()
	return f
}

// listen joins the room as a guest.
func (f *secretFlight) listen() *listener {
	f.t.Helper()
	l := newListener(f.t, f.gateways[0].public, f.heard)
	l.send(map[string]any{"type": "hello", "protocol": 1, "token": l.token})
	testkit.Eventually(f.t, "the room is known", deadline, func() bool {
		_, list := f.gateways[0].get(f.gateways[0].public + "/api/rooms")
		return strings.Contains(list, "lobby")
	})
	l.join()
	testkit.Eventually(f.t, "the room is joined", deadline, func() bool { return l.joins() > 0 })
	return l
}

// plan gives the room a salt with which its first round has an unusual crash point
// that stands nowhere so far. An operator may: he knows no seed to choose it by.
func (f *secretFlight) plan(unusual func(centi int64) bool) {
	f.t.Helper()
	var room struct{ UUID string }
	_, body := f.gateways[0].get(f.gateways[0].public + "/api/rooms/lobby")
	if err := json.Unmarshal([]byte(body), &room); err != nil || room.UUID == "" {
		f.t.Fatalf("room: %v in %s", err, body)
	}
	chains := crash.NewChains([]byte(roomSecret), nil)
	f.secret.Seed, _ = chains.Seed(room.UUID, 0, 1)
	for _, later := range []uint64{2, 3, crash.ChainRounds} {
		seed, _ := chains.Seed(room.UUID, 0, later)
		f.others = append(f.others, testkit.Secret{Seed: seed})
	}
	said := f.heardSoFar()
	delete(said, channelProfiles)
	salt := ""
	for try := 0; salt == "" || !unusual(f.secret.Centi) || f.stands(said); try++ {
		salt = fmt.Sprintf("salt-%x", sha256.Sum256([]byte(strconv.Itoa(try))))
		f.secret.Centi = crash.Point(f.secret.Seed, salt, 9900, 100_000)
	}
	f.run("rooms", "set", "lobby", "salt="+salt, "salt_source=test", "--api", f.gateways[0].internal)
}

// stands reports whether the crash point's number stands in what was said before it
// was one.
func (f *secretFlight) stands(said map[string][][]byte) bool {
	number := testkit.Secret{Centi: f.secret.Centi}
	for _, pieces := range said {
		if len(searchAll(pieces, number)) > 0 {
			return true
		}
	}
	return false
}

// takeOff starts the room, bets on its round and waits until it flies.
func (f *secretFlight) takeOff() {
	f.t.Helper()
	f.run("rooms", "start", "lobby", "--api", f.gateways[0].internal)
	testkit.Eventually(f.t, "bets are taken", deadline, func() bool { return f.player.reached("betting") })
	for slot, auto := range []int{500, 100_000} {
		f.player.send(map[string]any{
			"type": "cmd", "room": "lobby", "key": fmt.Sprint("bet-", slot), "op": "bet", "round": 1,
			"args": map[string]any{"slot": slot, "amount": 1000, "auto": auto},
		})
	}
	testkit.Eventually(f.t, "it flies", deadline, func() bool { return f.player.reached("flying") })
	if n := f.player.accepted(); n != 2 {
		f.t.Fatalf("%d of 2 bets were accepted", n)
	}
	// A time is told in microseconds, rounded down, so the exact end is up to one later.
	// Both are searched for; its nanoseconds begin with the same digits.
	f.takeoff = f.player.phaseStart("flying")
	f.end = f.takeoff + time.Duration(new(crash.Curve).At(f.secret.Centi+1))
	f.secret.End = int64(f.end)
	f.others = append(f.others, testkit.Secret{End: int64(f.end + time.Microsecond)})
}

// watch asks everything that can be asked until shortly before the crash, and returns
// all that was heard until then.
func (f *secretFlight) watch() map[string][][]byte {
	f.t.Helper()
	again := time.NewTicker(time.Second)
	defer again.Stop()
	answered := false
	// A round of questions takes seconds on a busy machine.
	for f.player.clock() < f.end-13*time.Second {
		answered = f.poll() || answered
		<-again.C
	}
	if !answered {
		f.t.Error("no round of questions was answered as a whole during the flight")
	}
	testkit.Eventually(f.t, "the crash is near", deadline, func() bool { return f.player.clock() >= f.end-7*time.Second })
	said := f.heardSoFar()
	if f.player.clock() > f.end-time.Second || f.player.reached("crashed") {
		f.t.Fatalf("too late: it is %v, the crash was planned for %v", f.player.clock(), f.end)
	}
	return said
}

// crash waits for the crash, ends the room servers, which save their state then, and
// returns all that was heard since the flight.
func (f *secretFlight) crash() map[string][][]byte {
	f.t.Helper()
	testkit.Eventually(f.t, "it has crashed", deadline, func() bool { return f.player.reached("crashed") })
	if got := f.player.phaseStart("crashed"); got < f.end-time.Microsecond || got > f.end+time.Microsecond {
		f.t.Errorf("it crashed at %v, planned for %v", got, f.end)
	}
	testkit.Eventually(f.t, "the round is in the archive", deadline, func() bool {
		_, list := f.gateways[0].get(f.gateways[0].public + "/api/rooms/lobby/rounds")
		return strings.Contains(list, `"outcome"`)
	})
	testkit.Eventually(f.t, "all questions are answered", deadline, f.poll)
	for _, r := range f.rooms {
		r.stop()
	}
	if err := f.heard.dump(f.cache); err != nil {
		f.t.Fatal(err)
	}
	return f.heardSoFar()
}

// poll asks all that can be asked, and reports whether all of it was answered: on a busy
// machine the ledger may be too slow for the gateway. The heap of a room server holds the
// secret, which is why it serves no profiles; the gateway's may not.
func (f *secretFlight) poll() (answered bool) {
	f.t.Helper()
	g := f.gateways[0]
	answered = true
	get := func(channel, address, key string) {
		f.t.Helper()
		_, err := f.heard.get(channel, address, key)
		if err != nil && !errors.Is(err, errUnavailable) {
			f.t.Fatal(err)
		}
		answered = answered && err == nil
	}
	for _, path := range []string{"rooms", "rooms/lobby", "rooms/lobby/rounds", "info", "leaderboards/crash", "me", "me/bets"} {
		get(channelPublic, g.public+"/api/"+path, f.player.token)
	}
	for _, path := range []string{"rooms", "rooms/lobby/settings", "nodes", "partitions", "audit", "sessions", "ledger", "log"} {
		get(channelInternal, g.internal+"/api/"+path, testSecret)
	}
	for _, profile := range []string{"heap?debug=1", "goroutine?debug=2", "allocs?debug=1"} {
		get(channelProfiles, g.internal+"/debug/pprof/"+profile, testSecret)
	}
	for _, s := range f.processes() {
		get(channelMetrics, s.internal+"/metrics", "")
	}
	if err := f.heard.dump(f.cache); err != nil {
		f.t.Fatal(err)
	}
	f.guest.join() // again: a snapshot of the room
	f.player.send(map[string]any{"type": "ping", "id": 1})
	return answered
}

// heardSoFar is what was heard since the call before, and all that the processes
// wrote since their start.
func (f *secretFlight) heardSoFar() map[string][][]byte {
	said := f.heard.cut()
	for _, s := range f.processes() {
		if s != nil {
			said[channelLogs] = append(said[channelLogs], []byte(s.out.String()), []byte(s.log.String()))
		}
	}
	return said
}

// search lists what of the flight's secrets stands in what was heard on a channel.
func (f *secretFlight) search(channel string, pieces [][]byte) []string {
	secret := f.secret
	if channel == channelProfiles {
		secret.Centi = 0 // profiles count objects and bytes, any number among them
	}
	return searchAll(pieces, secret, f.others...)
}

// searchAll lists what of the secrets is found in any piece.
func searchAll(pieces [][]byte, secret testkit.Secret, others ...testkit.Secret) []string {
	found := map[string]bool{}
	for _, p := range pieces {
		for _, what := range secret.Find(p) {
			found[what] = true
		}
		for i, s := range others {
			for _, what := range s.Find(p) {
				found[fmt.Sprintf("other %d, %s", i, what)] = true
			}
		}
		if strings.Contains(string(p), roomSecret) {
			found["room secret"] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// hasSnapshotInFlight reports whether one of the pieces holds a partition's snapshot
// in which a room flies. The room's own state stands in it as base64.
func hasSnapshotInFlight(pieces [][]byte) bool {
	state := regexp.MustCompile(`"game":"([A-Za-z0-9+/=]+)"`)
	for _, p := range pieces {
		for _, m := range state.FindAllSubmatch(p, -1) {
			if b, err := base64.StdEncoding.DecodeString(string(m[1])); err == nil && strings.Contains(string(b), `"phase":"flying"`) {
				return true
			}
		}
	}
	return false
}
