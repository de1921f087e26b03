package s3device

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// object reads an object by ranges, one after the other. It is an io.ReadSeeker.
type object struct {
	ctx   context.Context // of the one statement that reads
	place place
	size  int64
	at    int64
	body  io.ReadCloser // of the range that holds the next byte, or nil
}

func (m *Media) open(ctx context.Context, path string) (*object, error) {
	p, err := m.place(path)
	if err != nil {
		return nil, err
	}
	size, err := p.size(ctx)
	return &object{ctx: ctx, place: p, size: size}, err
}

// Read reads on, in the range that is open or the next one.
func (o *object) Read(b []byte) (int, error) {
	if o.at >= o.size {
		return 0, io.EOF
	}
	if o.body == nil {
		last := min(o.at+defaultPart, o.size) - 1
		got, err := o.place.api.GetObject(o.ctx, &s3.GetObjectInput{Bucket: o.place.bucket, Key: o.place.key, Range: aws.String(fmt.Sprintf("bytes=%d-%d", o.at, last))})
		if err != nil {
			return 0, systemError(o.ctx, err)
		}
		o.body = got.Body
	}
	n, err := o.body.Read(b)
	o.at += int64(n)
	if errors.Is(err, io.EOF) {
		return n, o.Close()
	}
	if err != nil {
		return n, systemError(o.ctx, err)
	}
	return n, nil
}

// Seek goes to another place. Nothing is asked of the endpoint before the next Read.
func (o *object) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += o.at
	case io.SeekEnd:
		offset += o.size
	}
	if offset != o.at {
		if err := o.Close(); err != nil {
			return o.at, err
		}
	}
	o.at = offset
	return offset, nil
}

// Close ends the range that is open.
func (o *object) Close() error {
	if o.body == nil {
		return nil
	}
	err := o.body.Close()
	o.body = nil
	return err
}
