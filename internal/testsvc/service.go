package testsvc

import (
	"os"
	"testing"

	"tickcast/internal/service"
)

// Service is a running process that speaks on a loopback port. Its methods fail
// the test that started it.
type Service struct {
	// URL is where clients connect. It stays the same over Kill and Start.
	URL string
	// Port is the TCP port on 127.0.0.1.
	Port int
	// Dir holds its data, which a test may damage while the service is stopped.
	Dir string

	t   testing.TB
	run *service.Service
}

// start starts a service and stops it when the test ends.
func start(t testing.TB, spec service.Spec) *Service {
	t.Helper()
	run, err := service.Launch(spec)
	if err != nil {
		t.Fatal(err)
	}
	s := &Service{URL: run.URL(), Port: run.Port(), Dir: run.Dir(), t: t, run: run}
	t.Cleanup(func() {
		s.Stop()
		if t.Failed() {
			t.Logf("the end of what %s said:\n%s", run.Name(), run.Log())
		}
		run.Close()
	})
	return s
}

// Process is what runs, for what has no method here.
func (s *Service) Process() *service.Service { return s.run }

// must fails the test for an error.
func (s *Service) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("%v\n%s", err, s.run.Log())
	}
}

// Start starts the service again after Kill or Stop, on the same port and with
// the same data, and returns when it answers.
func (s *Service) Start() {
	s.t.Helper()
	s.must(s.run.Start())
}

// Kill ends the service at once (SIGKILL), as a crash would. It does nothing when
// the service is stopped already.
func (s *Service) Kill() { s.run.Kill() }

// Stop ends the service in good order, by force when that takes too long. It does
// nothing when the service is stopped already.
func (s *Service) Stop() {
	if err := s.run.Stop(); err != nil {
		s.t.Log(err)
	}
}

// Suspend stops the process from running until Resume, so that it hangs with its
// connections open (SIGSTOP).
func (s *Service) Suspend() {
	s.t.Helper()
	s.must(s.run.Suspend())
}

// Resume lets a suspended process go on (SIGCONT).
func (s *Service) Resume() {
	s.t.Helper()
	s.must(s.run.Resume())
}

// Log is the end of what it wrote.
func (s *Service) Log() string { return s.run.Log() }

// tempDir makes a directory that a process of another user can reach, which
// t.TempDir is not. It is removed when the test ends.
func tempDir(t testing.TB, name string, user *service.Account) string {
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
	if err := user.Own(dir); err != nil {
		t.Fatalf("directory for %s: %v", name, err)
	}
	return dir
}
