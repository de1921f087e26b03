package mssql

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/mssql/s3endpoint"
)

// origin is where a server reads backups from: files in the directory of a restore, or the endpoint where there is no directory.
type origin struct {
	src *Source // of the server that reads
	set *backup.RestoreSet
	job string
	log *slog.Logger
	// filesOnly: the server has no session to spare for an endpoint.
	filesOnly bool

	mu     sync.Mutex
	gate   *gate // nil until the first offer
	offers map[*backup.RestoreStep][]*s3endpoint.Object
}

// newOrigin begins nothing; close ends what was begun.
func newOrigin(src *Source, set *backup.RestoreSet, log *slog.Logger) *origin {
	o := &origin{src: src, set: set, log: log, offers: map[*backup.RestoreStep][]*s3endpoint.Object{}}
	for _, step := range set.Steps() {
		o.job = step.Manifest.Job
	}
	return o
}

// bring makes all stripes of a link readable until it is released.
func (o *origin) bring(ctx context.Context, l link) ([]device, error) {
	devices, err := fetch(ctx, o.set, l)
	if o.src.opt.Endpoint == nil || o.filesOnly || !errors.Is(err, backup.ErrNoPath) {
		return devices, err
	}
	g, err := o.open(ctx)
	if err != nil {
		return nil, err
	}
	devices = nil
	for _, e := range l.entries {
		object, err := g.endpoint.Offer(ctx, g.key("/"+string(l.step.ID)), e.Size, func(ctx context.Context, off int64) (io.ReadCloser, error) {
			return o.set.OpenAt(ctx, l.step, e, off)
		})
		if err != nil {
			return nil, errors.Join(err, o.release(l))
		}
		o.mu.Lock()
		o.offers[l.step] = append(o.offers[l.step], object)
		o.mu.Unlock()
		devices = append(devices, device{URL: true, Path: object.URL})
	}
	return devices, nil
}

// open opens the gate, once.
func (o *origin) open(ctx context.Context) (*gate, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	var err error
	if o.gate == nil {
		o.gate, err = o.src.openGate(ctx, o.job, o.log)
	}
	return o.gate, err
}

// release ends what bring began.
func (o *origin) release(l link) error {
	o.mu.Lock()
	offers, opened := o.offers[l.step], o.gate != nil
	delete(o.offers, l.step)
	o.mu.Unlock()
	for _, object := range offers {
		object.Close()
	}
	if opened {
		return nil
	}
	return drop(o.set, l)
}

// failure is why the stripes of a link could not be read; nil where nothing is known of it.
func (o *origin) failure(l link) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	var errs []error
	for _, object := range o.offers[l.step] {
		errs = append(errs, object.Err())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("read the backup for the server: %w", err)
	}
	return nil
}

// close closes the gate. What it leaves behind is told, and no reason for a restore to fail.
func (o *origin) close(ctx context.Context) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, objects := range o.offers {
		for _, object := range objects {
			object.Close()
		}
	}
	if o.gate == nil {
		return
	}
	if err := o.gate.close(ctx); err != nil {
		o.set.Warn("something of the restore stays behind: " + err.Error())
	}
}
