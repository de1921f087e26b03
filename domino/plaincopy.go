package domino

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/domino/nsf"
)

// checked copies the file of a database to its end and looks at its header on the way. With strict a copy that is damaged is not kept.
func (r *run) checked(ctx context.Context, a backup.Artifact, from string, strict bool) (damage, err error) {
	f, err := os.Open(from)
	if err != nil {
		return nil, local{err}
	}
	defer f.Close()
	w, err := r.st.Create(ctx, a)
	if err != nil {
		return nil, staging{err}
	}
	defer func() { _ = w.Close() }() // discards, unless it was committed
	sum := newSum()
	var check nsf.Checker
	n, err := io.Copy(io.MultiWriter(w, sum, &check), until{ctx, f})
	if err != nil {
		return nil, err
	}
	if _, damage = check.Finish(-1); damage != nil {
		if damage = fmt.Errorf("the copy is no whole database: %w", damage); strict {
			return damage, nil
		}
	}
	w.Annotate(metaSize, strconv.FormatInt(n, 10))
	w.Annotate(metaSum, sumText(sum))
	if err := w.Commit(); err != nil {
		return damage, staging{err}
	}
	return damage, nil
}
