package bench

import (
	"strings"
	"testing"
	"time"
)

func TestSwarmRatio(t *testing.T) {
	const us = time.Microsecond
	client := []Received{{CPU: 400 * us, Frames: 100}, {CPU: 9000 * us, Frames: 100}, {CPU: 1000 * us, Frames: 200}}
	swarm := []Received{{CPU: 600 * us, Frames: 100}, {CPU: 100 * us, Frames: 100}, {CPU: 7000 * us, Frames: 100}}
	c, s, r := swarmRatio(client, swarm)
	if c != 5*us || s != 6*us || r != 1.2 {
		t.Errorf("client %v, swarm %v, ratio %v", c, s, r)
	}
	if got := (Received{CPU: us}).PerFrame(); got != 0 {
		t.Errorf("%v a frame of none", got)
	}
}

func TestJudged(t *testing.T) {
	const good = `{"verdict":"passed","checks":[{"name":"order","passed":true}],"rooms":[{"newest":7,"sightings":20}],
		"latencies":[{"name":"spread","p99_ns":1},{"name":"delivery","p99_ns":5000}]}`
	p99, fault, err := judged([]byte(good), 20, 7)
	if err != nil || fault != "" || p99 != 5*time.Microsecond {
		t.Errorf("%v, %q, %v", p99, fault, err)
	}
	for want, report := range map[string]string{
		"20 sightings to update 7 instead of 21 to 7": good,
		"check order failed: [{\"bot\":3}]":           strings.Replace(good, `"passed":true`, `"passed":false,"examples":[{"bot":3}]`, 1),
		`the verdict is "failed"`:                     strings.Replace(good, `"verdict":"passed"`, `"verdict":"failed"`, 1),
	} {
		if _, fault, err := judged([]byte(report), 21, 7); err != nil || fault != want {
			t.Errorf("%q (%v), want %q", fault, err, want)
		}
	}
	if _, fault, _ := judged([]byte(good), 20, 8); fault == "" {
		t.Error("the last update is missing, and that is no fault")
	}
	if _, _, err := judged([]byte("{"), 1, 1); err == nil {
		t.Error("no error for half a report")
	}
}
