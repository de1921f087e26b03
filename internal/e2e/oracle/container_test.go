package oracle

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/stretchr/testify/require"
	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/exec"
	"github.com/testcontainers/testcontainers-go/wait"

	"github.com/quiesce-go/quiesce/internal/e2e/containertest"
)

const (
	image        = "gvenzl/oracle-free:23-slim-faststart"
	sysPassword  = "Quiesce_1_test"
	userPassword = "Quiesce_2_test"
	// where the container sees the folder that it shares with the test, and the test program
	sharedInside  = "/quiesce"
	programInside = "/quiesce-e2e.test"
	// patience bounds pulling and starting the image.
	patience = 8 * time.Minute
	// roomy is the time that must be left for all scenarios: each has a database of some GiB put back, backed up and restored.
	roomy = 45 * time.Minute
)

// setUp gives the image what a backup of an open database needs. The image keeps no redo, and its COMMON_USER_PREFIX is empty, so that the user could have any name. Archived logs get a folder below the data files, which belongs to the server's account.
const setUp = `set -e
mkdir -p "$ORACLE_BASE/oradata/archived"
sqlplus -s -L / as sysdba <<'SQL'
WHENEVER SQLERROR EXIT FAILURE
ALTER SYSTEM SET LOG_ARCHIVE_DEST_1='LOCATION=/opt/oracle/oradata/archived' SCOPE=SPFILE;
SHUTDOWN IMMEDIATE
STARTUP MOUNT
ALTER DATABASE ARCHIVELOG;
ALTER DATABASE OPEN;
CREATE USER C##QUIESCE IDENTIFIED BY "` + userPassword + `" CONTAINER=ALL;
GRANT CREATE SESSION TO C##QUIESCE CONTAINER=ALL;
GRANT SYSBACKUP TO C##QUIESCE CONTAINER=ALL;
ALTER USER C##QUIESCE SET CONTAINER_DATA=ALL CONTAINER=CURRENT;
ALTER SYSTEM REGISTER;
EXIT
SQL
`

// contained is a database in a container.
type contained struct {
	container testcontainers.Container
	server    *genuine
}

// startContainer pulls and starts the image. Without a container engine or a registry that answers in time, the test is skipped with that reason.
func startContainer(t *testing.T) *contained {
	t.Helper()
	if os.Getenv("QUIESCE_ORACLE_ACCEPT_LICENSE") == "N" {
		t.Skip("QUIESCE_ORACLE_ACCEPT_LICENSE=N: the licence of the image is not accepted")
	}
	inTime(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	local := sharedFolder(t)
	self, err := os.Executable()
	require.NoError(t, err)
	c := containertest.Run(ctx, t, image,
		testcontainers.WithEnv(map[string]string{"ORACLE_PASSWORD": sysPassword}),
		testcontainers.WithExposedPorts("1521/tcp"),
		testcontainers.WithHostConfigModifier(func(hc *container.HostConfig) {
			hc.Binds = append(hc.Binds, local+":"+sharedInside, self+":"+programInside+":ro")
		}),
		testcontainers.WithWaitStrategy(wait.ForLog("DATABASE IS READY TO USE!").WithStartupTimeout(6*time.Minute)))
	run := inContainer(c)
	_, err = run(ctx, setUp)
	require.NoError(t, err)
	endpoint, err := c.PortEndpoint(ctx, "1521/tcp", "")
	require.NoError(t, err)
	t.Cleanup(func() { // files of the server's account, which the test may not be able to remove
		if _, err := run(context.Background(), "find "+sharedInside+" -mindepth 1 -delete"); err != nil {
			t.Log(err)
		}
	})
	return &contained{c, openGenuine(t, login(endpoint), local, sharedInside, run, false)}
}

// login is the DSN of the agent's user.
func login(endpoint string) string {
	u := url.URL{Scheme: "oracle", User: url.UserPassword("C##QUIESCE", userPassword), Host: endpoint, Path: "/FREE", RawQuery: url.Values{"DBA PRIVILEGE": {"SYSBACKUP"}}.Encode()}
	return u.String()
}

// inContainer is a shell under the account that the image starts the server with.
func inContainer(c testcontainers.Container) shell {
	return func(ctx context.Context, script string) (string, error) {
		status, out, err := c.Exec(ctx, []string{"bash", "-c", script}, exec.Multiplexed())
		if err != nil {
			return "", err
		}
		text, err := io.ReadAll(out)
		if err == nil && status != 0 {
			err = fmt.Errorf("status %d in the container: %s", status, text)
		}
		return string(text), err
	}
}

// inside runs the same scenarios on the machine of the database, by this very program.
func (c *contained) inside(t *testing.T) {
	inTime(t)
	require.NoError(t, c.server.reset(t.Context()))
	out, err := inContainer(c.container)(t.Context(), programInside+" -test.run '^$'")
	if err != nil && strings.Contains(out+err.Error(), "GLIBC") {
		t.Skipf("the test program needs the C library of this machine: run with CGO_ENABLED=0: %v", err)
	}
	require.NoError(t, err)
	timeout := "0"
	if end, ok := t.Deadline(); ok {
		timeout = (time.Until(end) - time.Minute).String()
	}
	out, err = inContainer(c.container)(t.Context(), fmt.Sprintf("mkdir -p %[1]s/inside && QUIESCE_ORACLE_DSN=%[2]s QUIESCE_ORACLE_SHARED=%[1]s/inside QUIESCE_ORACLE_CONFORMANCE=%[3]s %[4]s -test.v -test.timeout %[5]s -test.run '^TestOwnServer$'",
		sharedInside, quoted(login("127.0.0.1:1521")), quoted(os.Getenv("QUIESCE_ORACLE_CONFORMANCE")), programInside, timeout))
	t.Log(out)
	require.NoError(t, err)
}

// inTime skips a test that would not come to its end.
func inTime(t *testing.T) {
	t.Helper()
	if end, ok := t.Deadline(); ok && time.Until(end) < roomy {
		t.Skipf("less than %s is left: run with -timeout 3h", roomy)
	}
}

// sharedFolder is a folder that the container's user, another than the test's, may write to.
func sharedFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "quiesce-oracle")
	require.NoError(t, err)
	dir, err = filepath.EvalSymlinks(dir)
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o777)) //nolint:gosec // whatever the umask
	return dir
}
