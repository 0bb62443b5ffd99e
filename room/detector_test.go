package room

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"
)

// TestDetector has an owner answer, or not, and tells when a follower claims.
func TestDetector(t *testing.T) {
	const never = 2 * time.Second
	for _, c := range []struct {
		why string
		// answer is what becomes of a ping, after how long: "owner", "nobody", "", or "down".
		answer           func(at time.Duration) (string, time.Duration)
		earliest, latest time.Duration // of the claim
	}{
		{"an owner that answers", func(time.Duration) (string, time.Duration) { return "owner", time.Millisecond }, never, never},
		{"an owner that answers slowly", func(time.Duration) (string, time.Duration) { return "owner", askTimeout - time.Millisecond }, never, never},
		{"nobody listens", func(time.Duration) (string, time.Duration) { return "nobody", time.Millisecond }, 10 * time.Millisecond, 80 * time.Millisecond},
		{"an owner that hangs", func(time.Duration) (string, time.Duration) { return "", 0 }, 2 * askTimeout, 2*askTimeout + 80*time.Millisecond},
		{"a ping that reaches an owner as it dies", func(at time.Duration) (string, time.Duration) {
			if at < 60*time.Millisecond {
				return "", 0
			}
			return "nobody", time.Millisecond
		}, 60 * time.Millisecond, 160 * time.Millisecond},
		{"an answer that is lost", func(at time.Duration) (string, time.Duration) {
			if at < 500*time.Millisecond {
				return "", 0
			}
			return "owner", time.Millisecond
		}, never, never},
		{"a connection that is down", func(time.Duration) (string, time.Duration) { return "down", 0 }, never, never},
	} {
		t.Run(c.why, func(t *testing.T) {
			for seed := range uint64(50) {
				if got := claimedAfter(c.answer, seed, never); got < c.earliest || got > c.latest {
					t.Fatalf("seed %d: claimed after %v, want %v to %v", seed, got, c.earliest, c.latest)
				}
			}
		})
	}
}

// claimedAfter is after how long a detector holds the owner dead, at most most.
func claimedAfter(answer func(at time.Duration) (string, time.Duration), seed uint64, most time.Duration) time.Duration {
	type pong struct {
		at    time.Duration
		n     uint64
		owner bool
	}
	var (
		pongs []pong
		start = time.Unix(1000, 0)
		owner = claimed{epoch: 1, node: "a"}
		d     = detector{rank: func(string) int { return 0 }, rand: rand.New(rand.NewPCG(seed, 1)), seen: owner}
	)
	d.start(start, start)
	for at := time.Duration(0); at < most; at += time.Millisecond {
		now := start.Add(at)
		for _, p := range pongs {
			if p.at == at && d.pong(now, p.n, p.owner) {
				return at
			}
		}
		if now.Before(d.at) {
			continue
		}
		dead := d.due(now, owner, func(n uint64) error {
			what, after := answer(at)
			if what == "down" {
				return errors.New("down")
			}
			if what != "" {
				pongs = append(pongs, pong{at + after, n, what == "owner"})
			}
			return nil
		})
		if dead {
			return at
		}
	}
	return most
}
