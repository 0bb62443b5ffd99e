package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"tickcast/internal/testkit"
	"tickcast/wire"
)

// Updates that a client misses: more than a gateway keeps, or fewer than an owner does.
const (
	tooMany = 540
	few     = 200
)

// TestAwayForTooLong: some clients are away while a room has more updates than anybody keeps, and
// others for a part of that; then everything is killed. Before and after, those get the updates
// that they missed, and these a snapshot, each is told which, and all see the same room as one who
// was never away.
func TestAwayForTooLong(t *testing.T) { onEach(t, kinds(), testAwayForTooLong) }

func testAwayForTooLong(t *testing.T, d *deployment) {
	one, two := d.gateways[0], d.gateways[len(d.gateways)-1]
	const room = "busy"
	d.busyRoom(room)
	watch := d.record("watch", room, two)
	long, longer := d.record("ann", room, one), d.record("cyd", room, one)
	var short, shorter []*recorder // one for each try
	for i := range comebacks {
		short = append(short, d.record(fmt.Sprint("bob-", i), room, one))
		shorter = append(shorter, d.record(fmt.Sprint("dan-", i), room, one))
	}
	brief := slices.Concat(short, shorter)
	awaitMore(t, 3, append(brief, watch, long, longer)...)

	long.stayAway(true)
	longer.stayAway(true)
	d.hurry(watch, tooMany-few)
	for _, r := range brief {
		r.stayAway(true)
	}
	d.hurry(watch, few)
	kept := wire.SourceGateway
	if one == two {
		kept = wire.SourceRing
	}
	comeBack := func(why string, clients []*recorder, from wire.Source) (back *recorder) {
		t.Helper()
		wantCheapest(t, func(i int) bool {
			if back != nil {
				back.stayAway(true)
			}
			if from != wire.SourceRing { // it keeps nothing then
				restart(one)
			}
			if from == wire.SourceGateway {
				one.awaitPlayer(room)
			}
			back = clients[i]
			return back.comeBack(why, one, from)
		})
		return back
	}
	shortly := comeBack("a gateway kept what it missed", short, kept)
	long.comeBack("nobody kept what it missed", one, wire.SourceSnapshot)
	wantSameRoom(t, watch, long, shortly)

	d.killEverything()
	d.startAll()
	awaitMore(t, 3, watch)
	later := comeBack("the owner has folded the log again", shorter, wire.SourceOwner)
	longer.comeBack("the owner has too few updates", one, wire.SourceSnapshot)
	wantSameRoom(t, watch, long, shortly, longer, later)
}

// hurry has an operator change settings of a watched race, and the one who watches tap, until it
// has had n more updates.
func (d *deployment) hurry(watch *recorder, n int) {
	d.t.Helper()
	tapped := uint64(0)
	for i, end := 0, watch.newest()+uint64(n); watch.newest() < end; i++ {
		if now, _ := watch.now(); now.Phase == "running" && now.Round > tapped {
			tapped = now.Round
			watch.begin("tap", tapped, map[string]uint64{"n": 1 + tapped%5})
		}
		before := watch.newest()
		d.change(watch.room, fmt.Sprintf(`{"max_taps_per_s":%d}`, 10+i%10))
		testkit.Eventually(d.t, "an update", deadline, func() bool { return watch.newest() > before })
	}
}

// change changes settings of a room by the operator API.
func (d *deployment) change(room, settings string) {
	d.t.Helper()
	req, err := http.NewRequest(http.MethodPatch, d.gateways[0].internal+"/api/rooms/"+room+"/settings", strings.NewReader(settings))
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+testSecret)
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		d.t.Fatalf("change settings: %s", answer.Status)
	}
}

// killEverything kills all processes and restarts the log's server and Redis, which forgets what was
// saved there: whoever folds begins with the first record. Of a cluster only the program is killed.
func (d *deployment) killEverything() {
	d.t.Helper()
	for _, s := range d.processes() {
		s.kill()
	}
	if d.natsCluster == nil {
		for _, s := range slices.Concat(d.nats, d.redis) {
			if err := s.Stop(); err != nil {
				d.t.Error(err)
			}
			if err := s.Start(); err != nil {
				d.t.Fatal(err)
			}
		}
	}
	if d.flushRedis != nil { // that of a box died with it
		d.flushRedis()
	}
}

// wantSameRoom wants clients in a race to see it as the first one does, which was never away.
func wantSameRoom(t testing.TB, watch *recorder, others ...*recorder) {
	t.Helper()
	all := append([]*recorder{watch}, others...)
	now, _ := watch.now()
	testkit.Eventually(t, "all have seen a round open since", deadline, func() bool {
		return !slices.ContainsFunc(all, func(r *recorder) bool {
			seen, _ := r.now()
			return seen.Round < now.Round+2
		})
	})
	wantSame(t, all...)
	for _, r := range others {
		seq := min(watch.newest(), r.newest())
		if got, want := r.race(seq), watch.race(seq); !reflect.DeepEqual(got, want) {
			t.Errorf("at update %d %s sees\n%v\nand who was never away\n%v", seq, r.player, got, want)
		}
	}
}

// race is what a client knows of a race behind an update: the snapshot that it began with, and what
// updates have told since, by section 8 of the protocol.
func (r *recorder) race(seq uint64) map[string]any {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	view := map[string]any{}
	if err := json.Unmarshal(r.base, &view); err != nil {
		r.t.Fatal(err)
	}
	for _, text := range r.updates[:seq-r.first] {
		var u struct{ Events []map[string]any }
		if err := json.Unmarshal([]byte(text), &u); err != nil {
			r.t.Fatal(err)
		}
		for _, e := range u.Events {
			tell(view, e)
		}
	}
	return view
}

// tell takes an event of a race into a client's view.
func tell(view, event map[string]any) {
	for _, field := range []string{"state", "phase", "round", "start", "end", "settings", "next_settings", "players", "top"} {
		if v, ok := event[field]; ok {
			view[field] = v
		}
	}
	switch event["phase"] {
	case "gathering":
		view["players"], view["top"], view["next_settings"] = 0.0, []any{}, nil
	case "finished":
		past := map[string]any{"round": event["round"], "players": event["players"], "winner": nil}
		if top, _ := event["top"].([]any); len(top) > 0 {
			past["winner"] = top[0]
		}
		history, _ := view["history"].([]any)
		history = slices.DeleteFunc(slices.Clone(history), func(known any) bool { return known.(map[string]any)["round"] == event["round"] })
		view["history"] = append([]any{past}, history...)[:min(len(history)+1, 50)]
	}
}
