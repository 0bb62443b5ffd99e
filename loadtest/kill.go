package loadtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"
)

// Kill says what to do to a gateway in the middle of a run. The zero value leaves
// that to who watches.
type Kill struct {
	// Expected fails the run when no connection broke.
	Expected bool `json:"expected,omitempty"`
	// PID is a process of this machine that is killed, 0 for none.
	PID int `json:"pid,omitempty"`
	// Command is run by the shell, "" for none.
	Command string `json:"command,omitempty"`
	// After is when, since the run began; 0 means half of Duration.
	After time.Duration `json:"after_ns,omitempty"`
}

// killing is a kill that is planned or done. A nil one is none.
type killing struct {
	cancel context.CancelFunc
	work   sync.WaitGroup
	err    error // set when work is done
}

// plan does it after a time.
func (k *Kill) plan(wait time.Duration) *killing {
	if k.PID == 0 && k.Command == "" {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &killing{cancel: cancel}
	p.work.Go(func() {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
			p.err = k.do(ctx)
		case <-ctx.Done():
			p.err = fmt.Errorf("the run ended before the kill was due")
		}
	})
	return p
}

func (k *Kill) do(ctx context.Context) error {
	if k.PID != 0 {
		p, err := os.FindProcess(k.PID)
		if err == nil {
			err = p.Kill()
		}
		if err != nil {
			return fmt.Errorf("kill process %d: %w", k.PID, err)
		}
	}
	if k.Command != "" {
		if out, err := exec.CommandContext(ctx, "sh", "-c", k.Command).CombinedOutput(); err != nil {
			return fmt.Errorf("run %q: %w: %.200s", k.Command, err, out)
		}
	}
	return nil
}

// end waits until it is done, or calls it off, and tells how it went.
func (p *killing) end() error {
	if p == nil {
		return nil
	}
	p.cancel()
	p.work.Wait()
	return p.err
}
