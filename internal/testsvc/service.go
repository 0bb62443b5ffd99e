package testsvc

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// Limits of patience with a service. They are generous, because a test machine
// may be busy with everything else; a failing service is noticed by its exit.
const (
	readyTimeout = 60 * time.Second
	stopTimeout  = 10 * time.Second
	startTries   = 5 // something else on the machine may take the port before the service does
)

// spec is how one kind of service is run.
type spec struct {
	name  string
	path  string
	args  func(port int) []string
	ready string         // in its output: it answers
	stop  syscall.Signal // ends it in good order
	dir   string         // working directory with its data
	user  *account       // nil: as the test
	url   func(port int) string
}

// Service is a running process that speaks on a loopback port. Its methods fail
// the test that started it.
type Service struct {
	// URL is where clients connect. It stays the same over Kill and Start.
	URL string
	// Port is the TCP port on 127.0.0.1.
	Port int
	// Dir holds its data, which a test may damage while the service is stopped.
	Dir string

	t    testing.TB
	spec spec
	run  *process // nil while stopped
	log  *output
}

// start starts a service and stops it when the test ends.
func start(t testing.TB, sp spec) *Service {
	t.Helper()
	s := &Service{Dir: sp.dir, t: t, spec: sp, log: &output{}}
	t.Cleanup(func() {
		s.Stop()
		if t.Failed() {
			t.Logf("the end of what %s said:\n%s", sp.name, s.log.tail())
		}
	})
	var err error
	for range startTries {
		s.Port = FreePort(t)
		if err = s.launch(); err == nil {
			s.URL = sp.url(s.Port)
			return s
		}
	}
	t.Fatalf("start %s: %v\n%s", sp.name, err, s.log.tail())
	return nil
}

// Start starts the service again after Kill or Stop, on the same port and with
// the same data, and returns when it answers.
func (s *Service) Start() {
	s.t.Helper()
	if s.run != nil {
		s.t.Fatalf("start %s: it is running", s.spec.name)
	}
	if err := s.launch(); err != nil {
		s.t.Fatalf("start %s: %v\n%s", s.spec.name, err, s.log.tail())
	}
}

// Kill ends the service at once (SIGKILL), as a crash would. It does nothing when
// the service is stopped already.
func (s *Service) Kill() {
	s.end(syscall.SIGKILL)
}

// Stop ends the service in good order, by force when that takes too long. It does
// nothing when the service is stopped already.
func (s *Service) Stop() {
	s.end(s.spec.stop)
}

// Suspend stops the process from running until Resume, so that it hangs with its
// connections open (SIGSTOP).
func (s *Service) Suspend() { s.signal(syscall.SIGSTOP) }

// Resume lets a suspended process go on (SIGCONT).
func (s *Service) Resume() { s.signal(syscall.SIGCONT) }

// Log returns the end of what the service wrote to its standard output and error.
func (s *Service) Log() string { return s.log.tail() }

func (s *Service) launch() error {
	cmd := exec.Command(s.spec.path, s.spec.args(s.Port)...)
	cmd.Dir = s.spec.dir
	cmd.Env = append(os.Environ(), "LC_ALL=C") // the ready line is in English
	s.log.expect(s.spec.ready)
	cmd.Stdout, cmd.Stderr = s.log, s.log
	cmd.WaitDelay = stopTimeout // for children that hold the output open after it
	run, err := spawn(cmd, s.spec.user)
	if err != nil {
		return err
	}
	patience := time.NewTimer(readyTimeout)
	defer patience.Stop()
	select {
	case <-s.log.ready():
		s.run = run
		return nil
	case <-run.exited:
		return fmt.Errorf("ended before it was ready: %v", cmd.ProcessState)
	case <-patience.C:
		run.kill()
		return fmt.Errorf("did not say %q within %v", s.spec.ready, readyTimeout)
	}
}

func (s *Service) signal(sig syscall.Signal) {
	s.t.Helper()
	if s.run == nil {
		s.t.Fatalf("signal %s: it is stopped", s.spec.name)
	}
	if err := s.run.signal(sig); err != nil {
		s.t.Fatalf("signal %s: %v", s.spec.name, err)
	}
}

func (s *Service) end(sig syscall.Signal) {
	if s.run == nil {
		return
	}
	run := s.run
	s.run = nil
	// An error means that it is gone, which is what is wanted.
	_ = run.signal(sig)
	_ = run.signal(syscall.SIGCONT) // a suspended process sees no other signal
	patience := time.NewTimer(stopTimeout)
	defer patience.Stop()
	select {
	case <-run.exited:
	case <-patience.C:
		s.t.Logf("%s did not stop within %v and was killed", s.spec.name, stopTimeout)
		run.kill()
	}
}

// address is the loopback address with a port.
func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// tempDir makes a directory that a process of another user can reach, which
// t.TempDir is not. It is removed when the test ends.
func tempDir(t testing.TB, name string, user *account) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tickcast-"+name+"-")
	if err != nil {
		t.Fatalf("directory for %s: %v", name, err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove directory of %s: %v", name, err)
		}
	})
	if user != nil {
		if err := os.Chown(dir, user.uid, user.gid); err != nil {
			t.Fatalf("directory for %s: %v", name, err)
		}
	}
	return dir
}
