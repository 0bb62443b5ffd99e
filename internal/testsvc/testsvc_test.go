package testsvc

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"tickcast/internal/service"
	"tickcast/internal/testkit"
)

// dial opens a connection to the address of a service's URL.
func dial(t *testing.T, service string) net.Conn {
	t.Helper()
	u, err := url.Parse(service)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.DialTimeout("tcp", u.Host, 5*time.Second)
	if err != nil {
		t.Fatalf("dial %s: %v", service, err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

// say writes a line and wants the next line to begin with a text.
func say(t *testing.T, c net.Conn, line, want string) {
	t.Helper()
	if _, err := fmt.Fprintf(c, "%s\r\n", line); err != nil {
		t.Fatal(err)
	}
	got, err := bufio.NewReader(c).ReadString('\n')
	if err != nil || !strings.HasPrefix(got, want) {
		t.Fatalf("said %q, got %q (%v), want %q", line, got, err, want)
	}
}

func TestRedis(t *testing.T) {
	t.Parallel()
	s := StartRedis(t)
	say(t, dial(t, s.URL), "PING", "+PONG")
	s.Kill()
	s.Start()
	say(t, dial(t, s.URL), "PING", "+PONG")
	s.Suspend()
	s.Resume()
	say(t, dial(t, s.URL), "DBSIZE", ":0")
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	psql := Require(t, "psql")
	s := StartPostgres(t)
	query := func(sql string) string {
		t.Helper()
		out, err := exec.Command(psql, "-X", "-A", "-t", "-c", sql, s.URL).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", sql, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	query("create table kept (n int); insert into kept values (7)")
	s.Stop()
	s.Start()
	if got := query("select n from kept"); got != "7" {
		t.Errorf("after a restart: %q", got)
	}
}

func TestNATS(t *testing.T) {
	t.Parallel()
	s := StartNATS(t, "server_name: n17")
	info, err := bufio.NewReader(dial(t, s.URL)).ReadString('\n')
	if err != nil || !strings.Contains(info, `"server_name":"n17"`) || !strings.Contains(info, `"jetstream":true`) {
		t.Errorf("%s (%v)", info, err)
	}
	want, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", service.NATSModule).Output()
	if err != nil || !strings.Contains(info, `"version":"`+strings.TrimPrefix(strings.TrimSpace(string(want)), "v")+`"`) {
		t.Errorf("the version in go.mod is %s (%v), the server says %s", want, err, info)
	}
}

// A killed master is replaced by the replica. When it comes back one of them is the replica of the other. Which is the
// master is for the Sentinels to say, before and after: on a machine that stood still for a second they may have failed
// over once more.
func TestSentinelsReplaceTheMaster(t *testing.T) {
	t.Parallel()
	r := StartSentinelRedis(t)
	first, err := r.Master()
	if err != nil {
		t.Fatal(err)
	}
	first.Kill()
	testkit.Eventually(t, "the other one is the master", time.Minute, func() bool {
		m, err := r.Master()
		return err == nil && m != first
	})
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the group is whole again", time.Minute, func() bool { return r.Whole() == nil })
	if _, err := r.Master(); err != nil {
		t.Error(err)
	}
}

func TestNATSClusterNoticesItsNodes(t *testing.T) {
	t.Parallel()
	c := StartNATSCluster(t, func(n service.NATSNode) string {
		return fmt.Sprintf("server_name: %s\nhttp: %q\ncluster { name: c, listen: %q, routes: [%s] }",
			n.Name, n.Monitor, n.Routes, strings.Join(n.Others, ", "))
	})
	c.Nodes[1].Kill()
	if c.Whole() == nil {
		t.Error("a cluster without a node is whole")
	}
	if err := c.Nodes[1].Start(); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "the cluster is whole again", time.Minute, func() bool { return c.Whole() == nil })
}

func TestHAProxy(t *testing.T) {
	t.Parallel()
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "behind")
	}))
	defer backend.Close()
	s := StartHAProxy(t, fmt.Sprintf(`
defaults
    mode http
    timeout client 5s
    timeout server 5s
    timeout connect 5s
frontend public
    bind {{address}}
    default_backend gw
backend gw
    server a %s
`, strings.TrimPrefix(backend.URL, "http://")))
	testkit.Eventually(t, "HAProxy passes requests on", 10*time.Second, func() bool {
		res, err := http.Get(s.URL)
		if err != nil {
			return false
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		return err == nil && string(body) == "behind"
	})
}

func TestChromium(t *testing.T) {
	t.Parallel()
	out, err := exec.Command(Chromium(t), "--version").Output()
	if err != nil || !strings.Contains(string(out), "Chrom") {
		t.Errorf("%s (%v)", out, err)
	}
}

// judge is a test whose skip and failure are recorded.
type judge struct {
	testing.TB
	skipped, failed string
}

func (*judge) Helper() {}

func (j *judge) Skipf(format string, args ...any) {
	j.skipped = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (j *judge) Fatalf(format string, args ...any) {
	j.failed = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func TestMissingProgramSkipsAndFailsUnderCI(t *testing.T) {
	try := func(ci string) *judge {
		t.Setenv("CI", ci)
		j := &judge{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			Require(j, "no-such-program", "nor-this-one")
		}()
		<-done
		return j
	}
	if j := try(""); !strings.HasPrefix(j.skipped, "SKIPPED: no-such-program or nor-this-one") || j.failed != "" {
		t.Errorf("skipped %q, failed %q", j.skipped, j.failed)
	}
	if j := try("true"); j.failed == "" || j.skipped != "" {
		t.Errorf("under CI: skipped %q, failed %q", j.skipped, j.failed)
	}
}

// A port belongs to one test at a time, though nothing listens on it.
func TestFreePort(t *testing.T) {
	var port int
	t.Run("holder", func(t *testing.T) {
		port = FreePort(t)
		if _, ok := service.Reserve(port); ok {
			t.Errorf("port %d was given away twice", port)
		}
	})
	release, ok := service.Reserve(port)
	if !ok {
		t.Fatalf("port %d was not given back", port)
	}
	release()
	l, err := net.Listen("tcp", service.Address(port))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, ok := service.Reserve(port); ok {
		t.Errorf("port %d is in use", port)
	}
}
