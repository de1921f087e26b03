package sinks

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/fsouza/fake-gcs-server/fakestorage"
	"github.com/stretchr/testify/require"
	"gocloud.dev/blob"
	"gocloud.dev/blob/azureblob"
	"gocloud.dev/blob/fileblob"
	_ "gocloud.dev/blob/gcsblob"
	"gocloud.dev/blob/s3blob"

	"github.com/quiesce-go/quiesce/sink"
	"github.com/quiesce-go/quiesce/sink/s3"
)

// freePort returns a port of 127.0.0.1 that was free a moment ago.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// serve runs a server until the test ends, and returns when it listens at addr.
func serve(t *testing.T, addr string, cmd *exec.Cmd) {
	t.Helper()
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	require.NoError(t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		cmd.Wait()
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Log(log.String())
		}
	})
	for deadline := time.Now().Add(90 * time.Second); ; {
		c, err := net.DialTimeout("tcp", addr, time.Second)
		if err == nil {
			c.Close()
			return
		}
		select {
		case <-ended:
			t.Fatalf("the server ended before it listened at %s:\n%s", addr, log.String())
		case <-time.After(50 * time.Millisecond):
		}
		require.True(t, time.Now().Before(deadline), "nothing listens at %s: %v", addr, err)
	}
}

const accessKey, secretKey = "test", "testtest"

// s3Server is a running versitygw.
type s3Server struct {
	endpoint string
	data     string
	buckets  int
}

// startS3 starts versitygw, built by `go tool` from the version this module requires.
func startS3(t *testing.T) *s3Server {
	t.Helper()
	out, err := exec.Command("go", "tool", "-n", "versitygw").Output()
	if err != nil {
		t.Skipf("versitygw cannot be built: %v", err)
	}
	port := freePort(t)
	s := &s3Server{endpoint: "http://127.0.0.1:" + strconv.Itoa(port), data: t.TempDir()}
	serve(t, fmt.Sprintf("127.0.0.1:%d", port), exec.Command(strings.TrimSpace(string(out)), "--quiet",
		"-p", fmt.Sprintf("127.0.0.1:%d", port), "-a", accessKey, "-s", secretKey, "posix", s.data))
	return s
}

// newBucket makes a bucket, which is a directory to versitygw.
func (s *s3Server) newBucket(t *testing.T) string {
	t.Helper()
	s.buckets++
	name := fmt.Sprintf("bucket%d", s.buckets)
	require.NoError(t, os.Mkdir(filepath.Join(s.data, name), 0o755))
	return name
}

// client talks to the server at endpoint.
func client(endpoint string) *awss3.Client {
	return awss3.New(awss3.Options{
		Region:       "us-east-1",
		BaseEndpoint: aws.String(endpoint),
		UsePathStyle: true,
		Credentials:  credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
	})
}

// openS3 opens a bucket as programs do, with or without Tune.
func openS3(t *testing.T, endpoint, bucket string, tuned bool) sink.Target {
	t.Helper()
	b, err := s3blob.OpenBucket(context.Background(), client(endpoint), bucket, nil)
	require.NoError(t, err)
	opts := &sink.Options{}
	if tuned {
		opts.Tune = s3.Tune
	}
	return closing(t, b, opts)
}

func closing(t *testing.T, b *blob.Bucket, opts *sink.Options) sink.Target {
	target := sink.New(b, opts)
	t.Cleanup(func() { target.Close() })
	return target
}

// openFileblob opens a directory through gocloud's driver, as a vendor might who does not know of sink.OpenDir.
func openFileblob(t *testing.T, dir string) sink.Target {
	t.Helper()
	b, err := fileblob.OpenBucket(dir, &fileblob.Options{CreateDir: true, NoTempDir: true, Metadata: fileblob.MetadataDontWrite})
	require.NoError(t, err)
	return closing(t, b, nil)
}

// startGCS starts fake-gcs-server in this process and returns a function that opens a new bucket.
func startGCS(t *testing.T) func(t *testing.T) sink.Target {
	t.Helper()
	port := freePort(t)
	host := fmt.Sprintf("127.0.0.1:%d", port)
	server, err := fakestorage.NewServerWithOptions(fakestorage.Options{
		Scheme: "http", Host: "127.0.0.1", Port: uint16(port), PublicHost: host, ExternalURL: "http://" + host, Writer: io.Discard,
	})
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	t.Setenv("STORAGE_EMULATOR_HOST", host)
	buckets := 0
	return func(t *testing.T) sink.Target {
		buckets++
		name := fmt.Sprintf("bucket%d", buckets)
		server.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: name})
		target, err := sink.Open(t.Context(), "gs://"+name+"?anonymous=true", nil)
		require.NoError(t, err)
		t.Cleanup(func() { target.Close() })
		return target
	}
}

// Azurite accepts this account and key only. They are printed in its documentation and open nothing else.
const (
	azuriteAccount = "devstoreaccount1"
	azuriteKey     = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

// startAzurite starts Azurite and returns a function that opens a new container.
func startAzurite(t *testing.T) func(t *testing.T) sink.Target {
	t.Helper()
	program := os.Getenv("QUIESCE_AZURITE")
	if program == "" {
		found, err := exec.LookPath("azurite-blob")
		if err != nil {
			t.Skip("azurite-blob is not on the PATH and QUIESCE_AZURITE is not set (npm install azurite)")
		}
		program = found
	}
	port := freePort(t)
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	serve(t, addr, exec.Command(program, "--silent", "--skipApiVersionCheck", "--disableTelemetry", "--blobHost", "127.0.0.1", "--blobPort", strconv.Itoa(port),
		"--location", t.TempDir()))
	cred, err := container.NewSharedKeyCredential(azuriteAccount, azuriteKey)
	require.NoError(t, err)
	containers := 0
	return func(t *testing.T) sink.Target {
		containers++
		c, err := container.NewClientWithSharedKeyCredential(fmt.Sprintf("http://%s/%s/container%d", addr, azuriteAccount, containers), cred, nil)
		require.NoError(t, err)
		_, err = c.Create(t.Context(), nil)
		require.NoError(t, err)
		b, err := azureblob.OpenBucket(t.Context(), c, nil)
		require.NoError(t, err)
		return closing(t, b, nil)
	}
}
