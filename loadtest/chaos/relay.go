package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"tickcast/internal/service"
)

// relay carries the connections of one process to the nodes of the log, until it is
// cut: then nothing gets through in either direction, no connection is closed, and
// new ones are accepted and carry nothing, like a network that swallows packets. What
// was under way arrives when it is mended, however late.
type relay struct {
	listeners []net.Listener // static; one for each node
	targets   []string       // static; addresses of the nodes
	release   []func()       // static; of the ports

	mu   sync.Mutex
	flow chan struct{} // guarded by mu; closed while bytes flow
}

// newRelay listens on a port for each target.
func newRelay(targets []string) (*relay, error) {
	r := &relay{targets: targets, flow: make(chan struct{})}
	close(r.flow)
	for range targets {
		port, release, err := service.ReservePort()
		if err == nil {
			r.release = append(r.release, release)
			var l net.Listener
			if l, err = net.Listen("tcp", service.Address(port)); err == nil {
				r.listeners = append(r.listeners, l)
			}
		}
		if err != nil {
			r.close()
			return nil, fmt.Errorf("relay: %w", err)
		}
	}
	return r, nil
}

// addresses are where the process connects instead of to the targets.
func (r *relay) addresses() (out []string) {
	for _, l := range r.listeners {
		out = append(out, l.Addr().String())
	}
	return out
}

// Run carries connections until ctx ends. It returns after every goroutine that it
// started.
func (r *relay) Run(ctx context.Context) {
	stop := context.AfterFunc(ctx, r.close)
	defer stop()
	var work sync.WaitGroup
	defer work.Wait()
	for i, l := range r.listeners {
		work.Go(func() {
			for {
				conn, err := l.Accept()
				if errors.Is(err, net.ErrClosed) {
					return
				}
				if err == nil {
					work.Go(func() { r.carry(ctx, conn, r.targets[i]) })
				}
			}
		})
	}
}

func (r *relay) close() {
	for _, l := range r.listeners {
		_ = l.Close()
	}
	for _, release := range r.release {
		release()
	}
}

// cut stops the flow.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.flow:
		r.flow = make(chan struct{})
	default: // it is cut
	}
}

// mend lets everything flow again, beginning with what waits.
func (r *relay) mend() {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.flow:
	default:
		close(r.flow)
	}
}

// pass waits until bytes flow. It reports false when ctx ends first.
func (r *relay) pass(ctx context.Context) bool {
	for {
		r.mu.Lock()
		flow := r.flow
		r.mu.Unlock()
		select {
		case <-flow:
			return true
		case <-ctx.Done():
			return false
		}
	}
}

// carry connects one connection with its target, and ends with either of them.
func (r *relay) carry(ctx context.Context, from net.Conn, target string) {
	defer func() { _ = from.Close() }()
	if !r.pass(ctx) {
		return
	}
	to, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer func() { _ = to.Close() }()
	ended := make(chan struct{}, 2)
	for _, way := range [][2]net.Conn{{from, to}, {to, from}} {
		go func() {
			r.pump(ctx, way[1], way[0])
			ended <- struct{}{}
		}()
	}
	pumps := 2
	select {
	case <-ended:
		pumps--
	case <-ctx.Done():
	}
	_, _ = from.Close(), to.Close()
	for range pumps {
		<-ended
	}
}

// pump copies until either side ends. Nothing that was read is lost: it waits for the
// flow, and is written even when its sender has gone meanwhile.
func (r *relay) pump(ctx context.Context, to io.Writer, from io.Reader) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if !r.pass(ctx) {
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
