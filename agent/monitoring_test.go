package agent

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
)

// listing is a meter that notes the name and unit of every instrument it is asked for.
type listing struct {
	noop.Meter
	names map[string]string
}

func (l *listing) provider() metric.MeterProvider { return listingProvider{meter: l} }

type listingProvider struct {
	noop.MeterProvider
	meter *listing
}

func (p listingProvider) Meter(string, ...metric.MeterOption) metric.Meter { return p.meter }

func (l *listing) Int64Counter(name string, o ...metric.Int64CounterOption) (metric.Int64Counter, error) {
	l.names[name] = metric.NewInt64CounterConfig(o...).Unit()
	return l.Meter.Int64Counter(name, o...)
}

func (l *listing) Float64Histogram(name string, o ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	l.names[name] = metric.NewFloat64HistogramConfig(o...).Unit()
	return l.Meter.Float64Histogram(name, o...)
}

func (l *listing) Int64ObservableGauge(name string, o ...metric.Int64ObservableGaugeOption) (metric.Int64ObservableGauge, error) {
	l.names[name] = metric.NewInt64ObservableGaugeConfig(o...).Unit()
	return l.Meter.Int64ObservableGauge(name, o...)
}

func (l *listing) Float64ObservableGauge(name string, o ...metric.Float64ObservableGaugeOption) (metric.Float64ObservableGauge, error) {
	l.names[name] = metric.NewFloat64ObservableGaugeConfig(o...).Unit()
	return l.Meter.Float64ObservableGauge(name, o...)
}

var documented = regexp.MustCompile("(?m)^\\| `(quiesce\\.[a-z_.]+)` \\| (?:`([^`]+)`)? ?\\| `quiesce_[a-z_]+` \\|")

func TestEveryInstrumentIsDocumented(t *testing.T) {
	l := &listing{names: map[string]string{}}
	newObserver(Options{Meter: l.provider()}.withDefaults(), forgetful())
	require.Greater(t, len(l.names), 20)
	text, err := os.ReadFile("../doc/monitoring.md")
	require.NoError(t, err)
	told := map[string]string{}
	for _, m := range documented.FindAllStringSubmatch(string(text), -1) {
		told[m[1]] = m[2]
	}
	assert.Equal(t, l.names, told, "the table in doc/monitoring.md lists every instrument with its unit, and no other")
}
