package bench

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// sayTimeout is how long a process may take to say what is expected: more than anything takes but the connecting
// of very many clients on a busy machine.
const sayTimeout = time.Minute

// child is a process that is told lines and says lines. Its methods are called by one goroutine.
type child struct {
	name  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines chan string // closed when the process has ended and all it said is in lines and log
	log   *tail
}

// startChild starts a process that ends with this one. The caller calls kill.
func startChild(name string, cmd *exec.Cmd) (*child, error) {
	c := &child{name: name, cmd: cmd, lines: make(chan string, 16), log: &tail{}}
	cmd.Stderr = c.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	c.stdin = stdin
	go func() {
		defer close(c.lines)
		for s := bufio.NewScanner(stdout); s.Scan(); {
			c.lines <- s.Text()
		}
		_ = cmd.Wait() // whoever expected something of it reports the end, and what it said
	}()
	return c, nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// say tells the process a line.
func (c *child) say(format string, args ...any) error {
	if _, err := fmt.Fprintf(c.stdin, format+"\n", args...); err != nil {
		return c.failure(err)
	}
	return nil
}

// expect waits for a line that begins with prefix and returns the rest of it.
func (c *child) expect(ctx context.Context, prefix string) (string, error) {
	timeout := time.NewTimer(sayTimeout)
	defer timeout.Stop()
	for {
		select {
		case <-ctx.Done():
			return "", context.Cause(ctx)
		case <-timeout.C:
			return "", c.failure(fmt.Errorf("did not say %q within %v", prefix, sayTimeout))
		case line, ok := <-c.lines:
			if !ok {
				return "", c.failure(fmt.Errorf("ended before it said %q", prefix))
			}
			if rest, ok := strings.CutPrefix(line, prefix); ok {
				return strings.TrimSpace(rest), nil
			}
		}
	}
}

// failure says what became of the process as well.
func (c *child) failure(err error) error {
	if said := c.log.String(); said != "" {
		return fmt.Errorf("%s: %w; it said: %s", c.name, err, said)
	}
	return fmt.Errorf("%s: %w", c.name, err)
}

// kill ends the process at once: nothing that it could write is of use.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	for range c.lines { // until it has ended
	}
}

// tail keeps the end of what a process writes. It is safe for concurrent use.
type tail struct {
	mu sync.Mutex
	b  []byte
}

// tailBytes are enough for an error and some lines before it.
const tailBytes = 2000

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if n := len(t.b) - tailBytes; n > 0 {
		t.b = append(t.b[:0], t.b[n:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(t.b))
}
