package s3endpoint

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

const application = "mssql"

const (
	// MinPart and MaxPart bound what SQL Server takes as MAXTRANSFERSIZE of a backup to S3, and with it the size of a part, in bytes.
	MinPart = 5 << 20
	MaxPart = 20 << 20
	// MaxParts is how many parts one URL may have. A larger backup needs more URLs.
	MaxParts = 10_000
	// MaxURL is how long a URL may be that is named in BACKUP or RESTORE, in characters.
	MaxURL = 259
)

// Config describes an endpoint. Certificate is required; all else has a default.
type Config struct {
	// Addr is where the endpoint listens. Default 127.0.0.1:0, a free port that only this machine reaches.
	Addr string
	// Host is what SQL Server dials: a name or an address, with a port when that differs from the one listened on (as behind a
	// forwarder). The certificate must be made out to it. Default the host of Addr, which must then not be empty.
	Host string
	// Bucket is the bucket in the URLs. Default "backup".
	Bucket string
	// Certificate is what the endpoint shows. SQL Server must trust it; see NewCertificate and the package comment.
	Certificate tls.Certificate
	// AccessKey and SecretKey are what requests are signed with: letters and digits. Default: made anew for each endpoint.
	AccessKey, SecretKey string
	// Region is the region that requests are signed for. Default us-east-1, which SQL Server uses unless BACKUP_OPTIONS says otherwise.
	Region string
	// Window is how many bytes of one upload are held in memory while they wait for parts before them, or for the writer. The part whose
	// turn it is comes on top. Default 64 MiB. Clients that send parts in ascending order need none of it to get on; it is what lets them
	// send several at once.
	Window int64
	// PartLimit is the largest part, or object sent whole, that is taken, in bytes. Default MaxPart.
	PartLimit int64
	// Patience is how long a part waits for room before the client is told to send it later. Default 1 minute.
	Patience time.Duration
	// Now is the clock that signatures and the certificate are checked against. Nil means time.Now.
	Now func() time.Time
	// Log gets a line for each refused request at Warn, for each other one at Debug. Nil discards.
	Log *slog.Logger
}

// LogValue leaves out what must not be in a log.
func (c Config) LogValue() slog.Value {
	return slog.GroupValue(slog.String("addr", c.Addr), slog.String("host", c.Host), slog.String("bucket", c.Bucket), slog.String("region", c.Region))
}

// String leaves out the keys, as LogValue does.
func (c Config) String() string { return c.LogValue().String() }

// withDefaults fills in what was left empty.
func (c Config) withDefaults() Config {
	if c.Addr == "" {
		c.Addr = "127.0.0.1:0"
	}
	if c.Bucket == "" {
		c.Bucket = "backup"
	}
	if c.AccessKey == "" {
		c.AccessKey = rand.Text()
	}
	if c.SecretKey == "" {
		c.SecretKey = rand.Text() + rand.Text()
	}
	if c.Region == "" {
		c.Region = "us-east-1"
	}
	if c.Window == 0 {
		c.Window = 64 << 20
	}
	if c.PartLimit == 0 {
		c.PartLimit = MaxPart
	}
	if c.Patience == 0 {
		c.Patience = time.Minute
	}
	if c.Now == nil {
		c.Now = time.Now //nolint:forbidigo // the default of a clock that is configurable
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if host, _, err := net.SplitHostPort(c.Addr); err == nil && c.Host == "" {
		c.Host = host
	}
	return c
}

// check names everything that is wrong with c at once.
func (c Config) check() error {
	var bad []error
	wrong := func(format string, args ...any) { bad = append(bad, fmt.Errorf(format, args...)) }
	if _, _, err := net.SplitHostPort(c.Addr); err != nil {
		wrong("Addr %q is not host:port", c.Addr)
	}
	if ip := net.ParseIP(hostOf(c.Host)); c.Host == "" || ip != nil && ip.IsUnspecified() {
		wrong("Host %q: say by which name or address SQL Server reaches this machine", c.Host)
	}
	if !isKey(c.Bucket) || strings.Contains(c.Bucket, "/") {
		wrong("Bucket %q: use letters, digits, '-', '_' and '.'", c.Bucket)
	}
	if !alphanumeric(c.AccessKey) || !alphanumeric(c.SecretKey) {
		wrong("AccessKey and SecretKey: SQL Server takes letters and digits only")
	}
	if c.Window < 0 || c.PartLimit < 1 || c.Patience < 0 {
		wrong("Window %d, PartLimit %d and Patience %s must not be negative, nor PartLimit nothing", c.Window, c.PartLimit, c.Patience)
	}
	if err := c.checkCertificate(); err != nil {
		bad = append(bad, err)
	}
	if len(bad) == 0 {
		return nil
	}
	return &backup.Error{Op: "start the S3 endpoint", App: application, Err: errors.Join(bad...), Advice: "correct the endpoint's configuration"}
}

// checkCertificate finds before the first backup what SQL Server would only call operating system error 12175.
func (c Config) checkCertificate() error {
	if len(c.Certificate.Certificate) == 0 {
		return errors.New("no Certificate: SQL Server speaks https only; NewCertificate makes one")
	}
	leaf, err := x509.ParseCertificate(c.Certificate.Certificate[0])
	if err != nil {
		return fmt.Errorf("read Certificate: %w", err)
	}
	if err := leaf.VerifyHostname(hostOf(c.Host)); err != nil && c.Host != "" {
		return fmt.Errorf("the Certificate is not made out to Host: %w", err)
	}
	if now := c.Now(); now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		return fmt.Errorf("the Certificate is valid from %s to %s, and it is %s", leaf.NotBefore.Format(time.RFC3339), leaf.NotAfter.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return nil
}

// hostOf is a name or address without its port.
func hostOf(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.Trim(hostport, "[]")
}

// isKey reports whether s needs no escaping in a URL, in XML or in T-SQL, so that all sides spell it alike.
func isKey(s string) bool {
	return s != "" && strings.Trim(s, "/") == s && !strings.Contains(s, "//") && strings.IndexFunc(s, func(r rune) bool {
		return !isAlphanumeric(r) && !strings.ContainsRune("-_./", r)
	}) < 0
}

func alphanumeric(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return !isAlphanumeric(r) }) < 0
}

func isAlphanumeric(r rune) bool {
	return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
}
