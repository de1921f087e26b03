package exchange

import (
	"context"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/exchange/ese"
)

// Estimate implements backup.Estimator, by the sizes of the files that can be seen from here. What is not known counts nothing, as the system state.
func (s *Source) Estimate(ctx context.Context, req backup.Request) (int64, error) {
	st, err := s.look(ctx)
	if err != nil {
		return 0, s.fail(ctx, "estimate", "", err)
	}
	var tasks []*task
	for _, t := range st.targets {
		tasks = append(tasks, s.decide(req, st.way, t))
	}
	return s.bytes(ctx, st.way, tasks), nil
}

// bytes is about how much the tasks take.
func (s *Source) bytes(ctx context.Context, way Way, tasks []*task) (total int64) {
	add := func(path string) {
		if f, size, err := live().open(ctx, path); err == nil {
			total += size
			_ = f.Close() // only its size was wanted
		}
	}
	for _, k := range tasks {
		if k.refusal != "" || ctx.Err() != nil {
			continue
		}
		if k.kind == backup.Full {
			for _, d := range k.Databases {
				add(d.File)
				add(d.StreamFile)
			}
		}
		files, err := live().list(k.LogDir)
		if err != nil {
			continue // a server elsewhere, or one whose folders nobody told
		}
		for _, f := range files {
			n, ok := ese.ParseLogName(baseName(f))
			if ok && (n.Generation >= k.last.next() || n.Generation == 0 && (k.kind == backup.Full || way == WayESE)) {
				add(f)
			}
		}
	}
	return total
}

var _ backup.Estimator = (*Source)(nil)
