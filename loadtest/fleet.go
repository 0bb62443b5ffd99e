package loadtest

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"sync"
	"time"
)

// Fleet says in which processes a swarm's bots are. The zero value stands for this
// process, and for as many more of it as its limit of open files needs.
type Fleet struct {
	// Workers is how many processes are started on this machine; 0 means as many as the
	// files need, or none when Remote ones are enough. With one and no Remote the bots
	// are in this process.
	Workers int `json:"workers,omitempty"`
	// Command starts a worker: a program that calls Work with its standard input and
	// output.
	Command []string `json:"-"`
	// Remote is how many workers of other machines take part. They connect to
	// Listener, know Key, and have RemoteWait (0: one minute) to do so. What is said to
	// them contains tokens, so the network in between must be trusted. The listener is
	// closed when all are there.
	Remote     int           `json:"remote,omitempty"`
	Listener   net.Listener  `json:"-"`
	Key        []byte        `json:"-"`
	RemoteWait time.Duration `json:"-"`

	// foreign takes the clocks of all workers for others than this process's; for tests.
	foreign bool
}

func (f *Fleet) validate() error {
	switch {
	case f.Workers < 0 || f.Remote < 0 || f.Workers+f.Remote > maxWorkers:
		return fmt.Errorf("workers: %d here and %d elsewhere are not between 0 and %d", f.Workers, f.Remote, maxWorkers)
	case f.Remote > 0 && (f.Listener == nil || len(f.Key) < leastKey):
		return fmt.Errorf("workers: those of other machines need an address to connect to and a key of at least %d bytes", leastKey)
	case f.Workers > 1 && len(f.Command) == 0:
		return errors.New("workers: how to start them is not known")
	}
	return nil
}

// leastKey is the least length of a key in bytes: 128 bits.
const leastKey = 16

// localWorkers is how many processes to start here, 0 when the bots are in this one.
func (c *Config) localWorkers() (int, error) {
	f := &c.Fleet
	files, known := openFileLimit()
	enough := !known || filesFor(c.Bots) <= files
	switch {
	case f.Workers > 1 || (f.Workers == 1 && f.Remote > 0):
		return f.Workers, nil
	case f.Remote > 0 || (f.Workers <= 1 && enough):
		return 0, nil
	case f.Workers == 1 || len(f.Command) == 0 || botsFor(files) == 0:
		return 0, fmt.Errorf("%d bots need %d files, and this process may open %d: %w", c.Bots, filesFor(c.Bots), files, errTooManyBots)
	}
	n := (c.Bots + botsFor(files) - 1) / botsFor(files)
	if n > maxWorkers {
		return 0, fmt.Errorf("%d bots: %w", c.Bots, errTooManyBots)
	}
	return n, nil
}

// note is one line of the conversation between a coordinator and a worker. Type
// says which field is set.
type note struct {
	Type      string     `json:"type"`
	Challenge *challenge `json:"challenge,omitempty"` // both ways
	Hello     *hello     `json:"hello,omitempty"`     // from the worker
	Plan      *plan      `json:"plan,omitempty"`      // to the worker
	Clock     *exchange  `json:"clock,omitempty"`     // to the worker, and back with there
	Sample    *sample    `json:"sample,omitempty"`    // from the worker
	Marks     marks      `json:"marks,omitempty"`     // from the worker, and of all to it
	Tally     *tally     `json:"tally,omitempty"`     // from the worker
	Error     string     `json:"error,omitempty"`     // from the worker
}

// Types of notes.
const (
	noteChallenge = "challenge" // who are you? both ways, at first
	noteHello     = "hello"     // what this worker can do
	notePlan      = "plan"      // what it shall do
	noteClock     = "clock"     // what does your clock read?
	noteSample    = "sample"    // a second of the run
	noteSettle    = "settle"    // stop acting
	noteMarks     = "marks"     // the newest updates
	noteTally     = "tally"     // the result
	noteError     = "error"     // the worker cannot go on
)

// challenge proves that the other side knows the key: it must answer the nonce
// with its authentication code.
type challenge struct {
	Nonce []byte `json:"nonce"`
	Code  []byte `json:"code,omitempty"` // for the other side's nonce
}

func newNonce() []byte {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return b
}

func codeOf(key []byte, role string, nonce []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(role))
	mac.Write(nonce)
	return mac.Sum(nil)
}

// hello is what a worker tells of itself.
type hello struct {
	Name  string `json:"name"`
	Files uint64 `json:"files"`           // it may open, 0 when not known
	Clock string `json:"clock,omitempty"` // see clockID
}

func newHello() *hello {
	files, _ := openFileLimit()
	host, _ := os.Hostname()
	return &hello{Name: fmt.Sprintf("%s:%d", host, os.Getpid()), Files: files, Clock: clockID()}
}

// line is one side of a conversation in lines of JSON. It is safe for concurrent
// use, but for read, which is for one goroutine.
type line struct {
	rw io.ReadWriteCloser
	in *json.Decoder

	mu  sync.Mutex
	out *json.Encoder // guarded by mu
}

// writeTimeout is how long the other side may take to read a note.
const writeTimeout = 5 * time.Second

func newLine(rw io.ReadWriteCloser) *line {
	return &line{rw: rw, in: json.NewDecoder(bufio.NewReaderSize(rw, 64<<10)), out: json.NewEncoder(rw)}
}

func (l *line) send(n *note) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c, ok := l.rw.(net.Conn); ok {
		_ = c.SetWriteDeadline(time.Now().Add(writeTimeout))
	}
	return l.out.Encode(n)
}

func (l *line) read() (*note, error) {
	var n note
	if err := l.in.Decode(&n); err != nil {
		return nil, err
	}
	if n.Type == noteError {
		return nil, fmt.Errorf("it says: %.400s", n.Error)
	}
	return &n, nil
}

// expect reads a note of one type.
func (l *line) expect(kind string) (*note, error) {
	n, err := l.read()
	if err != nil {
		return nil, err
	}
	filled := map[string]bool{noteChallenge: n.Challenge != nil, noteHello: n.Hello != nil, noteClock: n.Clock != nil}
	if n.Type != kind || !filled[kind] {
		return nil, fmt.Errorf("a note of type %.40q instead of %q", n.Type, kind)
	}
	return n, nil
}

// child is a worker process as a connection: what is written goes to its standard
// input, what it prints comes back.
type child struct {
	io.Reader
	io.WriteCloser
	cmd *exec.Cmd
}

// startChild starts a worker process. Its end must be waited for with Close.
func startChild(ctx context.Context, command []string, stderr io.Writer) (*child, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stderr = stderr
	cmd.WaitDelay = writeTimeout
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &child{out, in, cmd}, nil
}

// Close ends the worker's input, which ends the worker, and waits for it.
func (c *child) Close() error {
	_ = c.WriteCloser.Close()
	return c.cmd.Wait()
}
