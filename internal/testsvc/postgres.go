package testsvc

import (
	"testing"

	"tickcast/internal/service"
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
	user, err := service.Unprivileged() // PostgreSQL refuses to run as root
	if err != nil {
		t.Fatal(err)
	}
	spec, err := service.Postgres(initdb, postgres, tempDir(t, "postgres", user), user)
	if err != nil {
		t.Fatal(err)
	}
	return start(t, spec)
}
