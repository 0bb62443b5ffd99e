package compose

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

const root = "../.."

// variables are what scripts/compose-env.sh draws.
func variables(t *testing.T) []string {
	t.Helper()
	env := filepath.Join(t.TempDir(), "env")
	out, err := exec.Command(filepath.Join(root, "scripts/compose-env.sh"), env).CombinedOutput()
	if err != nil {
		t.Fatalf("compose-env.sh: %v\n%s", err, out)
	}
	info, err := os.Stat(env)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("secrets: %v, %v; want mode 0600", info, err)
	}
	b, err := os.ReadFile(env)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(b))
}

// load parses the compose file as docker compose does: unknown keys and missing
// variables are errors.
func load(t *testing.T, env []string) (*types.Project, error) {
	t.Helper()
	options, err := cli.NewProjectOptions([]string{filepath.Join(root, "docker-compose.yml")}, cli.WithEnv(env), cli.WithResolvedPaths(true))
	if err != nil {
		t.Fatal(err)
	}
	return options.LoadProject(context.Background())
}

func mustLoad(t *testing.T) *types.Project {
	t.Helper()
	p, err := load(t, variables(t))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// program builds the binary.
func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tickcast")
	build := exec.Command("go", "build", "-o", path, ".")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return path
}

func TestServices(t *testing.T) {
	p := mustLoad(t)
	want := []string{"gateway", "haproxy", "ledger", "nats", "postgres", "redis", "room"}
	if got := p.ServiceNames(); !slices.Equal(got, want) {
		t.Errorf("services %v, want %v", got, want)
	}
	for name, n := range map[string]int{"gateway": 2, "room": 2, "ledger": 1} {
		if s := p.Services[name]; s.GetScale() != n {
			t.Errorf("%s: %d replicas, want %d", name, s.GetScale(), n)
		}
	}
	for _, s := range p.Services {
		for _, v := range s.Volumes {
			if v.Type != types.VolumeTypeBind {
				continue
			}
			if _, err := os.Stat(v.Source); err != nil {
				t.Errorf("%s mounts %v", s.Name, err)
			}
		}
		for _, port := range s.Ports {
			if port.Target == 9090 && port.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes the internal port on %q", s.Name, port.HostIP)
			}
		}
	}
}

func TestSecretsAreMandatory(t *testing.T) {
	all := variables(t)
	for i, v := range all {
		name, _, _ := strings.Cut(v, "=")
		if _, err := load(t, slices.Delete(slices.Clone(all), i, i+1)); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

// TestSecretsStayHere: the file of secrets goes into no commit and into no image.
func TestSecretsStayHere(t *testing.T) {
	for file, want := range map[string]string{".gitignore": "/.env\n", ".dockerignore": ".env*\n"} {
		if !strings.Contains(read(t, file), want) {
			t.Errorf("%s has no line %q", file, want)
		}
	}
}

// TestSettingsAreKnown checks the configuration of each role with the program.
func TestSettingsAreKnown(t *testing.T) {
	binary, p := program(t), mustLoad(t)
	for _, name := range []string{"gateway", "room", "ledger"} {
		s := p.Services[name]
		if len(s.Command) != 1 || s.Command[0] != name {
			t.Errorf("%s runs %v", name, s.Command)
		}
		cmd := exec.Command(binary, "checkconfig", "--process", name)
		cmd.Env = image(t)
		for k, v := range s.Environment {
			if v == nil { // handed on where it is set, and here it is not
				continue
			}
			cmd.Env = append(cmd.Env, k+"="+*v)
		}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
		for _, line := range []string{`listen: "0.0.0.0:8080"`, `internal-listen: "0.0.0.0:9090"`} {
			if !strings.Contains(string(out), line) {
				t.Errorf("%s: %q is not in effect:\n%s", name, line, out)
			}
		}
	}
}

// image is the environment that the Dockerfile sets.
func image(t *testing.T) []string {
	t.Helper()
	var env []string
	for _, m := range regexp.MustCompile(`TICKCAST_[A-Z_]+=\S+`).FindAllString(read(t, "Dockerfile"), -1) {
		env = append(env, m)
	}
	if len(env) != 3 {
		t.Fatalf("the Dockerfile sets %v", env)
	}
	return env
}

func TestImage(t *testing.T) {
	dockerfile := read(t, "Dockerfile")
	for _, want := range []string{"FROM scratch AS runtime", "USER 65532:65532", `ENTRYPOINT ["/tickcast"]`, `CMD ["serve"]`, "VOLUME /data", "EXPOSE 8080 9090"} {
		if !strings.Contains(dockerfile, want) {
			t.Errorf("the Dockerfile has no line %q", want)
		}
	}
	golang := regexp.MustCompile(`FROM golang:(\S+) `).FindStringSubmatch(dockerfile)
	if golang == nil || !strings.Contains(read(t, "go.mod"), "\ngo "+golang[1]+".") {
		t.Errorf("the image is built with %v, go.mod wants another Go", golang)
	}
	if p := mustLoad(t); p.Services["gateway"].Build.Target != "runtime" {
		t.Error("compose builds another stage")
	}
}

func TestNATSConfigIsRendered(t *testing.T) {
	out, err := exec.Command(program(t), "natsconfig", "--monitor", "0.0.0.0:8222").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out, []byte(read(t, "deploy/nats/nats.conf"))) {
		t.Error("deploy/nats/nats.conf is not what tickcast natsconfig --monitor 0.0.0.0:8222 prints")
	}
	p := mustLoad(t)
	for _, v := range regexp.MustCompile(`\$(TICKCAST_\w+)`).FindAllStringSubmatch(string(out), -1) {
		if value := p.Services["nats"].Environment[v[1]]; value == nil || !regexp.MustCompile(`^'[0-9a-f]{64}'$`).MatchString(*value) {
			t.Errorf("nats has no quoted %s", v[1])
		}
	}
}

func TestHAProxyConfig(t *testing.T) {
	path, err := exec.LookPath("haproxy")
	if err != nil {
		path = "/usr/sbin/haproxy"
		if _, err := os.Stat(path); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal("haproxy is not installed")
			}
			t.Skip("SKIPPED: haproxy is not installed")
		}
	}
	file, err := filepath.Abs(filepath.Join(root, "deploy/haproxy/haproxy.cfg"))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(path, "-c", "-f", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	text := read(t, "deploy/haproxy/haproxy.cfg")
	for _, want := range []string{"balance leastconn", "/readyz", "retry-on conn-failure empty-response 503", "gateway:8080", "port 9090"} {
		if !strings.Contains(text, want) {
			t.Errorf("haproxy.cfg has no %q", want)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
