package s3device

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim"
)

// Create does what mssqlsim.MediaWriter says. Sets cannot be added to an object.
func (m *Media) Create(ctx context.Context, job mssqlsim.Job) (mssqlsim.Device, error) {
	p, err := m.place(job.Path)
	if err != nil {
		return nil, err
	}
	size := job.TransferBytes
	if size == 0 {
		size = defaultPart
	}
	if job.Add || size < minPart || size > maxPart {
		return nil, &mssqlsim.DeviceError{Code: 87, Text: "The parameter is incorrect."}
	}
	var missing *mssqlsim.DeviceError
	if _, err := p.size(ctx); err != nil && (!errors.As(err, &missing) || missing.Code != 2) {
		return nil, err
	}
	began, err := p.api.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: p.bucket, Key: p.key})
	if err != nil {
		return nil, systemError(ctx, err)
	}
	u := &upload{place: p, id: began.UploadId, size: size}
	ctx, u.cancel = context.WithCancel(ctx)
	u.sending, u.ctx = errgroup.WithContext(ctx)
	u.sending.SetLimit(sideBySide)
	tape, err := mssqlsim.BeginTape(u, job.Family, job.Set, mssqlsim.Extent{})
	if err != nil {
		return nil, errors.Join(err, u.Close())
	}
	return &device{Tape: tape, upload: u}, nil
}

// device is a mssqlsim.Device.
type device struct {
	*mssqlsim.Tape
	upload *upload
}

// Commit does what mssqlsim.Device says.
func (d *device) Commit(ctx context.Context, finish time.Time) error {
	if err := d.Tape.Commit(ctx, finish); err != nil {
		return err
	}
	return d.upload.complete(ctx)
}

// Close does what mssqlsim.Device says: it ends what is on its way, and leaves at the endpoint what has arrived.
func (d *device) Close() error { return d.upload.Close() }

// upload cuts what is written to it into parts and sends them side by side. It is an io.Writer.
type upload struct {
	ctx     context.Context // of the one statement that writes
	cancel  context.CancelFunc
	place   place
	id      *string
	size    int // of a part
	sending *errgroup.Group

	buffer []byte // the part being filled
	held   []byte // the part before it, if its number is odd: it is sent behind its successor
	number int32  // of parts cut

	mu   sync.Mutex
	sent []types.CompletedPart
}

// Write takes bytes in order. It fails when a part that was cut before has failed.
func (u *upload) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		take := min(len(b), u.size-len(u.buffer))
		u.buffer = append(u.buffer, b[:take]...)
		b = b[take:]
		if len(u.buffer) == u.size {
			if err := u.cut(); err != nil {
				return 0, err
			}
		}
	}
	return n, nil
}

// cut ends the part being filled.
func (u *upload) cut() error {
	if u.ctx.Err() != nil {
		return u.failure()
	}
	if u.number++; u.number > maxParts {
		return &mssqlsim.DeviceError{Code: 87, Text: "The parameter is incorrect."}
	}
	part := u.buffer
	u.buffer = make([]byte, 0, u.size)
	if u.number%2 == 1 {
		u.held = part
		return nil
	}
	u.send(u.number, part)
	u.flush()
	return nil
}

// flush sends the part that is held back.
func (u *upload) flush() {
	if u.held != nil {
		u.send(u.number-1+u.number%2, u.held)
		u.held = nil
	}
}

// send begins to send a part. It waits while there are enough on their way.
func (u *upload) send(number int32, part []byte) {
	u.sending.Go(func() error {
		got, err := u.place.api.UploadPart(u.ctx, &s3.UploadPartInput{
			Bucket: u.place.bucket, Key: u.place.key, UploadId: u.id, PartNumber: &number, Body: bytes.NewReader(part), ContentLength: aws.Int64(int64(len(part))),
		})
		if err != nil {
			return systemError(u.ctx, err)
		}
		u.mu.Lock()
		defer u.mu.Unlock()
		u.sent = append(u.sent, types.CompletedPart{ETag: got.ETag, PartNumber: &number})
		return nil
	})
}

// failure waits for what is on its way and says what ended it.
func (u *upload) failure() error {
	return errors.Join(u.sending.Wait(), context.Cause(u.ctx))
}

// complete sends what is left and makes the object of it.
func (u *upload) complete(ctx context.Context) error {
	if len(u.buffer) > 0 {
		if err := u.cut(); err != nil {
			return err
		}
	}
	u.flush()
	if err := u.sending.Wait(); err != nil {
		return err
	}
	slices.SortFunc(u.sent, func(a, b types.CompletedPart) int { return int(*a.PartNumber) - int(*b.PartNumber) })
	_, err := u.place.api.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: u.place.bucket, Key: u.place.key, UploadId: u.id, MultipartUpload: &types.CompletedMultipartUpload{Parts: u.sent},
	})
	if err != nil {
		return systemError(ctx, err)
	}
	return nil
}

// Close ends the parts that are on their way. It aborts nothing at the endpoint.
func (u *upload) Close() error {
	u.cancel()
	_ = u.sending.Wait() // whoever waits for the upload has its error
	return nil
}
