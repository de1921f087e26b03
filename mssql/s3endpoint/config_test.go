package s3endpoint

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
)

func pairFor(t *testing.T, now time.Time, hosts ...string) tls.Certificate {
	t.Helper()
	certificate, key, err := NewCertificate(now, time.Hour, hosts...)
	require.NoError(t, err)
	pair, err := tls.X509KeyPair(certificate, key)
	require.NoError(t, err)
	return pair
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	good := Config{Certificate: pairFor(t, time.Now(), "127.0.0.1", "agent.example")}
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"address":        {func(c *Config) { c.Addr = "here" }, "not host:port"},
		"host of all":    {func(c *Config) { c.Addr = ":0" }, "by which name"},
		"host of all, 4": {func(c *Config) { c.Addr = "0.0.0.0:0" }, "by which name"},
		"bucket":         {func(c *Config) { c.Bucket = "a/b" }, "Bucket"},
		"secret":         {func(c *Config) { c.SecretKey = "a:b" }, "letters and digits only"},
		"window":         {func(c *Config) { c.Window = -1 }, "negative"},
		"no certificate": {func(c *Config) { c.Certificate = tls.Certificate{} }, "no Certificate"},
		"other host":     {func(c *Config) { c.Host = "other.example:443" }, "made out"},
		"expired":        {func(c *Config) { c.Now = func() time.Time { return time.Now().Add(2 * time.Hour) } }, "is valid from"},
		"not yet":        {func(c *Config) { c.Now = func() time.Time { return time.Now().Add(-2 * time.Hour) } }, "is valid from"},
		"taken": {func(c *Config) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			t.Cleanup(func() { l.Close() })
			c.Addr = l.Addr().String()
		}, "address already in use"},
	} {
		t.Run(name, func(t *testing.T) {
			changed := good
			c.change(&changed)
			_, err := Start(changed)
			require.ErrorContains(t, err, c.want)
			assert.NotEmpty(t, backup.Hint(err))
		})
	}
	changed := good
	changed.Bucket, changed.Window = "a/b", -1
	_, err := Start(changed)
	require.ErrorContains(t, err, "Bucket")
	require.ErrorContains(t, err, "Window")
}

func TestNames(t *testing.T) {
	t.Parallel()
	e, _ := start(t, func(c *Config) { c.Host, c.Bucket = "localhost:9443", "vault" })
	assert.Equal(t, "s3://localhost:9443/vault/a/b.bak", e.URL("a/b.bak"))
	c := e.Credential()
	assert.Equal(t, "s3://localhost:9443/vault", c.Name)
	assert.Equal(t, "S3 Access Key", c.Identity)
	id, key, _ := strings.Cut(c.Secret, ":")
	assert.True(t, alphanumeric(id) && alphanumeric(key) && len(key) >= 40)
	other, _ := start(t, nil)
	assert.NotEqual(t, c.Secret, other.Credential().Secret)

	for _, key := range []string{"", "/a", "a/", "a//b", "a b", "ü", "a?b", strings.Repeat("k", MaxURL)} {
		_, err := e.Receive(t.Context(), key, &kept{}, nil)
		require.Error(t, err, key)
		_, err = e.Offer(t.Context(), key, 1, nil)
		require.Error(t, err, key)
	}
	_, err := e.Offer(t.Context(), "a", -1, nil)
	require.Error(t, err)
	prefix := len("s3://localhost:9443/vault/")
	u := receive(t, e, strings.Repeat("k", MaxURL-prefix), &kept{})
	assert.Len(t, u.URL, MaxURL)
}

func TestSecretsAreNotPrinted(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	e, pool := start(t, func(c *Config) {
		c.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	client := newClient(t, e, pool, nil)
	_, err := client.HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: aws.String(bucket)})
	require.NoError(t, err)
	_, err = getRange(t.Context(), client, "unknown", 0, 0)
	require.Error(t, err)
	raw{method: http.MethodGet, path: "/backup/k", secret: "wrong"}.send(t, e, pool)
	require.NoError(t, e.Close())
	text := log.String() + fmt.Sprint(e.cfg, e.Credential()) + fmt.Sprintf("%v %+v", e.cfg, e.Credential())
	slog.New(slog.NewTextHandler(&log, nil)).Info("config", "config", e.cfg, "credential", e.Credential())
	text += log.String()
	assert.Contains(t, text, "NoSuchKey")
	assert.NotContains(t, text, e.cfg.SecretKey)
	assert.NotContains(t, text, "Signature=")
}

func TestCertificateIsNoAuthority(t *testing.T) {
	t.Parallel()
	pair := pairFor(t, time.Now(), "agent.example", "10.0.0.7")
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	require.NoError(t, err)
	assert.False(t, leaf.IsCA)
	assert.Zero(t, leaf.KeyUsage&x509.KeyUsageCertSign)
	require.NoError(t, leaf.VerifyHostname("agent.example"))
	require.NoError(t, leaf.VerifyHostname("10.0.0.7"))
	require.Error(t, leaf.VerifyHostname("other.example"))
	_, _, err = NewCertificate(time.Now(), time.Hour)
	require.Error(t, err)
	_, _, err = NewCertificate(time.Now(), 0, "h")
	require.Error(t, err)
}

func TestOnlyWhoTrustsTheCertificateSpeaks(t *testing.T) {
	t.Parallel()
	e, pool := start(t, nil)
	_, strangers := start(t, nil)
	_, err := newClient(t, e, strangers, nil).HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: aws.String(bucket)})
	var unknown x509.UnknownAuthorityError
	require.ErrorAs(t, err, &unknown)
	later := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Time: func() time.Time { return time.Now().Add(2 * time.Hour) }}}
	_, err = newClient(t, e, pool, func(o *s3.Options) { o.HTTPClient = &http.Client{Transport: later} }).HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: aws.String(bucket)})
	var expired x509.CertificateInvalidError
	require.ErrorAs(t, err, &expired)
	old := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MaxVersion: tls.VersionTLS11}}
	_, err = newClient(t, e, pool, func(o *s3.Options) { o.HTTPClient = &http.Client{Transport: old} }).HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: aws.String(bucket)})
	require.Error(t, err)
	answer, err := http.Get("http://" + e.host + "/backup")
	require.NoError(t, err)
	answer.Body.Close()
	assert.Equal(t, http.StatusBadRequest, answer.StatusCode, "without TLS nothing is served")
}
