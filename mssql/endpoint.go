package mssql

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/mssql/s3endpoint"
)

// EndpointOptions let a job without a stage stream: this process serves a small S3 store over https, which SQL Server 2022 and later, not Express, backs up to and restores
// from by TO URL and FROM URL. Package s3endpoint says how the server comes to trust the certificate.
type EndpointOptions struct {
	// Addr is where this process listens, as host:port. Default 127.0.0.1:0, a free port that only this machine reaches.
	Addr string
	// Host is the name or address by which the server reaches this machine, with a port where that differs from the one listened on. Default: the host of Addr.
	Host string
	// CertificateFile and KeyFile are PEM files, read anew by each run. The certificate must be made out to Host, and the server must trust it.
	CertificateFile, KeyFile string
	// Certificate stands for the two files where they are not set.
	Certificate tls.Certificate
	// TransferSize is MAXTRANSFERSIZE of streamed backups in bytes, and with it the size of a part: a multiple of 64 KiB from 5 to 20 MiB. Default 10 MiB; the server
	// takes another size only with compression. One URL takes 10,000 parts, so a larger size needs fewer stripes.
	TransferSize int
	// Window is how many bytes of one stripe wait in memory for parts before them. Default 64 MiB. A run holds up to Databases times Stripes windows, with
	// a transfer and one of the job's parts each; more where a backup needs more URLs than Stripes says.
	Window int64
}

// defaultEndpointTransfer is the server's own choice for S3, and the only size it takes without compression.
const defaultEndpointTransfer = 10 << 20

// validate names all that is wrong.
func (o EndpointOptions) validate() error {
	var errs []error
	if n := o.TransferSize; n != 0 && (n < s3endpoint.MinPart || n > s3endpoint.MaxPart || n%transferUnit != 0) {
		errs = append(errs, fmt.Errorf("endpoint transfer size %d: want a multiple of %d from %d to %d", n, transferUnit, s3endpoint.MinPart, s3endpoint.MaxPart))
	}
	if o.Window < 0 {
		errs = append(errs, fmt.Errorf("endpoint window %d: want no negative number", o.Window))
	}
	if (o.CertificateFile == "") != (o.KeyFile == "") {
		errs = append(errs, errors.New("endpoint certificate: want the file of the certificate and that of its key"))
	}
	if o.CertificateFile == "" && len(o.Certificate.Certificate) == 0 {
		errs = append(errs, errors.New("endpoint certificate: the server speaks https only, so name a certificate and its key"))
	}
	return errors.Join(errs...)
}

func (o EndpointOptions) transfer() int { return cmp.Or(o.TransferSize, defaultEndpointTransfer) }

// config is the endpoint for one bucket.
func (o EndpointOptions) config(bucket string, log *slog.Logger) (s3endpoint.Config, error) {
	c := s3endpoint.Config{Addr: o.Addr, Host: o.Host, Bucket: bucket, Certificate: o.Certificate, Window: o.Window, PartLimit: int64(o.transfer()), Log: log}
	if o.CertificateFile == "" {
		return c, nil
	}
	pair, err := tls.LoadX509KeyPair(o.CertificateFile, o.KeyFile)
	if err != nil {
		return c, &backup.Error{Op: "read the endpoint's certificate", App: application, Artifact: o.CertificateFile, Err: err,
			Advice: "name PEM files of a certificate and its key that this process can read"}
	}
	c.Certificate = pair
	return c, nil
}

// bucketPrefix begins the bucket of every run: prefix, a hash of the job, and letters of the run. The bucket is in the name of the credential, and its own name is the
// lock that tells whether the run lives.
const bucketPrefix = "quiesce-"

// bucketsOf begins the buckets of a job.
func bucketsOf(job string) string {
	sum := sha256.Sum256([]byte(job))
	return bucketPrefix + hex.EncodeToString(sum[:6]) + "-"
}

// gate is an endpoint with its credential on the server, for one run. The credential, which is good for nothing but this endpoint, is dropped with it.
type gate struct {
	src      *Source
	endpoint *s3endpoint.Endpoint
	bucket   string
	session  *session // holds the lock on bucket

	mu   sync.Mutex
	last int // number of the last key
}

// openGate starts an endpoint that the server can reach, after it dropped the credentials that dead runs of the job left. The caller must close it.
func (s *Source) openGate(ctx context.Context, job string, log *slog.Logger) (g *gate, err error) {
	g = &gate{src: s, bucket: bucketsOf(job) + strings.ToLower(rand.Text()[:16])}
	if g.session, err = s.open(ctx); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(s.fail(ctx, "start the endpoint for", "", err), g.close(ctx))
			g = nil
		}
	}()
	v, err := g.session.probe(ctx)
	if err != nil {
		return g, err
	}
	if err := s.streams(v); err != nil {
		return g, err
	}
	c, err := s.opt.Endpoint.config(g.bucket, log)
	if err != nil {
		return g, err
	}
	if g.endpoint, err = s3endpoint.Start(c); err != nil {
		return g, err
	}
	if ok, err := g.session.appLock(ctx, g.bucket); err != nil || !ok {
		return g, errors.Join(err, backup.ErrBusy)
	}
	if err := g.sweep(ctx, bucketsOf(job), log); err != nil {
		return g, err
	}
	return g, g.session.run(ctx, createCredential(g.endpoint.Credential()), nil)
}

// streams refuses servers that have no backup to S3.
func (s *Source) streams(v server) error {
	const advice = "give the job a stage, a directory that the server's account can write to and this process can read"
	refuse := func(advice, format string, args ...any) error {
		return &backup.Error{Op: "stream from", App: application, Instance: s.instance, Advice: advice, Err: fmt.Errorf("%w: "+format, append([]any{backup.ErrRefused}, args...)...)}
	}
	switch n := s.opt.Endpoint.transfer(); {
	case v.major < firstS3:
		return refuse(advice, "the server is version %s, and backups to S3 need SQL Server 2022 (16.0)", v.version)
	case v.engine == engineExpress:
		return refuse(advice, "the server is an %s, which has no backups to S3", v.edition)
	case n != defaultEndpointTransfer && !s.compresses(v):
		return refuse("leave the endpoint's transfer size at its default, or compress", "a transfer size of %d needs compression, and backups are not compressed here", n)
	}
	return nil
}

// firstS3 is the major version of SQL Server 2022.
const firstS3 = 16

func createCredential(c s3endpoint.Credential) statement {
	return statement{SQL: "CREATE CREDENTIAL " + quoteName(c.Name) + " WITH IDENTITY = " + quoteText(c.Identity) + ", SECRET = " + quoteText(c.Secret),
		What: "create the credential " + c.Name}
}

func dropCredential(name string) statement {
	return statement{SQL: "DROP CREDENTIAL " + quoteName(name), What: "drop the credential " + name}
}

// sweep drops the credentials of runs of the job that are dead: those whose lock nobody holds.
func (g *gate) sweep(ctx context.Context, buckets string, log *slog.Logger) error {
	rows, err := g.session.query(ctx, "SELECT name FROM sys.credentials")
	if err != nil {
		return fmt.Errorf("list the credentials: %w", err)
	}
	for _, r := range rows {
		name := r.text("name")
		bucket := name[strings.LastIndex(name, "/")+1:]
		if !strings.HasPrefix(name, "s3://") || !strings.HasPrefix(bucket, buckets) || bucket == g.bucket {
			continue
		}
		dead, err := g.session.appLock(ctx, bucket)
		if err != nil {
			return err
		}
		if !dead {
			continue
		}
		log.Warn("the credential of a run that died is dropped", "credential", name)
		if err := g.session.run(ctx, dropCredential(name), nil); err != nil {
			return err
		}
	}
	return nil
}

// key is a new key for something that is called so: its place in a list of a run, and its suffix.
func (g *gate) key(suffix string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.last++
	return strconv.Itoa(g.last) + suffix
}

// dropTries is how many new sessions are tried to drop a credential, when the ones before were lost.
const dropTries = 3

// close ends the endpoint and drops the credential, on a context of its own, and in new sessions where the first one is gone. What then stays
// behind, since the server cannot be reached, opens nothing, and the next run drops it.
func (g *gate) close(ctx context.Context) error {
	defer g.session.close()
	if g.endpoint == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	name := g.endpoint.Credential().Name
	cerr := g.endpoint.Close()
	err := g.session.run(ctx, dropCredential(name), nil)
	for range dropTries {
		if err == nil || number(err) != 0 {
			break // the server has answered
		}
		var fresh *session
		if fresh, err = g.src.open(ctx); err == nil {
			err = fresh.run(ctx, dropCredential(name), nil)
			fresh.close()
		}
	}
	if number(err) == errNoCredential {
		err = nil // it was never created
	}
	return errors.Join(g.src.fail(ctx, "drop the credential on", name, err), cerr)
}
