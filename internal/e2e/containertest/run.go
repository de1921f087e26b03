// Package containertest starts servers in containers for the tests of this module, and tells a server that does not work from one that could not be had.
package containertest

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/testcontainers/testcontainers-go"
)

// Run pulls and starts an image, and removes the container when the test ends. Without a container engine, or a registry that answers before ctx ends, the test is skipped with that reason.
func Run(ctx context.Context, t *testing.T, image string, options ...testcontainers.ContainerCustomizer) testcontainers.Container {
	t.Helper()
	testcontainers.SkipIfProviderIsNotHealthy(t)
	c, err := testcontainers.Run(ctx, image, options...)
	testcontainers.CleanupContainer(t, c)
	if err != nil && (unreachable(err) || c == nil && ctx.Err() != nil) {
		t.Skipf("%s cannot be pulled: %v", image, err)
	}
	require.NoError(t, err)
	return c
}

// unreachable tells whether an image could not be had, which is no fault of ours.
func unreachable(err error) bool {
	for _, s := range []string{"no such host", "pull access denied", "manifest unknown", "connection refused", "i/o timeout", "TLS handshake", "No such image"} {
		if strings.Contains(err.Error(), s) {
			return true
		}
	}
	return false
}
