package sink

import (
	"context"
	"fmt"
	"io"

	"github.com/quiesce-go/quiesce/backup"
)

// ReadOnly refuses every change with backup.ErrReadOnly. Restore machines stand on it. The returned Sink implements backup.PutIfAbsenter exactly
// when under does.
func ReadOnly(under backup.Sink) backup.Sink {
	r := readOnly{under}
	if _, ok := under.(backup.PutIfAbsenter); ok {
		return &atomicReadOnly{r}
	}
	return &r
}

// readOnly passes Get and List through.
type readOnly struct{ backup.Sink }

func refuse(op, key string) error {
	return &backup.Error{Op: op, Artifact: key, Err: backup.ErrReadOnly,
		Advice: fmt.Sprintf("nothing was changed; %s needs a sink opened for writing", op)}
}

// Put implements backup.Sink.
func (r *readOnly) Put(_ context.Context, key string, _ io.Reader) error { return refuse("put", key) }

// Delete implements backup.Sink.
func (r *readOnly) Delete(_ context.Context, key string) error { return refuse("delete", key) }

type atomicReadOnly struct{ readOnly }

// PutIfAbsent implements backup.PutIfAbsenter.
func (r *atomicReadOnly) PutIfAbsent(_ context.Context, key string, _ io.Reader) error {
	return refuse("create", key)
}

var (
	_ backup.Sink          = (*readOnly)(nil)
	_ backup.PutIfAbsenter = (*atomicReadOnly)(nil)
)
