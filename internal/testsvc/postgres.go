package testsvc

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// Postgres starts a PostgreSQL with an empty database and returns the database's
// URL. It takes one to two seconds, so tests of a package share one where they
// can.
func Postgres(t testing.TB) string {
	t.Helper()
	return StartPostgres(t).URL
}

// StartPostgres starts a PostgreSQL with an empty database. It keeps what was
// committed over Kill and Start, but would not over a power cut.
func StartPostgres(t testing.TB) *Service {
	t.Helper()
	initdb, postgres := Require(t, "initdb"), Require(t, "postgres")
	user := unprivileged(t) // PostgreSQL refuses to run as root
	dir := tempDir(t, "postgres", user)
	data := filepath.Join(dir, "data")
	create := exec.Command(initdb, "-D", data, "-U", "tickcast", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	create.Dir = dir
	create.Env = append(os.Environ(), "HOME="+dir)
	create.SysProcAttr = &syscall.SysProcAttr{Credential: user.credential()}
	if out, err := create.CombinedOutput(); err != nil {
		t.Fatalf("create a PostgreSQL cluster: %v\n%s", err, out)
	}
	return start(t, spec{
		name: "postgres",
		path: postgres,
		args: func(port int) []string {
			return []string{
				"-D", data, "-p", strconv.Itoa(port), "-h", "127.0.0.1",
				"-c", "unix_socket_directories=", "-c", "max_connections=200",
				// A commit is written, and so survives Kill, but not synchronised to the disk.
				"-c", "fsync=off", "-c", "full_page_writes=off",
			}
		},
		ready: "database system is ready to accept connections",
		stop:  syscall.SIGINT, // a fast shutdown: SIGTERM would wait for clients
		dir:   dir,
		user:  user,
		url:   func(port int) string { return "postgres://tickcast@" + address(port) + "/postgres?sslmode=disable" },
	})
}
