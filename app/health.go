package app

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// newMetrics makes the process's registry: the runtime's figures and what was
// built.
func newMetrics() *prometheus.Registry {
	r := prometheus.NewRegistry()
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "tickcast_build_info", Help: "Always 1; the label says what runs.",
		ConstLabels: prometheus.Labels{"version": version()},
	})
	info.Set(1)
	r.MustRegister(info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// internalHandler is the internal listener: health and metrics, which are open, and
// beside a gateway what is the operator's.
func (p *process) internalHandler() http.Handler {
	health := healthHandler(p.metrics, p.notReady)
	if p.operator == nil {
		return health
	}
	mux := http.NewServeMux()
	for _, path := range []string{"/livez", "/readyz", "/metrics"} {
		mux.Handle(path, health)
	}
	mux.Handle("/", p.operator.Handler())
	return mux
}

// healthHandler is the internal listener of a process without a gateway. Liveness
// depends on nothing: a process that waits for NATS is not helped by a restart.
// ready returns why the process is not ready, or "".
func healthHandler(metrics prometheus.Gatherer, ready func() string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if why := ready(); why != "" {
			http.Error(w, why, http.StatusServiceUnavailable)
			return
		}
		_, _ = w.Write([]byte("ok\n"))
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	return mux
}
