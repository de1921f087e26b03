package backuptest

import (
	"context"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// wrongSalvager is a LedgerSalvager that looks at a dead run in its own way.
type wrongSalvager struct {
	*LedgerSalvager
	salvage func(context.Context, *backup.DeadRun) (backup.Salvaged, error)
}

func (w wrongSalvager) Salvage(ctx context.Context, d *backup.DeadRun) (backup.Salvaged, error) {
	return w.salvage(ctx, d)
}

// wrongSalvageApp is a self-truncating Ledger whose agent salvages wrongly.
type wrongSalvageApp struct {
	*selfTruncatingApp
	salvage func(context.Context, *backup.DeadRun) (backup.Salvaged, error)
}

func (a *wrongSalvageApp) Source() backup.Source {
	return wrongSalvager{a.l.SalvagingSource(a.so), a.salvage}
}

func wrongSalvageWith(salvage func(context.Context, *backup.DeadRun) (backup.Salvaged, error)) NewApplication {
	return func() (Application, error) {
		app, err := NewLedgerApplication(&LedgerOptions{TruncatesItself: true}, &LedgerSourceOptions{ServerFiles: true})()
		if err != nil {
			return nil, err
		}
		return &wrongSalvageApp{app.(*selfTruncatingApp), salvage}, nil
	}
}

func wrongSalvages() map[string]func(context.Context, *backup.DeadRun) (backup.Salvaged, error) {
	return map[string]func(context.Context, *backup.DeadRun) (backup.Salvaged, error){
		// Only what was committed counts, as if the application had waited for that.
		"given-up-log-is-salvaged": func(context.Context, *backup.DeadRun) (backup.Salvaged, error) {
			return backup.Salvaged{}, nil
		},
		// A head is read and the rest believed.
		"torn-file-is-not-salvaged": func(ctx context.Context, d *backup.DeadRun) (got backup.Salvaged, err error) {
			for _, a := range d.Artifacts {
				last := d.Anchors[a.Item].Last
				it := last.Item
				it.Name, it.Kind, it.Parent, it.Begin, it.PointInTime = a.Item, backup.Log, last.ID, last.End, true
				it.Window = backup.Window{From: last.Window.To, To: last.Window.To.Add(time.Second)}
				got.Items = append(got.Items, it)
				got.Artifacts = append(got.Artifacts, a.Artifact)
			}
			return got, nil
		},
	}
}
