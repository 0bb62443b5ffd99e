package app

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"tickcast/bus"
)

var update = flag.Bool("update", false, "write the golden files anew")

// source is where a configuration comes from in a test.
type source struct {
	args []string
	env  []string
	yaml string
}

func (s source) load(t *testing.T) (*Config, error) {
	t.Helper()
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	addFlags(flags)
	args := s.args
	if s.yaml != "" {
		path := filepath.Join(t.TempDir(), "c.yaml")
		if err := os.WriteFile(path, []byte(s.yaml), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append([]string{"--config", path}, args...)
	}
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return load(flags, s.env)
}

func (s source) mustLoad(t *testing.T) *Config {
	t.Helper()
	c, err := s.load(t)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaultsAreValid(t *testing.T) {
	c := source{}.mustLoad(t)
	if err := c.validate(ProcessServe); err != nil {
		t.Fatal(err)
	}
	if !c.guestsOn() || c.Listen != "127.0.0.1:8080" || c.InternalListen != "127.0.0.1:9090" || c.Data != "data" {
		t.Fatalf("defaults: %+v", c)
	}
}

// TestPrecedence sets every option in the file, in the environment and by its
// flag, and takes the sources away one after the other.
func TestPrecedence(t *testing.T) {
	values := map[string][3]string{ // by kind of field: file, environment, flag
		"string": {"f", "e", "a"}, "int": {"11", "12", "13"}, "duration": {"1s", "2s", "3s"}, "list": {"[f, g]", "e,h", "a,i"},
	}
	for _, o := range options() {
		if o.secret {
			continue
		}
		kind := kindOf(o)
		v, ok := values[kind]
		if kind == "bool" {
			v, ok = [3]string{"true", "false", "true"}, true
		}
		if !ok {
			t.Fatalf("option %s: unknown kind %s", o.name, kind)
		}
		all := source{[]string{"--" + o.name + "=" + v[2]}, []string{o.variable() + "=" + v[1]}, o.name + ": " + v[0]}
		noFlag, onlyFile := all, all
		noFlag.args, onlyFile.args, onlyFile.env = nil, nil, nil
		for i, s := range []source{onlyFile, noFlag, all} {
			got, want := o.render(s.mustLoad(t)), expected(o, v[i])
			if got != want {
				t.Errorf("option %s: %s, want %s from source %d", o.name, got, want, i)
			}
		}
	}
}

func kindOf(o option) string {
	flags := pflag.NewFlagSet("kinds", pflag.ContinueOnError)
	addFlag(flags, o)
	kind := flags.Lookup(o.name).Value.Type()
	if kind == "stringSlice" {
		return "list"
	}
	return kind
}

// expected is how a value is rendered.
func expected(o option, value string) string {
	var c Config
	if err := o.assign(&c, anyList(o, value)); err != nil {
		return err.Error()
	}
	return o.render(&c)
}

func anyList(o option, value string) string {
	if kindOf(o) == "list" {
		return strings.Trim(value, "[]")
	}
	return value
}

func TestRefusedConfiguration(t *testing.T) {
	for _, c := range []struct {
		why  string
		from source
		want string
	}{
		{"unknown key", source{yaml: "lisen: x"}, `unknown key "lisen": the nearest one is "listen"`},
		{"nested key", source{yaml: "nats:\n  url: x"}, `unknown key "nats.url": the nearest one is "nats-url"`},
		{"unknown variable", source{env: []string{"TICKCAST_REDIS_URI=x"}}, `unknown environment variable "TICKCAST_REDIS_URI": the nearest one is "TICKCAST_REDIS_URL"`},
		{"unknown empty variable", source{env: []string{"TICKCAST_LISTENS="}}, `unknown environment variable "TICKCAST_LISTENS"`},
		{"secret in the file", source{yaml: "jwt-secret: abc"}, "TICKCAST_JWT_SECRET"},
		{"number", source{env: []string{"TICKCAST_PARTITIONS=many"}}, `TICKCAST_PARTITIONS: "many" is not a whole number`},
		{"fraction in the file", source{yaml: "partitions: 1.5"}, `partitions: "1.5" is not a whole number`},
		{"text that is a number", source{yaml: "listen: 8080"}, "listen: 8080 is not a text"},
		{"duration", source{yaml: "drain-window: 10"}, `drain-window: "10" is not a duration`},
		{"list of numbers", source{yaml: "allowed-origins: [1]"}, "allowed-origins: is not a list"},
		{"no such file", source{args: []string{"--config", "/nowhere/c.yaml"}}, "/nowhere/c.yaml"},
		{"not YAML", source{yaml: "a: [b"}, "read configuration"},
	} {
		if _, err := c.from.load(t); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one with %q", c.why, err, c.want)
		}
	}
}

func TestEmptyVariableIsNotSet(t *testing.T) {
	c := source{env: []string{"TICKCAST_PARTITIONS=", "TICKCAST_LISTEN=", "OTHER=1", "broken"}}.mustLoad(t)
	if c.Partitions != 0 || c.Listen != "127.0.0.1:8080" {
		t.Fatalf("%+v", c)
	}
}

func TestServiceLinksAreNoOptions(t *testing.T) {
	links := []string{
		"TICKCAST_SERVICE_HOST=10.0.0.11", "TICKCAST_SERVICE_PORT=8080", "TICKCAST_SERVICE_PORT_HTTP=8080",
		"TICKCAST_PORT=tcp://10.0.0.11:8080", "TICKCAST_PORT_8080_TCP=tcp://10.0.0.11:8080", "TICKCAST_PORT_8080_TCP_PROTO=tcp",
		"TICKCAST_PORT_8080_TCP_PORT=8080", "TICKCAST_PORT_8080_TCP_ADDR=10.0.0.11", "TICKCAST_GATEWAY_SERVICE_HOST=10.0.0.12",
	}
	if c := (source{env: links}).mustLoad(t); c.Listen != "127.0.0.1:8080" {
		t.Fatalf("%+v", c)
	}
	if _, err := (source{env: []string{"TICKCAST_PORTS=1"}}).load(t); err == nil {
		t.Fatal("a misspelt variable was taken for a service link")
	}
}

func TestConfigFileFromTheEnvironment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte("partitions: 3"), 0o600); err != nil {
		t.Fatal(err)
	}
	if c := (source{env: []string{"TICKCAST_CONFIG=" + path}}).mustLoad(t); c.Partitions != 3 {
		t.Fatalf("partitions %d, want 3", c.Partitions)
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		why     string
		process Process
		args    []string
		want    []string // none: valid
	}{
		{"gateway alone", ProcessGateway, nil, []string{"nats-url is required by gateway", "redis-url is required by gateway"}},
		{"ledger needs a database", ProcessLedger, []string{"--nats-url=n", "--redis-url=redis://r"}, []string{"database-url is required by ledger"}},
		{"room", ProcessRoom, []string{"--nats-url=n", "--redis-url=redis://r"}, nil},
		{"any port", ProcessServe, []string{"--listen=127.0.0.1:0", "--internal-listen=127.0.0.1:0"}, nil},
		{"no port", ProcessServe, []string{"--listen=localhost"}, []string{"listen: "}},
		{"large port", ProcessServe, []string{"--internal-listen=:70000"}, []string{"internal-listen: "}},
		{"one port", ProcessServe, []string{"--internal-listen=127.0.0.1:8080"}, []string{"different ports"}},
		{"replicas embedded", ProcessServe, []string{"--replicas=3"}, []string{"replicas: 3"}},
		{"two replicas", ProcessRoom, []string{"--nats-url=n", "--redis-url=redis://r", "--replicas=2"}, []string{"replicas: 2"}},
		{
			"several at once", ProcessServe,
			[]string{"--guests=yes", "--log-level=loud", "--message-rate=0", "--node=a.b", "--partitions=5000"},
			[]string{"guests: ", "log-level: ", "message-rate: ", "node: ", "partitions: "},
		},
		{"a log that is never trimmed", ProcessServe, []string{"--log-keep=-1"}, nil},
		{"segments and checkpoints", ProcessServe, []string{"--log-keep=0", "--segment-records=10", "--checkpoint-records=10", "--checkpoint-interval=1s"}, nil},
		{
			"small segments and checkpoints", ProcessServe,
			[]string{"--log-keep=-2", "--segment-records=9", "--checkpoint-records=9", "--checkpoint-interval=999ms"},
			[]string{"log-keep: -2 is not", "segment-records: 9 is not between 10 and 32768", "checkpoint-records: 9 is not", "checkpoint-interval: 999ms is not between 1s and 24h"},
		},
		{
			"large segments and long intervals", ProcessServe,
			[]string{"--segment-records=32769", "--checkpoint-interval=24h1s"},
			[]string{"segment-records: 32769 is not", "checkpoint-interval: 24h0m1s is not"},
		},
		{"proxies", ProcessServe, []string{"--trusted-proxies=10.0.0.0/8,::1"}, nil},
		{"bad proxy", ProcessServe, []string{"--trusted-proxies=10.0.0.0/40"}, []string{"trusted-proxies: "}},
		{"operator as the gateway", ProcessGateway, []string{"--nats-url=nats://gateway:pw@n", "--redis-url=redis://r"}, []string{"operator-nats-url"}},
		{"operator by itself", ProcessGateway, []string{"--nats-url=nats://gateway:pw@n", "--operator-nats-url=nats://operator:pw@n", "--redis-url=redis://r"}, nil},
		{"redis of another kind", ProcessServe, []string{"--redis-url=http://:hunter2@x"}, []string{"redis-url: redis URL: redis: invalid URL scheme"}},
		{"redis port", ProcessServe, []string{"--redis-url=redis://:hunter2@x:port"}, []string{"redis-url: redis URL: invalid port"}},
		{"sentinels", ProcessServe, []string{"--redis-url=redis://:hunter2@a:26379/0?master_name=m&addr=b:26379&password=hunter2"}, nil},
		{"sentinels of nobody", ProcessServe, []string{"--redis-url=redis://a?master_name=&password=hunter2"}, []string{"redis-url: redis URL: master_name is empty"}},
		{"sentinels without a master", ProcessServe, []string{"--redis-url=redis://a?addr=b:26379"}, []string{"redis-url: redis URL: redis: unexpected option: addr"}},
		{"sentinel without a port", ProcessServe, []string{"--redis-url=redis://a?master_name=m&addr=b"}, []string{"redis-url: redis URL: redis: unable to parse addr"}},
		{"replicas of sentinels", ProcessServe, []string{"--redis-url=redis://a?master_name=m&route_randomly=true"}, []string{"only the master is asked"}},
	} {
		err := source{args: c.args}.mustLoad(t).validate(c.process)
		if len(c.want) == 0 && err != nil {
			t.Errorf("%s: %v", c.why, err)
		}
		for _, want := range c.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v, want one with %q", c.why, err, want)
			}
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error tells a password", c.why)
		}
	}
}

func TestGuests(t *testing.T) {
	for _, c := range []struct {
		args []string
		want bool
	}{
		{nil, true},
		{[]string{"--guests=off"}, false},
		{[]string{"--nats-url=n"}, false},
		{[]string{"--nats-url=n", "--guests=on"}, true},
	} {
		if got := (source{args: c.args}).mustLoad(t).guestsOn(); got != c.want {
			t.Errorf("%v: guests %v, want %v", c.args, got, c.want)
		}
	}
}

func TestNATSPasswords(t *testing.T) {
	c := source{
		args: []string{"--nats-url=nats://a:4222, b,nats://me:own@c"},
		env:  []string{bus.PasswordVariable(bus.RoleRoom) + "=p w"},
	}.mustLoad(t)
	if got, want := c.natsURL(bus.RoleRoom), "nats://room:p%20w@a:4222,nats://room:p%20w@b,nats://me:own@c"; got != want {
		t.Errorf("room: %s, want %s", got, want)
	}
	if got := c.natsURL(bus.RoleGateway); got != c.NATSURL {
		t.Errorf("gateway without a password: %s", got)
	}
}

func TestEveryRoleHasItsUser(t *testing.T) {
	s := source{
		args: []string{"--nats-url=n", "--redis-url=redis://r"},
		env:  []string{bus.PasswordVariable(bus.RoleGateway) + "=pw"},
	}
	if err := s.mustLoad(t).validate(ProcessGateway); err == nil || !strings.Contains(err.Error(), bus.PasswordVariable(bus.RoleOperator)) {
		t.Errorf("a gateway without the operator's password: %v", err)
	}
	s.env = append(s.env, bus.PasswordVariable(bus.RoleOperator)+"=pw")
	if err := s.mustLoad(t).validate(ProcessGateway); err != nil {
		t.Error(err)
	}
}

func TestDefaultConfigIsTheDefault(t *testing.T) {
	var b bytes.Buffer
	writeDefaults(&b)
	got, want := source{yaml: b.String()}.mustLoad(t), source{}.mustLoad(t)
	for _, o := range options() {
		if o.render(got) != o.render(want) {
			t.Errorf("option %s: %s, want %s", o.name, o.render(got), o.render(want))
		}
	}
	golden(t, "defaultconfig.yaml", b.Bytes())
}

// TestHelp keeps the help of every command in a golden file.
func TestHelp(t *testing.T) {
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if !slices.Contains([]string{"help", "completion"}, c.Name()) {
			args := append(strings.Fields(c.CommandPath())[1:], "--help")
			var out bytes.Buffer
			if code := Main(t.Context(), args, &out, &out); code != 0 {
				t.Errorf("%v: exit code %d", args, code)
			}
			golden(t, "help/"+strings.ReplaceAll(c.CommandPath(), " ", "-")+".txt", out.Bytes())
			for _, child := range c.Commands() {
				walk(child)
			}
		}
	}
	walk(newRoot())
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", filepath.FromSlash(name))
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run the test with -update and look at the difference)", err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (run the test with -update and look at the difference):\n%s", path, got)
	}
}

func TestCheckConfigPrintsNoSecret(t *testing.T) {
	secret := strings.Repeat("9f2c71d0", 8)
	t.Setenv("TICKCAST_JWT_SECRET", secret)
	t.Setenv("TICKCAST_OPERATOR_KEY", secret)
	t.Setenv("TICKCAST_NATS_GATEWAY_PASSWORD", secret)
	var out bytes.Buffer
	t.Setenv("TICKCAST_NATS_OPERATOR_PASSWORD", secret)
	args := []string{"checkconfig", "--process=gateway", "--nats-url=nats://u:hunter2@n", "--operator-nats-url=nats://u:hunter2@n", "--redis-url=redis://:hunter2@r?master_name=m&password=hunter2"}
	if code := Main(t.Context(), args, &out, &out); code != 0 {
		t.Fatalf("exit code %d: %s", code, &out)
	}
	if strings.Contains(out.String(), secret) || strings.Contains(out.String(), "hunter2") {
		t.Errorf("a secret was printed:\n%s", &out)
	}
	if !strings.Contains(out.String(), "TICKCAST_JWT_SECRET: set") || !strings.Contains(out.String(), "TICKCAST_ROOM_SECRET: not set") {
		t.Errorf("it is not told which secrets are set:\n%s", &out)
	}
	out.Reset()
	if code := Main(t.Context(), []string{"checkconfig", "--guests=maybe"}, &out, &out); code != 1 || !strings.Contains(out.String(), "guests") {
		t.Errorf("exit code %d of a wrong configuration: %s", code, &out)
	}
}
