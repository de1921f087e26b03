package backup_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
)

// life is a random life of an application under backup, at the end of which all that can be restored is compared with what was.
type life struct {
	l       *backuptest.Ledger
	mem     *backuptest.MemSink
	rnd     *rand.Rand
	stage   string
	shared  bool
	created int
	// promised are the spans that backups gave to a database, as long as nothing was pruned.
	promised map[string][]backup.Window
	did      map[string]int
}

// lives is how many are lived; more by the variable QUIESCE_LIVES.
func lives(t *testing.T) int {
	text, ok := os.LookupEnv("QUIESCE_LIVES")
	if !ok {
		return 16
	}
	n, err := strconv.Atoi(text)
	require.NoError(t, err)
	return n
}

// Random writes, backups of all kinds, new, dropped, failing and reset databases, truncated log and prunes. Afterwards every time
// that is advertised can be restored and gives the state of that time, every other is refused, and what a backup promised is kept.
func TestWhatIsAdvertisedIsWhatWas(t *testing.T) {
	t.Parallel()
	first := rand.Uint64()
	if text, ok := os.LookupEnv("QUIESCE_LIFE_SEED"); ok {
		var err error
		first, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	n := lives(t)
	did := make(chan map[string]int, n)
	t.Run("lives", func(t *testing.T) {
		for i := range n {
			t.Run(strconv.Itoa(i), func(t *testing.T) {
				t.Parallel()
				t.Logf("QUIESCE_LIFE_SEED=%d, the life of number 0 with it", first+uint64(i))
				m := newLife(first+uint64(i), t.TempDir())
				for range 40 {
					m.step(t)
				}
				m.compare(t)
				did <- m.did
			})
		}
	})
	close(did)
	sum := map[string]int{}
	for d := range did {
		for k, n := range d {
			sum[k] += n
		}
	}
	t.Log(sum)
	if n >= 16 && !t.Failed() {
		for _, what := range []string{"full", "log", "differential", "promoted", "partial", "pruned backups", "restored moments", "refused moments"} {
			require.Positive(t, sum[what], "the lives never came to: %s", what)
		}
	}
}

func newLife(seed uint64, stage string) *life {
	m := &life{mem: backuptest.NewMemSink(), rnd: rand.New(rand.NewPCG(seed, 2)), stage: stage, promised: map[string][]backup.Window{}, did: map[string]int{}}
	m.shared = m.rnd.IntN(2) == 0
	m.l = backuptest.NewLedger(&backuptest.LedgerOptions{Ballast: int64(m.rnd.IntN(2)) * 70 << 10, SharedLog: m.shared})
	return m
}

func (m *life) pipeline(t *testing.T, src backup.Source) *backup.Pipeline {
	// The target keeps the application's time, so that retention counts from there.
	cfg := backup.Config{Job: worldJob, Source: src, Sink: m.mem, PartSize: 64 << 10, Workers: 2, Now: m.l.Now}
	if m.rnd.IntN(4) == 0 {
		cfg.Stager = backup.DirStager{Dir: m.stage}
	}
	p, err := backup.New(cfg)
	require.NoError(t, err)
	return p
}

// step does one thing that happens to applications.
func (m *life) step(t *testing.T) {
	names := m.l.Current().Names()
	one := names[m.rnd.IntN(len(names))]
	switch m.rnd.IntN(20) {
	default:
		require.NoError(t, m.l.Mutate(1+m.rnd.IntN(5)))
	case 0, 1:
		m.backup(t, backup.Full)
	case 2, 3, 4, 5:
		m.backup(t, backup.Log)
	case 6:
		m.backup(t, backup.Differential)
	case 7:
		m.l.FailDatabase(one, errors.New("page 7 cannot be read"))
		m.backup(t, []backup.Kind{backup.Full, backup.Log}[m.rnd.IntN(2)])
		m.l.FailDatabase(one, nil)
	case 8:
		m.created++
		if name := "db" + strconv.Itoa(m.created%4); !slices.Contains(names, name) { // names are used again
			require.NoError(t, m.l.Create(name))
		}
	case 9:
		if len(names) > 2 {
			require.NoError(t, m.l.Drop(one))
		}
	case 10:
		m.breakLog(t, one)
	case 11:
		require.NoError(t, m.l.Advance(time.Duration(1+m.rnd.IntN(20))*time.Hour))
	case 12:
		m.prune(t)
	}
}

func (m *life) breakLog(t *testing.T, db string) {
	if m.shared {
		db = ""
	}
	if m.rnd.IntN(2) == 0 {
		require.NoError(t, m.l.ResetLog(db))
	} else {
		require.NoError(t, m.l.TruncateLog(db))
	}
}

func (m *life) backup(t *testing.T, kind backup.Kind) {
	man, err := m.pipeline(t, m.l.Source(nil)).Backup(t.Context(), kind)
	if errors.Is(err, backup.ErrPartial) {
		m.did["partial"]++
		err = nil
	}
	require.NoError(t, err)
	require.Empty(t, m.l.Open())
	for _, it := range man.Items {
		if it.Failed() {
			continue
		}
		m.did[string(it.Kind)]++
		if it.Reason != "" {
			m.did["promoted"]++
		}
		if it.Name != backuptest.LedgerLogItem {
			m.promised[it.Name] = append(m.promised[it.Name], it.Window)
		}
	}
}

// prune applies a random policy. What the policy keeps stays restorable, and nothing new appears.
func (m *life) prune(t *testing.T) {
	sealed := backup.ProofSealed
	policy := []backup.Policy{
		{Last: 1},
		{Last: 2},
		{Window: time.Duration(1+m.rnd.IntN(48)) * time.Hour},
		{Daily: 2, MinProof: &sealed},
		{Hourly: 3, Last: 1},
	}[m.rnd.IntN(5)]
	p := m.pipeline(t, nil)
	before, err := p.History(t.Context())
	require.NoError(t, err)
	plan, err := p.Prune(t.Context(), policy)
	require.NoError(t, err)
	after, err := p.History(t.Context())
	require.NoError(t, err)
	require.Len(t, after, len(before)-len(plan.Remove))
	m.did["pruned backups"] += len(plan.Remove)
	if len(plan.Remove) > 0 {
		clear(m.promised)
	}
	now := m.l.Now()
	for _, at := range m.moments(60) {
		for _, name := range m.l.At(at).Names() {
			was, is := before.Coverage(name).Contains(at), after.Coverage(name).Contains(at)
			require.False(t, is && !was, "%s at %s became restorable by a prune", name, at)
			if policy.Window > 0 && !at.Before(now.Add(-policy.Window)) {
				require.Equal(t, was, is, "%s at %s lies in the window of %s and was pruned away", name, at, policy.Window)
			}
		}
	}
	requireTidy(t, t.Context(), m.mem)
}

// moments are up to n times of the past, on events and between them.
func (m *life) moments(n int) []time.Time {
	all := m.l.Moments()
	m.rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	all = all[:min(n, len(all))]
	for i := range all {
		all[i] = all[i].Add(time.Duration(m.rnd.IntN(3)) * 300 * time.Millisecond)
	}
	return append(all, m.l.Now())
}

// compare restores many times of the past into another server and looks whether it is what was.
func (m *life) compare(t *testing.T) {
	reader := m.pipeline(t, nil)
	h, err := reader.History(t.Context())
	require.NoError(t, err)
	for _, at := range m.moments(40) {
		want := m.l.At(at)
		target := backup.Target{Time: at}
		for _, name := range want.Names() {
			plan := h.Plan(backup.Target{Time: at, Select: []backup.Selection{{Name: name}}})
			if !h.Coverage(name).Contains(at) {
				require.ErrorIs(t, plan.Err(), backup.ErrRefused, "%s at %s is not advertised and planned", name, at)
				m.did["refused moments"]++
				continue
			}
			require.NoError(t, plan.Err(), "%s at %s is advertised", name, at)
			target.Select = append(target.Select, backup.Selection{Name: name})
		}
		if target.Select != nil {
			m.restore(t, target, want)
		}
	}
	for name, windows := range m.promised {
		for _, w := range windows {
			for _, at := range []time.Time{w.From, w.From.Add(w.To.Sub(w.From) / 2), w.To} {
				require.True(t, h.Coverage(name).Contains(at), "a backup gave %s the span from %s to %s; %s is not advertised", name, w.From, w.To, at)
			}
		}
	}
}

func (m *life) restore(t *testing.T, target backup.Target, want backuptest.Books) {
	scratch := backuptest.NewLedger(&backuptest.LedgerOptions{Databases: []string{}})
	p := m.pipeline(t, scratch.Source(nil))
	plan, err := p.Plan(t.Context(), target)
	require.NoError(t, err)
	require.NoError(t, p.Restore(t.Context(), plan, backup.RestoreOptions{}), "%s", target.Time)
	var names []string
	for _, s := range target.Select {
		names = append(names, s.Name)
	}
	got := scratch.Current()
	require.Equal(t, slices.Sorted(slices.Values(names)), got.Names())
	require.Empty(t, want.Only(names...).Diff(got), "restored to %s", target.Time)
	m.did["restored moments"]++
}
