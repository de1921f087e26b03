package mssql

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/stretchr/testify/require"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"

	"github.com/quiesce-go/quiesce/internal/e2e/containertest"
)

// images are what the tests of this package run against beside the simulator.
var images = []string{"mcr.microsoft.com/mssql/server:2022-latest", "mcr.microsoft.com/mssql/server:2019-latest"}

const saPassword = "Quiesce-1-test"

// stageInContainer is where the container sees the folder that it shares with the test.
const stageInContainer = "/stage"

// patience bounds pulling and starting one image, so that both end before the ten minutes that go test gives a package.
const patience = 4 * time.Minute

// startContainer pulls and starts an image. Without a container engine or a registry that answers in time, the test is skipped with that reason.
func startContainer(t *testing.T, image string) server {
	t.Helper()
	if os.Getenv("QUIESCE_MSSQL_ACCEPT_EULA") == "N" {
		t.Skip("QUIESCE_MSSQL_ACCEPT_EULA=N: the licence of the image is not accepted")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	local := sharedFolder(t)
	c := containertest.Run(ctx, t, image,
		testcontainers.WithEnv(map[string]string{"ACCEPT_EULA": "Y", "MSSQL_SA_PASSWORD": saPassword, "MSSQL_PID": "Developer"}),
		testcontainers.WithExposedPorts("1433/tcp"),
		testcontainers.WithHostConfigModifier(func(hc *container.HostConfig) { hc.Binds = append(hc.Binds, local+":"+stageInContainer) }),
		testcontainers.WithWaitStrategy(wait.ForLog("SQL Server is now ready for client connections").WithStartupTimeout(3*time.Minute)))
	endpoint, err := c.PortEndpoint(ctx, "1433/tcp", "")
	require.NoError(t, err)
	u := url.URL{Scheme: "sqlserver", User: url.UserPassword("sa", saPassword), Host: endpoint, RawQuery: "database=master&encrypt=true&trustservercertificate=true"}
	s := openGenuine(t, u.String(), local, stageInContainer)
	for { // the log line comes before the upgrade scripts of a first start are through
		if err = s.db.PingContext(ctx); err == nil {
			return s
		}
		select {
		case <-ctx.Done():
			require.NoError(t, err, "the server takes no login")
		case <-time.After(time.Second):
		}
	}
}

// sharedFolder is a folder that the container's user, another than the test's, may write to.
func sharedFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "quiesce-mssql")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, d := range []string{dir, filepath.Join(dir, "stage")} {
		require.NoError(t, os.MkdirAll(d, 0o777))
		require.NoError(t, os.Chmod(d, 0o777)) // whatever the umask
	}
	return dir
}
