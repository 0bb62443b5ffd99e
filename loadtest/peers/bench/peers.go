package bench

import (
	"context"
	"os/exec"
)

// bare is what everything is compared with.
func bare() Peer {
	return Peer{Name: "bare", About: "C, one send(2) per socket and update, nothing else", start: startBare}
}

// ours is the program under test.
func ours() Peer {
	return Peer{Name: "tickcast", About: "tickcast gateway: joined players, updates by NATS from another process", start: startTickcast}
}

// Peers are all servers of the comparison, the bare loop first.
func Peers() []Peer {
	return []Peer{bare(), ours()}
}

func startBare(ctx context.Context, s *stage) error {
	program, err := s.kit.Programs.C(ctx, "bare")
	if err != nil {
		return err
	}
	c, err := s.run("bare", exec.CommandContext(ctx, program, "0"))
	if err != nil {
		return err
	}
	return s.alone(ctx, c, Dialect{Path: "/"})
}
