package chaos

import (
	"context"
	"errors"
	"time"

	"tickcast/internal/service"
	"tickcast/wire"
)

// fault is something that goes wrong. inflict does it, undoes it when it has lasted,
// and returns when what it harmed is whole again. It is called once. An error means that it
// could not be done, or that something did not come back. When ctx ends it undoes at
// once.
type fault interface {
	inflict(ctx context.Context) error
}

// faultOf is what a step does to the cluster.
func (c *cluster) faultOf(s Step) fault {
	switch s.Kind {
	case KillRoom, KillGateway, KillLedger, StopPostgres:
		return killed{c.process(s), s.Length}
	case BlinkRoom, HangRoom, BlinkGateway, HangGateway, BlinkLedger, HangLedger:
		return suspended{c.process(s), s.Length}
	case RestartRoom, RestartGateway, RestartLedger:
		return restarted{c.process(s)}
	case PartitionRoom:
		return partitioned{c.relays[s.Target], s.Length}
	case VoidRound:
		return voided{c, roomNames()[s.Target]}
	case StepDown:
		return steppedDown{c, wire.PartitionStream(s.Target)}
	case KillNATS:
		return nodeKilled{c.nats, s.Target, s.Length}
	case FlushRedis:
		return flushed{c.redis}
	case KillRedis:
		return failedOver{c.redis, s.Length}
	}
	panic("chaos: no fault of kind " + string(s.Kind))
}

// process is the one that a step is done to.
func (c *cluster) process(s Step) *service.Service {
	switch infoOf(s.Kind).group {
	case rooms:
		return c.rooms[s.Target].Service
	case gateways:
		return c.gateways[s.Target].Service
	case ledgers:
		return c.ledgers[s.Target].Service
	case postgres:
		return c.postgres
	}
	panic("chaos: " + string(s.Kind) + " is done to no process of its own")
}

// wait waits for a time, or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// killed ends a process at once and starts it again later.
type killed struct {
	process *service.Service
	away    time.Duration
}

func (f killed) inflict(ctx context.Context) error {
	f.process.Kill()
	wait(ctx, f.away)
	return f.process.Start()
}

// restarted ends a process in good order and starts it again.
type restarted struct{ process *service.Service }

// restartTimeout bounds how long a process may take to end. A gateway drains for
// seconds, and what it waits for besides adds up to twenty at most.
const restartTimeout = time.Minute

func (f restarted) inflict(context.Context) error {
	return errors.Join(f.process.StopWithin(restartTimeout), f.process.Start())
}

// suspended keeps a process from running for a time.
type suspended struct {
	process *service.Service
	length  time.Duration
}

func (f suspended) inflict(ctx context.Context) error {
	if err := f.process.Suspend(); err != nil {
		return err
	}
	wait(ctx, f.length)
	return f.process.Resume()
}

// partitioned keeps a room server from the log for a time.
type partitioned struct {
	relay  *relay
	length time.Duration
}

func (f partitioned) inflict(ctx context.Context) error {
	f.relay.cut()
	wait(ctx, f.length)
	f.relay.mend()
	return nil
}

// voided ends the round of a room as an operator does. A room between two rounds has
// none to be voided, so it is tried for a while.
type voided struct {
	cluster *cluster
	room    string
}

const (
	voidTimeout = 60 * time.Second
	voidRetry   = 300 * time.Millisecond
)

func (f voided) inflict(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, voidTimeout)
	defer cancel()
	for try := 0; ; try++ {
		gateway := f.cluster.gateways[try%len(f.cluster.gateways)]
		_, err := f.cluster.run(ctx, "rooms", "void", f.room, "--api", gateway.api())
		if err == nil {
			return nil
		}
		wait(ctx, voidRetry)
		if ctx.Err() != nil {
			return err
		}
	}
}

// flushed lets Redis forget everything.
type flushed struct{ redis *service.SentinelRedis }

func (f flushed) inflict(ctx context.Context) error {
	master, err := f.redis.Master()
	if err != nil {
		return err
	}
	_, err = redisDo(ctx, service.Address(master.Port()), "FLUSHALL")
	return err
}

// failedOver kills the Redis that is the master, so that the Sentinels make the replica
// the master, and starts it again.
type failedOver struct {
	redis *service.SentinelRedis
	away  time.Duration
}

func (f failedOver) inflict(ctx context.Context) error {
	master, err := f.redis.Master()
	if err != nil {
		return err
	}
	if err := (killed{master, f.away}).inflict(ctx); err != nil {
		return err
	}
	return until(ctx, f.redis.Whole)
}

// steppedDown lets another node lead a stream of the log.
type steppedDown struct {
	cluster *cluster
	stream  string
}

func (f steppedDown) inflict(ctx context.Context) error {
	// A stream that has no leader, since a node was just away, is asked again.
	if err := until(ctx, func() error { return f.cluster.stepDown(ctx, f.stream) }); err != nil {
		return err
	}
	return until(ctx, f.cluster.nats.Whole)
}

// nodeKilled kills a node of the log and starts it again. It is whole when every node has
// all that it must have.
type nodeKilled struct {
	nats *service.NATSCluster
	node int
	away time.Duration
}

func (f nodeKilled) inflict(ctx context.Context) error {
	if err := (killed{f.nats.Nodes[f.node], f.away}).inflict(ctx); err != nil {
		return err
	}
	return until(ctx, f.nats.Whole)
}

const (
	wholeTimeout = 60 * time.Second
	wholePoll    = 100 * time.Millisecond
)

// until waits until something is whole again.
func until(ctx context.Context, whole func() error) error {
	ctx, cancel := context.WithTimeout(ctx, wholeTimeout)
	defer cancel()
	for {
		err := whole()
		if err == nil || ctx.Err() != nil {
			return err
		}
		wait(ctx, wholePoll)
	}
}
