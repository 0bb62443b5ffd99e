package service

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
)

// Postgres creates a PostgreSQL with an empty database in dir, and tells how to run
// it as the account, to which dir must belong. It keeps what was committed over Kill
// and Start, but would not over a power cut.
func Postgres(initdb, postgres, dir string, as *Account) (Spec, error) {
	data := filepath.Join(dir, "data")
	create := exec.Command(initdb, "-D", data, "-U", "tickcast", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	create.Dir = dir
	create.Env = append(os.Environ(), "HOME="+dir)
	create.SysProcAttr = &syscall.SysProcAttr{Credential: as.credential()}
	if out, err := create.CombinedOutput(); err != nil {
		return Spec{}, fmt.Errorf("create a PostgreSQL cluster: %w\n%s", err, out)
	}
	return Spec{
		Name: "postgres",
		Path: postgres,
		Args: func(port int) []string {
			return []string{
				"-D", data, "-p", strconv.Itoa(port), "-h", "127.0.0.1",
				"-c", "unix_socket_directories=", "-c", "max_connections=200",
				// A commit is written, and so survives Kill, but not synchronised to the disk.
				"-c", "fsync=off", "-c", "full_page_writes=off",
			}
		},
		Ready:   "database system is ready to accept connections",
		Stop:    syscall.SIGINT, // a fast shutdown: SIGTERM would wait for clients
		Dir:     dir,
		Account: as,
		URL:     func(port int) string { return "postgres://tickcast@" + Address(port) + "/postgres?sslmode=disable" },
	}, nil
}
