// Package s3 is what a program that stores in S3 imports beside gocloud.dev/blob/s3blob:
//
//	import (
//		_ "gocloud.dev/blob/s3blob"
//		"github.com/quiesce-go/quiesce/sink"
//		"github.com/quiesce-go/quiesce/sink/s3"
//	)
//
//	target, err := sink.Open(ctx, "s3://backups?region=eu-west-1", &sink.Options{Tune: s3.Tune})
//
// An upload in pieces that is cancelled leaves the pieces in the bucket, invisible and paid for, unless the request that gives them up
// runs on a context of its own. Tune sees to that. A process that is killed leaves them in any case: Sweep removes them, and a
// lifecycle rule "abort incomplete multipart uploads" does so without anybody asking.
//
// It is a package of its own because it links the AWS SDK, which programs that store elsewhere need not.
package s3

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"gocloud.dev/blob"

	"github.com/quiesce-go/quiesce/backup"
)

// abortTimeout bounds the request that gives up the pieces of a failed upload.
const abortTimeout = 20 * time.Second

// Tune is for sink.Options.Tune. It replaces the transfer manager of each write by one that cleans up after a cancelled upload, with the part
// size and concurrency asked for. On a bucket of another driver it does nothing, so one program may open any URL with it.
//
// To set more, such as a storage class or an object lock, call Tune first and wrap w.BeforeWrite, whose argument yields a
// *transfermanager.UploadObjectInput.
func Tune(b *blob.Bucket, w *blob.WriterOptions) {
	var client *s3.Client
	if !b.As(&client) {
		return
	}
	before, partSize, concurrency := w.BeforeWrite, int64(w.BufferSize), w.MaxConcurrency
	w.BeforeWrite = func(as func(any) bool) error {
		var tm *transfermanager.Client
		if !as(&tm) {
			return errors.New("s3blob no longer writes through the transfer manager: this version of sink/s3 does not fit it")
		}
		*tm = *transfermanager.New(insistent{client}, func(o *transfermanager.Options) {
			o.PartSizeBytes = partSize
			o.Concurrency = concurrency
			o.FailTimeout = abortTimeout
			// s3blob gives the bucket's setting to its own transfer manager and to the client.
			o.RequestChecksumCalculation = client.Options().RequestChecksumCalculation
		})
		if before != nil {
			return before(as)
		}
		return nil
	}
}

// insistent gives an upload up until the server no longer knows it. One request is not enough: a piece that was on its way may arrive after it, and
// the server then keeps the upload (S3 API Reference, AbortMultipartUpload; seen with versitygw 1.8.0 on a busy machine).
type insistent struct{ *s3.Client }

func (c insistent) AbortMultipartUpload(ctx context.Context, in *s3.AbortMultipartUploadInput, opts ...func(*s3.Options)) (*s3.AbortMultipartUploadOutput, error) {
	const tries = 6
	wait := 20 * time.Millisecond
	for i := 1; ; i++ {
		out, err := c.Client.AbortMultipartUpload(ctx, in, opts...)
		if gone := (*types.NoSuchUpload)(nil); errors.As(err, &gone) {
			return &s3.AbortMultipartUploadOutput{}, nil
		}
		if i == tries {
			return out, err
		}
		select {
		case <-ctx.Done():
			return out, errors.Join(err, ctx.Err())
		case <-time.After(wait):
			wait *= 2
		}
	}
}

// Sweep gives up the unfinished uploads of keys that begin with prefix and were begun more than olderThan ago, and returns how many.
// olderThan must be longer than any upload takes: one still running fails when its pieces go. target is what sink.Open returned, bucket the
// bucket's name. The rights s3:ListBucketMultipartUploads and s3:AbortMultipartUpload are needed.
func Sweep(ctx context.Context, target any, bucket, prefix string, olderThan time.Duration) (int, error) {
	var client *s3.Client
	if a, ok := target.(interface{ As(any) bool }); !ok || !a.As(&client) {
		return 0, &backup.Error{Op: "sweep uploads", Artifact: bucket, Err: fmt.Errorf("not an S3 bucket: %w", errors.ErrUnsupported)}
	}
	removed := 0
	in := &s3.ListMultipartUploadsInput{Bucket: &bucket, Prefix: &prefix}
	for {
		page, err := client.ListMultipartUploads(ctx, in)
		if err != nil {
			return removed, &backup.Error{Op: "sweep uploads", Artifact: bucket, Err: err}
		}
		for _, u := range page.Uploads {
			if u.Initiated == nil || time.Since(*u.Initiated) < olderThan {
				continue
			}
			if err := abort(ctx, client, bucket, u); err != nil {
				return removed, &backup.Error{Op: "sweep uploads", Artifact: aws.ToString(u.Key), Err: err}
			}
			removed++
		}
		if !aws.ToBool(page.IsTruncated) {
			return removed, nil
		}
		in.KeyMarker, in.UploadIdMarker = page.NextKeyMarker, page.NextUploadIdMarker
	}
}

// abort gives up one upload. That somebody else was faster is fine.
func abort(ctx context.Context, client *s3.Client, bucket string, u types.MultipartUpload) error {
	_, err := client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &bucket, Key: u.Key, UploadId: u.UploadId})
	var gone *types.NoSuchUpload
	if errors.As(err, &gone) {
		return nil
	}
	return err
}
