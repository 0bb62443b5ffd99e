//go:build long

package room

import (
	"fmt"
	"strings"
	"testing"

	"tickcast/bus"
	"tickcast/internal/testsvc"
)

// startCluster starts three NATS servers and returns them with the URL of all.
func startCluster(t *testing.T) (servers []*testsvc.Service, url string) {
	t.Helper()
	var routes []string
	for range 3 {
		routes = append(routes, fmt.Sprintf("127.0.0.1:%d", testsvc.FreePort(t)))
	}
	passwords := map[bus.Role]string{}
	for _, r := range bus.Roles() {
		passwords[r] = "password"
	}
	var urls []string
	for i, addr := range routes {
		config := bus.ServerConfig(passwords, bus.ServerOptions{
			Name: fmt.Sprint("n", i), ClusterName: "c", ClusterAddr: addr, Routes: routesTo(routes),
		})
		s := testsvc.StartNATS(t, strings.Replace(config, `store_dir: "/data"`, "", 1))
		servers = append(servers, s)
		urls = append(urls, strings.Replace(s.URL, "nats://", "nats://room:password@", 1))
	}
	return servers, strings.Join(urls, ",")
}

func routesTo(addrs []string) (routes []string) {
	for _, a := range addrs {
		routes = append(routes, "nats://"+a)
	}
	return routes
}

// TestAReplicatedLogSurvivesItsNodes kills each node of three in turn, the leader of
// the log among them, and starts it again.
func TestAReplicatedLogSurvivesItsNodes(t *testing.T) {
	servers, url := startCluster(t)
	h := startLonely(t, url, 3)
	h.wantMore("rounds")
	for i, s := range servers {
		s.Kill()
		h.wantMore(fmt.Sprintf("node %d is dead", i))
		s.Start()
		h.wantMore(fmt.Sprintf("node %d is back", i))
	}
}
