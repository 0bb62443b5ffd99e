//go:build long && linux

package compose

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

const (
	// insideOf holds the directory of the run for the part of the test that is alone
	// in its namespaces.
	insideOf = "COMPOSE_TEST_DIRECTORY"
	// rootfsFile may name a tar of a Debian root file system with the packages, from
	// an earlier run of debootstrap.
	rootfsFile = "COMPOSE_TEST_ROOTFS"

	bots = 50
	// files is the limit of open files for the program: not every root may set the
	// compose file's default.
	files = 4096
	// debootstrap and two builds on a busy machine.
	prepareTimeout = 25 * time.Minute
	runTimeout     = 12 * time.Minute
)

// TestComposeFileRuns starts the whole compose file, unchanged, with podman, and
// lets bots play through HAProxy. No registry is asked: services come from Debian
// packages and from go.mod, the program from the sources. Everything runs in
// namespaces that end with the test.
func TestComposeFileRuns(t *testing.T) {
	if dir := os.Getenv(insideOf); dir != "" {
		stack{dir: dir, project: mustLoad(t)}.test(t)
		return
	}
	dir := t.TempDir()
	requireContainers(t, dir)
	prepare(t, dir)

	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), runTimeout)
	defer cancel()
	cmd := host(ctx, dir, self, "-test.run=^TestComposeFileRuns$", "-test.v")
	cmd.Env = append(os.Environ(), insideOf+"="+dir)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		t.Errorf("inside of the namespaces: %v", err)
	}
	nothingLeft(t, dir)
}

// requireContainers skips the test where it cannot run. Where only programs are
// missing, that is a failure under CI; the kind of the environment is not.
func requireContainers(t *testing.T, dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: the compose file was NOT started: containers need root here")
	}
	var missing []string
	for _, program := range []string{"podman", "runc", "podman-compose", "debootstrap", "iptables", "unshare", "ip", "/usr/lib/podman/netavark", "/usr/lib/podman/aardvark-dns"} {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, program)
		}
	}
	if missing != nil {
		reason := fmt.Sprintf("the compose file was NOT started: %v not installed (scripts/install-test-deps.sh containers)", missing)
		if os.Getenv("CI") == "true" {
			t.Fatal(reason)
		}
		t.Skip("SKIPPED: " + reason)
	}
	if out, err := host(t.Context(), dir, "true").CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: the compose file was NOT started: no namespaces: %v\n%s", err, out)
	}
}

// host is a command alone on a host with podman, see the script.
func host(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(root, "scripts/container-host.sh"), append([]string{dir}, args...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 30 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	return cmd
}

// prepare puts into dir whatever needs the network or the sources: the namespaces
// have neither a route nor a module cache of their own.
func prepare(t *testing.T, dir string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), prepareTimeout)
	defer cancel()
	script := `
	cp docker-compose.yml Dockerfile .dockerignore "$1"
	cp -r deploy test/compose/images "$1"
	scripts/compose-env.sh "$1/.env"
	echo "STACK_NOFILE=$2" >>"$1/.env"
	export CGO_ENABLED=0
	go build -trimpath -o "$1/bin/tickcast" .
	go build -trimpath -o "$1/images/nats-server" github.com/nats-io/nats-server/v2
	if [ -n "${3:-}" ]; then
		ln -s "$3" "$1/rootfs.tar"
		exit
	fi
	. /etc/os-release
	mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' |
		awk -v suite="$VERSION_CODENAME" '$2 == suite && $3 == "main" { print $1; exit }')
	unshare --mount debootstrap --variant=minbase --include=redis-server,haproxy,postgresql \
		"$VERSION_CODENAME" "$1/rootfs" "${mirror:-http://deb.debian.org/debian}" >"$1/debootstrap.log" 2>&1 ||
		{ tail -n 20 "$1/debootstrap.log"; exit 1; }
	tar -C "$1/rootfs" --exclude=./var/cache --exclude=./usr/share/doc -cf "$1/rootfs.tar" .
	rm -rf "$1/rootfs"`
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script, "prepare", dir, strconv.Itoa(files), os.Getenv(rootfsFile))
	cmd.Dir = root
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("prepare: %v\n%s", err, out)
	}
}

// nothingLeft checks that no process and no mount of the run is there any more.
func nothingLeft(t *testing.T, dir string) {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), dir) {
		t.Errorf("mounts are left under %s", dir)
	}
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range lines {
		// A process that has ended since has no command line.
		if line, err := os.ReadFile(path); err == nil && strings.Contains(string(line), dir) {
			t.Errorf("%s is left: %q", path, line)
		}
	}
}

// stack is the compose file in containers. It is used inside of the namespaces.
type stack struct {
	dir     string
	project *types.Project
}

func (s stack) test(t *testing.T) {
	s.build(t)
	defer s.down(t)
	s.up(t)
	key := s.secret(t, "TICKCAST_OPERATOR_KEY")
	s.run(t, "bin/tickcast", "rooms", "create", "table", "--set", "betting_ms=3000",
		"--api", "http://127.0.0.1:9090", "--operator-key-file", key)
	s.play(t)
}

// build makes the images: stand-ins under the names in the compose file, and the
// program's own by its Dockerfile.
func (s stack) build(t *testing.T) {
	s.run(t, "podman", "import", "-q", "rootfs.tar", "localhost/debian")
	for name, service := range s.project.Services {
		if service.Build == nil {
			s.run(t, "podman", "build", "-q", "--target", name, "-t", service.Image, "-f", "images/Containerfile", "images")
		}
	}
	image := s.project.Services["gateway"]
	s.run(t, "podman", "build", "-q", "--target", image.Build.Target, "--build-arg", "BINARY=local", "-t", image.Image, ".")
}

func (s stack) up(t *testing.T) {
	// Debian's podman-compose does not know ipam: it uses the network that is there.
	s.run(t, "podman", "network", "create", "--subnet", s.project.Networks["default"].Ipam.Config[0].Subnet, "tickcast_default")
	s.run(t, "podman-compose", "-p", "tickcast", "up", "-d", "--no-build")
	s.eventually(t, "HAProxy has a gateway for players", func() bool { return get("http://127.0.0.1:8080/") != "" })
	s.eventually(t, "both gateways are ready", func() bool {
		return get(s.gateway(t, 1)+"/readyz") != "" && get(s.gateway(t, 2)+"/readyz") != ""
	})
	s.eventually(t, "HAProxy has a gateway for operators", func() bool { return get("http://127.0.0.1:9090/console") != "" })
}

// play runs the swarm, and looks meanwhile how its connections are spread.
func (s stack) play(t *testing.T) {
	key := s.secret(t, "TICKCAST_JWT_SECRET")
	cmd := s.command("bin/tickcast", "swarm", "--url", "ws://127.0.0.1:8080/ws", "--room", "table",
		"--bots", strconv.Itoa(bots), "--duration", "20s", "--settle", "60s", "--jwt-secret-file", key)
	var report strings.Builder
	cmd.Stdout, cmd.Stderr = &report, &report
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()

	most := [2]int{}
	s.eventually(t, "all bots are connected", func() bool {
		most = [2]int{s.connections(t, 1), s.connections(t, 2)}
		return most[0]+most[1] >= bots
	})
	t.Logf("connections of the gateways: %v", most)
	// Least connections: even, but for bots that reconnect in the same moment.
	for i, n := range most {
		if n < bots/2-bots/10 {
			t.Errorf("gateway %d has %d of %d connections", i+1, n, bots)
		}
	}
	err := <-ended
	t.Logf("%s", report.String())
	if err != nil || !strings.Contains(report.String(), "verdict: PASSED") {
		t.Errorf("the swarm did not pass: %v", err)
	}
	if regexp.MustCompile(`\b0 commands, `).MatchString(report.String()) {
		t.Error("the bots did not play")
	}
}

// down prints the containers' last lines if something failed, and removes them.
func (s stack) down(t *testing.T) {
	if t.Failed() {
		for _, args := range []string{"ps -a", "logs haproxy_1", "logs gateway_1", "logs gateway_2", "logs room_1", "logs room_2", "logs ledger_1", "logs nats_1", "logs redis_1", "logs postgres_1"} {
			args := strings.Fields(strings.Replace(args, "logs ", "logs --tail 15 tickcast_", 1))
			out, err := s.command("podman", args...).CombinedOutput()
			t.Logf("podman %v: %v\n%s", args, err, out)
		}
	}
	s.run(t, "podman-compose", "-p", "tickcast", "down", "-v")
	if left := s.run(t, "podman", "ps", "-aq"); left != "" {
		t.Errorf("containers are left: %s", left)
	}
}

// gateway is the internal address of a gateway.
func (s stack) gateway(t *testing.T, number int) string {
	t.Helper()
	ip := s.run(t, "podman", "inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", fmt.Sprintf("tickcast_gateway_%d", number))
	return "http://" + strings.TrimSpace(ip) + ":9090"
}

func (s stack) connections(t *testing.T, number int) int {
	t.Helper()
	value := regexp.MustCompile(`(?m)^tickcast_connections (\d+)$`).FindStringSubmatch(get(s.gateway(t, number) + "/metrics"))
	if value == nil {
		return 0
	}
	n, err := strconv.Atoi(value[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// secret writes a variable of .env into a file of its own and returns the path.
func (s stack) secret(t *testing.T, name string) string {
	t.Helper()
	env, err := os.ReadFile(filepath.Join(s.dir, ".env"))
	if err != nil {
		t.Fatal(err)
	}
	value := regexp.MustCompile(`(?m)^` + name + `=(\S+)$`).FindSubmatch(env)
	if value == nil {
		t.Fatalf("no %s in .env", name)
	}
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, value[1], 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func (s stack) command(name string, args ...string) *exec.Cmd {
	if strings.Contains(name, "/") {
		name = filepath.Join(s.dir, name)
	}
	cmd := exec.Command(name, args...)
	cmd.Dir = s.dir
	return cmd
}

// run returns what a command writes to its standard output.
func (s stack) run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := s.command(name, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s%s", name, args, err, out, stderr.String())
	}
	return string(out)
}

func (s stack) eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not after two minutes: %s", what)
		}
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// get returns the body of an answer with status 200, or nothing.
func get(url string) string {
	client := http.Client{Timeout: 5 * time.Second}
	answer, err := client.Get(url)
	if err != nil {
		return ""
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		return ""
	}
	return string(body)
}
