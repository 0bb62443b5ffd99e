package service

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// Limits of patience with a service. They are generous, because the machine may be
// busy with everything else; a failing service is noticed by its exit.
const (
	readyTimeout = 60 * time.Second
	stopTimeout  = 10 * time.Second
)

// Spec is how a program is run. All of it is static once a Service was made of it.
type Spec struct {
	Name    string
	Path    string                  // of the program
	Args    func(port int) []string // for a TCP port of 127.0.0.1; 0 when it has none
	Env     []string                // besides this process's environment
	Ready   string                  // in its output: it answers
	Stop    syscall.Signal          // ends it in good order
	Dir     string                  // working directory with its data
	Account *Account                // nil: as this process
	URL     func(port int) string   // where clients connect; nil for nowhere
	Output  io.Writer               // gets what it writes as well; nil for none
}

// launchTries: something else on the machine may take a port before the service does.
const launchTries = 5

// Service is a program that runs or has been run. It keeps its port and its data
// over Kill, Stop and Start.
type Service struct {
	spec    Spec
	port    int
	release func()   // gives the port back; nil when it is not the service's own
	run     *process // nil while stopped
	log     *output
}

// Launch starts a service on a free port, which is its own until Close.
func Launch(spec Spec) (*Service, error) {
	var failed error
	for range launchTries {
		port, release, err := ReservePort()
		if err != nil {
			return nil, err
		}
		s := New(spec, port)
		s.release = release
		err = s.Start()
		if err == nil {
			return s, nil
		}
		failed = fmt.Errorf("%w\n%s", err, s.Log())
		s.Close()
	}
	return nil, failed
}

// New prepares a service. It starts nothing.
func New(s Spec, port int) *Service {
	return &Service{spec: s, port: port, log: &output{tee: s.Output}}
}

// URL is where clients connect, "" for nowhere.
func (s *Service) URL() string {
	if s.spec.URL == nil {
		return ""
	}
	return s.spec.URL(s.port)
}

// Port is the TCP port of 127.0.0.1.
func (s *Service) Port() int { return s.port }

// Dir is where its data are.
func (s *Service) Dir() string { return s.spec.Dir }

// Name is the name in the Spec.
func (s *Service) Name() string { return s.spec.Name }

// Log is the end of what it wrote, 64 KiB at most.
func (s *Service) Log() string { return s.log.tail() }

// Begin starts the process and does not wait for it to be ready.
func (s *Service) Begin() error {
	if s.run != nil {
		return fmt.Errorf("start %s: it is running", s.spec.Name)
	}
	cmd := exec.Command(s.spec.Path, s.spec.Args(s.port)...)
	cmd.Dir = s.spec.Dir
	cmd.Env = append(append(os.Environ(), "LC_ALL=C"), s.spec.Env...) // the ready line is in English
	s.log.expect(s.spec.Ready)
	cmd.Stdout, cmd.Stderr = s.log, s.log
	cmd.WaitDelay = stopTimeout // for children that hold the output open after it
	run, err := spawn(cmd, s.spec.Account)
	if err != nil {
		return fmt.Errorf("start %s: %w", s.spec.Name, err)
	}
	s.run = run
	return nil
}

// Await waits until a process that was begun answers, for a minute at most. When
// it does not, it is killed.
func (s *Service) Await() error {
	run := s.run
	if run == nil {
		return fmt.Errorf("await %s: it is stopped", s.spec.Name)
	}
	patience := time.NewTimer(readyTimeout)
	defer patience.Stop()
	select {
	case <-s.log.ready():
		return nil
	case <-run.exited:
		s.run = nil
		return fmt.Errorf("start %s: ended before it was ready: %v", s.spec.Name, run.cmd.ProcessState)
	case <-patience.C:
		s.run = nil
		run.kill()
		return fmt.Errorf("start %s: did not say %q within %v", s.spec.Name, s.spec.Ready, readyTimeout)
	}
}

// Start starts the service and returns when it answers.
func (s *Service) Start() error {
	if err := s.Begin(); err != nil {
		return err
	}
	return s.Await()
}

// Running reports whether the process was started and has not ended, by itself or
// by the methods here.
func (s *Service) Running() bool {
	if s.run == nil {
		return false
	}
	select {
	case <-s.run.exited:
		return false
	default:
		return true
	}
}

// Signal sends the process a signal.
func (s *Service) Signal(sig syscall.Signal) error {
	if s.run == nil {
		return fmt.Errorf("signal %s: it is stopped", s.spec.Name)
	}
	if err := s.run.signal(sig); err != nil {
		return fmt.Errorf("signal %s: %w", s.spec.Name, err)
	}
	return nil
}

// Suspend stops the process from running until Resume, so that it hangs with its
// connections open (SIGSTOP).
func (s *Service) Suspend() error { return s.Signal(syscall.SIGSTOP) }

// Resume lets a suspended process go on (SIGCONT).
func (s *Service) Resume() error { return s.Signal(syscall.SIGCONT) }

// Kill ends the service at once (SIGKILL), as a crash would. It does nothing when
// the service is stopped already.
func (s *Service) Kill() { _ = s.end(syscall.SIGKILL, stopTimeout) }

// Stop ends the service in good order, by force when that takes longer than ten
// seconds, which is an error. It does nothing when the service is stopped already.
func (s *Service) Stop() error { return s.end(s.spec.Stop, stopTimeout) }

// Close kills the service and gives its port back.
func (s *Service) Close() {
	s.Kill()
	if s.release != nil {
		s.release()
		s.release = nil
	}
}

// StopWithin is Stop with another bound.
func (s *Service) StopWithin(d time.Duration) error { return s.end(s.spec.Stop, d) }

func (s *Service) end(sig syscall.Signal, within time.Duration) error {
	if s.run == nil {
		return nil
	}
	run := s.run
	s.run = nil
	// An error means that it is gone, which is what is wanted.
	_ = run.signal(sig)
	_ = run.signal(syscall.SIGCONT) // a suspended process sees no other signal
	patience := time.NewTimer(within)
	defer patience.Stop()
	select {
	case <-run.exited:
		return nil
	case <-patience.C:
		run.kill()
		return fmt.Errorf("%s did not stop within %v and was killed", s.spec.Name, within)
	}
}
