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

// StartSentinelRedis starts a Redis with a replica and three Sentinels.
func StartSentinelRedis(t testing.TB) *service.SentinelRedis {
	t.Helper()
	r, err := service.StartSentinelRedis(Require(t, "redis-server"), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Close()
		logsOf(t, append(r.Sentinels, r.Nodes...))
	})
	return r
}
