package monitoring

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const doc = "../../../doc/"

// documented reads the Prometheus names of the metrics and of the labels out of the document.
func documented(t *testing.T) (metrics, labels map[string]bool) {
	t.Helper()
	text, err := os.ReadFile(doc + "monitoring.md")
	require.NoError(t, err)
	metrics, labels = map[string]bool{}, map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `quiesce\\.[a-z_.]+` \\| (?:`[^`]+`)? ?\\| `(quiesce_[a-z_]+)` \\|").FindAllStringSubmatch(string(text), -1) {
		metrics[m[1]] = true
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `quiesce\\.[a-z_.]+` \\| `(quiesce_[a-z_]+)` \\|").FindAllStringSubmatch(string(text), -1) {
		labels[m[1]] = true
	}
	require.NotEmpty(t, metrics)
	require.NotEmpty(t, labels)
	return metrics, labels
}

func rules(t *testing.T) []rulefmt.Rule {
	t.Helper()
	text, err := os.ReadFile(doc + "alerts.yml")
	require.NoError(t, err)
	groups, errs := rulefmt.Parse(text, false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	require.Empty(t, errs)
	var all []rulefmt.Rule
	for _, g := range groups.Groups {
		all = append(all, g.Rules...)
	}
	require.NotEmpty(t, all)
	return all
}

// unknown lists the metrics and labels of an expression that no agent exports.
func unknown(t *testing.T, expr string, metrics, labels map[string]bool) (bad []string) {
	t.Helper()
	e, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	require.NoError(t, err, "%s", expr)
	known := func(names ...string) {
		for _, l := range names {
			if !labels[l] && !slices.Contains([]string{"job", "instance", "le", "__name__"}, l) {
				bad = append(bad, "label "+l)
			}
		}
	}
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.VectorSelector:
			base := n.Name
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				base = strings.TrimSuffix(base, suffix)
			}
			if !metrics[n.Name] && !metrics[base] {
				bad = append(bad, "metric "+n.Name)
			}
			for _, m := range n.LabelMatchers {
				known(m.Name)
			}
		case *parser.AggregateExpr:
			known(n.Grouping...)
		case *parser.BinaryExpr:
			if n.VectorMatching != nil {
				known(n.VectorMatching.MatchingLabels...)
			}
		}
		return nil
	})
	return bad
}

func TestUnknownNamesAreFound(t *testing.T) {
	metrics, labels := documented(t)
	assert.Equal(t, []string{"metric quiesce_age", "label quiesce_host"}, unknown(t, `quiesce_age{quiesce_host="x"}`, metrics, labels))
	assert.Equal(t, []string{"label shop"}, unknown(t, `sum by (shop) (quiesce_run_duration_seconds_count)`, metrics, labels))
}

func TestAlertsAndDashboardNameWhatIsExported(t *testing.T) {
	metrics, labels := documented(t)
	for _, r := range rules(t) {
		assert.Empty(t, unknown(t, r.Expr, metrics, labels), "%s", r.Alert)
		assert.NotEmpty(t, r.Labels["severity"], "%s", r.Alert)
		for _, a := range []string{"summary", "description", "runbook"} {
			assert.NotEmpty(t, r.Annotations[a], "%s: %s", r.Alert, a)
		}
	}

	text, err := os.ReadFile(doc + "dashboard.json")
	require.NoError(t, err)
	var board struct {
		Panels []struct {
			Title, Type string
			Targets     []struct{ Expr string }
		}
	}
	require.NoError(t, json.Unmarshal(text, &board))
	require.NotEmpty(t, board.Panels)
	used := map[string]bool{}
	for _, p := range board.Panels {
		require.NotEmpty(t, p.Targets, "%s", p.Title)
		for _, target := range p.Targets {
			assert.Empty(t, unknown(t, target.Expr, metrics, labels), "%s", p.Title)
			for m := range metrics {
				used[m] = used[m] || strings.Contains(target.Expr, m)
			}
		}
	}
	for m, shown := range used {
		assert.True(t, shown, "no panel shows %s", m)
	}
}

// firing evaluates every rule over samples at a time and returns the names of those that have a result.
func firing(t *testing.T, load string, at time.Duration) (names []string) {
	t.Helper()
	storage := promqltest.LoadedStorage(t, load)
	defer storage.Close()
	engine := promqltest.NewTestEngine(t, false, 0, 1_000_000)
	for _, r := range rules(t) {
		q, err := engine.NewInstantQuery(t.Context(), storage, nil, r.Expr, time.Unix(0, 0).Add(at))
		require.NoError(t, err)
		res := q.Exec(t.Context())
		require.NoError(t, res.Err, "%s", r.Alert)
		v, err := res.Vector()
		require.NoError(t, err, "%s", r.Alert)
		if len(v) > 0 {
			names = append(names, r.Alert)
		}
		q.Close()
	}
	return names
}

func TestADocumentedMetricIsAnExportedOne(t *testing.T) {
	metrics, labels := documented(t)
	exported := map[string]bool{}
	all := days(t)
	for _, s := range all {
		for n := range s.names {
			exported[n] = true
		}
		for _, m := range regexp.MustCompile(`[{,](quiesce_[a-z_]+)=`).FindAllStringSubmatch(s.load, -1) {
			assert.True(t, labels[m[1]], "label %s is not in the document", m[1])
		}
	}
	assert.Equal(t, metrics, exported)

	for name, want := range map[string][]string{
		"good":       nil,
		"moving":     nil,
		"damaged":    {"QuiesceLastRunFailed", "QuiesceDamageFound"},
		"stuck":      {"QuiesceRecoveryPointOverdue", "QuiesceLastRunFailed", "QuiesceDamageFound", "QuiesceRunStuck"},
		"repaired":   {"QuiesceLastRunFailed", "QuiesceDamageFound"},
		"unverified": {"QuiesceLastRunFailed", "QuiesceDamageFound", "QuiesceNotVerified"},
	} {
		require.Contains(t, all, name)
		assert.Equal(t, want, firing(t, all[name].load, 149*time.Minute), "%s", name)
	}
}

func TestAlertsOnWhatTakesLong(t *testing.T) {
	up := fmt.Sprintf("  quiesce_agent_jobs{job=%q,instance=%q} 1+0x2000\n", "obm", "db1:9187")
	for name, c := range map[string]struct {
		load string
		want []string
	}{
		"nothing at all":       {"  up 1+0x2000\n", []string{"QuiesceAgentAbsent"}},
		"well":                 {up, nil},
		"one of two went away": {up + "  quiesce_agent_jobs{job=\"obm\",instance=\"db2:9187\"} 1+0x1000\n", []string{"QuiesceAgentAbsent"}},
		"never proven": {
			up + "  quiesce_recovery_point_age_seconds{quiesce_job=\"shop\",quiesce_item=\"\",quiesce_kind=\"none\"} 100000+60x2000\n", []string{"QuiesceNeverProven"},
		},
		"late":    {up + "  quiesce_schedule_due_seconds{quiesce_job=\"shop\",quiesce_action=\"verify\"} 80000-60x2000\n", []string{"QuiesceScheduleLate"}},
		"new gap": {up + "  quiesce_recovery_point_gaps{quiesce_job=\"shop\"} 1+0x1000 2+0x1000\n", []string{"QuiesceNewGap"}},
		"old gap": {up + "  quiesce_recovery_point_gaps{quiesce_job=\"shop\"} 2+0x2000\n", nil},
		"unheard notices": {
			up + "  quiesce_notices_total{job=\"obm\",instance=\"db1:9187\",quiesce_job=\"shop\",quiesce_notice=\"failed\",quiesce_outcome=\"failed\"} 0+1x2000\n",
			[]string{"QuiesceNoticesNotDelivered"},
		},
	} {
		assert.Equal(t, c.want, firing(t, "load 1m\n"+c.load, 1600*time.Minute), "%s", name)
	}
}
