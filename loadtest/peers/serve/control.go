package serve

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Update is one update that is due.
type Update struct {
	Seq  uint64
	Due  int64 // CLOCK_MONOTONIC, ns
	Size int   // bytes of the message that clients shall get, at least minSize
}

// Broadcast brings an update to every client. It is called by one goroutine.
type Broadcast func(Update) error

// minSize is what an update takes in any envelope, and maxSize what NATS takes.
const (
	minSize = 128
	maxSize = 1 << 19
)

var errPace = errors.New(`not understood: want "publish RATE SIZE" or "stop"`)

// Control publishes as the lines of in say until it ends, and reports to out. The lines are the only way to
// end it; only an update that cannot be sent is an error.
func Control(in io.Reader, out io.Writer, send Broadcast) error {
	done := make(chan struct{})
	defer close(done)
	p := publisher{commands: make(chan string), send: send}
	go func() {
		defer close(p.commands)
		for s := bufio.NewScanner(in); s.Scan(); {
			select {
			case p.commands <- s.Text():
			case <-done:
				return
			}
		}
	}()
	runtime.LockOSThread() // the thread itself sleeps: timers of the runtime are late on a busy machine
	defer runtime.UnlockOSThread()
	command, ok := <-p.commands
	for ok {
		rate, size, err := parsePace(command)
		switch {
		case err != nil:
			return fmt.Errorf("command %q: %w", command, err)
		case rate == 0:
			fmt.Fprintf(out, "stopped %d\n", p.seq)
			command, ok = <-p.commands
		default:
			if command, ok, err = p.publish(rate, size); err != nil {
				return fmt.Errorf("send update %d: %w", p.seq, err)
			}
		}
	}
	return nil
}

type publisher struct {
	commands chan string // closed with the input
	send     Broadcast
	seq      uint64
}

// publish publishes until the next command, and returns it. The first update goes out even if the command is there
// already: whoever has something published gets something.
func (p *publisher) publish(rate float64, size int) (command string, ok bool, err error) {
	begin := Monotonic()
	for i := 0; ; i++ {
		due := begin + int64(float64(i)*1e9/rate)
		if err := sleepUntil(due); err != nil {
			return "", false, err
		}
		p.seq++
		if err := p.send(Update{Seq: p.seq, Due: due, Size: size}); err != nil {
			return "", false, err
		}
		select {
		case command, ok := <-p.commands:
			return command, ok, nil
		default:
		}
	}
}

// parsePace reads a command; rate 0 is to stop.
func parsePace(line string) (rate float64, size int, err error) {
	words := strings.Fields(line)
	if len(words) == 1 && words[0] == "stop" {
		return 0, 0, nil
	}
	if len(words) != 3 || words[0] != "publish" {
		return 0, 0, errPace
	}
	rate, err = strconv.ParseFloat(words[1], 64)
	if err != nil || rate < 0.1 || rate > 1e6 {
		return 0, 0, fmt.Errorf("rate %q is not between 0.1 and 1e6", words[1])
	}
	size, err = strconv.Atoi(words[2])
	if err != nil || size < minSize || size > maxSize {
		return 0, 0, fmt.Errorf("size %q is not between %d and %d", words[2], minSize, maxSize)
	}
	return rate, size, nil
}

// Monotonic is the time that servers and clients of one machine share, in ns.
func Monotonic() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic("serve: no monotonic clock: " + err.Error())
	}
	return t.Nano()
}

func sleepUntil(due int64) error {
	t := unix.NsecToTimespec(due)
	for {
		err := unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &t, nil)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// appendPayload appends the payload of an update that has no other envelope.
func appendPayload(b []byte, u Update) []byte {
	begin := len(b)
	b = fmt.Appendf(b, `{"seq":%d,"ts":%d,"x":"`, u.Seq, u.Due)
	for len(b)-begin < u.Size-2 {
		b = append(b, 'x')
	}
	return append(b, `"}`...)
}
