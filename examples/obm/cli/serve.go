package cli

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"

	"github.com/quiesce-go/quiesce/agent"
	"github.com/quiesce-go/quiesce/backup"
)

// metrics are what /metrics shows.
type metrics struct {
	registry *prometheus.Registry
	provider *metric.MeterProvider
}

func newMetrics() (*metrics, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(registry), otelprometheus.WithoutScopeInfo())
	if err != nil {
		return nil, &backup.Error{Op: "prepare metrics", Err: err}
	}
	return &metrics{registry: registry, provider: metric.NewMeterProvider(metric.WithReader(exporter))}, nil
}

func (m *metrics) close(ctx context.Context) {
	_ = m.provider.Shutdown(context.WithoutCancel(ctx)) // nothing is sent anywhere; what was not asked for is not missed
}

// listen serves /metrics and /healthz until ctx ends. Without an address it serves nothing.
func (r *runner) listen(ctx context.Context, m *metrics) error {
	addr := string(r.built[0].cfg.Agent.Listen)
	if addr == "" {
		return nil
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return usage(&backup.Error{Op: "serve metrics and health", Err: err,
			Advice: "another agent may be running (see status), or set agent.listen to a free address, or to none"})
	}
	since := r.in.now()
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		h := Health{Running: true, Version: r.in.builtAs().Version, Since: since, Jobs: append([]agent.JobStatus{}, r.agent.Status()...)}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(h) // a client that went away needs no answer
	})
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	r.log.Info("serving", "addr", l.Addr().String())
	stop := context.AfterFunc(ctx, func() { _ = s.Close() }) // answers are short, and a client that holds on must not hold us
	defer stop()
	if err := s.Serve(l); ctx.Err() == nil || !errors.Is(err, http.ErrServerClosed) {
		return &backup.Error{Op: "serve metrics and health", Err: err, Advice: "see whether the machine has run out of something, and start the agent again"}
	}
	return nil
}
