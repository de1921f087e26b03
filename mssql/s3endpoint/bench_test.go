package s3endpoint

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

const benchPart = 10 << 20

// BenchmarkReceive is an upload of 16 parts of 10 MiB, four at a time, with client and endpoint on the same processors.
func BenchmarkReceive(b *testing.B) {
	e, pool := start(b, nil)
	client := newClient(b, e, pool, func(o *s3.Options) { o.APIOptions = append(o.APIOptions, unsigned) })
	data := noise(1, benchPart)
	b.SetBytes(16 * benchPart)
	for b.Loop() {
		u, err := e.Receive(b.Context(), "k", io.Discard, func() error { return nil })
		require.NoError(b, err)
		id := create(b, client, "k")
		parts := make([]types.CompletedPart, 16)
		var group errgroup.Group
		group.SetLimit(4)
		for i := range parts {
			group.Go(func() (err error) {
				parts[i], err = putPart(b.Context(), client, "k", id, i+1, data)
				return err
			})
		}
		require.NoError(b, group.Wait())
		require.NoError(b, complete(b.Context(), client, "k", id, parts...))
		require.NoError(b, u.Wait(b.Context()))
		u.Close()
	}
}

// BenchmarkParts is the endpoint's own share: parts are checked, ordered and written, without a network.
func BenchmarkParts(b *testing.B) {
	data := noise(1, benchPart)
	e, _ := start(b, nil)
	b.SetBytes(benchPart)
	u, err := e.Receive(b.Context(), "k", io.Discard, func() error { return nil })
	require.NoError(b, err)
	id, err := u.begin(false)
	require.NoError(b, err)
	for n := 1; b.Loop(); n++ {
		_, err := u.receive(b.Context(), id, &arrival{number: n, size: benchPart, body: bytes.NewReader(data), interrupt: func() {}})
		require.NoError(b, err)
	}
}

// BenchmarkOffer is a read from front to back in ranges of 10 MiB.
func BenchmarkOffer(b *testing.B) {
	e, pool := start(b, nil)
	client := newClient(b, e, pool, nil)
	s := &source{data: noise(1, 16*benchPart)}
	o, err := e.Offer(b.Context(), "k", int64(len(s.data)), s.open)
	require.NoError(b, err)
	defer o.Close()
	b.SetBytes(int64(len(s.data)))
	for b.Loop() {
		for i := range 16 {
			require.NoError(b, drop(b.Context(), client, fmt.Sprintf("bytes=%d-%d", i*benchPart, (i+1)*benchPart-1)))
		}
	}
}

func drop(ctx context.Context, c *s3.Client, bytes string) error {
	out, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("k"), Range: &bytes})
	if err != nil {
		return err
	}
	defer out.Body.Close()
	_, err = io.Copy(io.Discard, out.Body)
	return err
}
