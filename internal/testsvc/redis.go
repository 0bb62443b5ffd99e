package testsvc

import (
	"testing"

	"tickcast/internal/service"
)

// Redis starts an empty Redis and returns its URL.
func Redis(t testing.TB) string {
	t.Helper()
	return StartRedis(t).URL
}

// StartRedis starts an empty Redis without persistence: it forgets everything
// when it is stopped.
func StartRedis(t testing.TB) *Service {
	t.Helper()
	return start(t, service.Redis(Require(t, "redis-server"), t.TempDir()))
}
