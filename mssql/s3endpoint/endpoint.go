package s3endpoint

import (
	"context"
	"crypto/md5"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// Endpoint serves the objects that were registered with Receive and Offer, and no other. It is safe for concurrent use.
type Endpoint struct {
	cfg    Config
	host   string // host:port as SQL Server dials it
	server *http.Server
	served chan struct{} // closed when the server has ended

	mu       sync.Mutex
	closed   bool
	answers  sync.WaitGroup // requests under way
	uploads  map[string]*Upload
	objects  map[string]*Object
	requests int
}

// Start begins to listen and to serve. Close ends it. What is wrong with the configuration is reported all at once.
func Start(c Config) (*Endpoint, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return nil, &backup.Error{Op: "start the S3 endpoint", App: application, Err: err, Advice: "choose another Addr, or end what listens there"}
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	host := c.Host
	if _, _, err := net.SplitHostPort(host); err != nil {
		host = net.JoinHostPort(hostOf(host), port)
	}
	e := &Endpoint{cfg: c, host: host, served: make(chan struct{}), uploads: map[string]*Upload{}, objects: map[string]*Object{}}
	// HTTP/1.1 only, as S3 speaks it: one request a connection lets a part that must wait hold up no other.
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	e.server = &http.Server{
		Handler: e, Protocols: protocols, ReadHeaderTimeout: 30 * time.Second, IdleTimeout: time.Hour, MaxHeaderBytes: 64 << 10,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{c.Certificate}, MinVersion: tls.VersionTLS12},
		ErrorLog:  slog.NewLogLogger(c.Log.Handler(), slog.LevelWarn),
	}
	go func() {
		defer close(e.served)
		if err := e.server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
			e.failAll(fmt.Errorf("the endpoint ended: %w", err))
		}
	}()
	return e, nil
}

// Close ends the endpoint: connections break, uploads that are not complete fail with ErrClosed, objects are no longer offered. It returns when
// nothing of it runs any more; as with Upload.Close, writers, commits and readers must be told to give up if they may block for long.
func (e *Endpoint) Close() error {
	e.mu.Lock()
	e.closed = true
	objects := make([]*Object, 0, len(e.objects))
	for _, o := range e.objects {
		objects = append(objects, o)
	}
	uploads := make([]*Upload, 0, len(e.uploads))
	for _, u := range e.uploads {
		uploads = append(uploads, u)
	}
	e.mu.Unlock()
	e.failAll(ErrClosed)
	err := e.server.Close()
	for _, o := range objects {
		o.Close()
	}
	for _, u := range uploads {
		u.Close()
	}
	e.answers.Wait()
	<-e.served
	return err
}

// failAll fails every upload before any is waited for.
func (e *Endpoint) failAll(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, u := range e.uploads {
		u.fail(err)
	}
}

// URL is the URL of a key as it is named in T-SQL.
func (e *Endpoint) URL(key string) string { return e.Credential().Name + "/" + key }

// Credential is what SQL Server needs to reach an Endpoint: CREATE CREDENTIAL [Name] WITH IDENTITY = 'Identity', SECRET = 'Secret'. It prints
// without its secret.
type Credential struct {
	Name, Identity, Secret string
}

// LogValue leaves the secret out.
func (c Credential) LogValue() slog.Value { return slog.StringValue(c.Name) }

// String leaves the secret out.
func (c Credential) String() string { return c.Name }

// Credential returns the credential of this endpoint. Its name covers all keys.
func (e *Endpoint) Credential() Credential {
	return Credential{Name: "s3://" + e.host + "/" + e.cfg.Bucket, Identity: "S3 Access Key", Secret: e.cfg.AccessKey + ":" + e.cfg.SecretKey}
}

// Receive expects an object to be written under key, once. Its bytes go to w in order; when all are written and the client has said that these
// are all, commit is called, and only when it returned nil the client is told that the object is safe. No other call of w or commit follows
// one that failed. w may be slow: the client waits. A BACKUP striped over several URLs waits for the slowest, so no writer may
// wait for another.
//
// When ctx is done before the upload is complete it fails with the context's cause. Close must be called in any case.
func (e *Endpoint) Receive(ctx context.Context, key string, w io.Writer, commit func() error) (*Upload, error) {
	url, err := e.usable(key)
	if err != nil {
		return nil, e.refused("receive", key, err)
	}
	u := &Upload{
		URL: url, key: key, w: w, commit: commit, window: e.cfg.Window, patience: e.cfg.Patience, now: e.cfg.Now,
		done: make(chan struct{}), changed: make(chan struct{}), parts: map[int]part{}, waiting: map[int][]byte{}, arriving: map[int]*arrival{}, turn: 1,
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.free(key); err != nil {
		return nil, e.refused("receive", key, err)
	}
	e.uploads[key] = u
	stop := context.AfterFunc(ctx, func() { u.fail(context.Cause(ctx)) })
	u.detach = func() {
		stop()
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.uploads[key] == u {
			delete(e.uploads, key)
		}
	}
	go u.run()
	return u, nil
}

// Offer lets an object of size bytes be read under key. Readers that open returned are used until ctx is done or the Object closed, each by one
// goroutine at a time. Close must be called in any case.
func (e *Endpoint) Offer(ctx context.Context, key string, size int64, open OpenFunc) (*Object, error) {
	url, err := e.usable(key)
	if err == nil && size < 0 {
		err = fmt.Errorf("a size of %d bytes", size)
	}
	if err != nil {
		return nil, e.refused("offer", key, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.free(key); err != nil {
		return nil, e.refused("offer", key, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	o := &Object{URL: url, key: key, size: size, open: open, ctx: ctx, cancel: cancel}
	// The tag is new for each Offer: a client that resumes must not join two objects.
	tag := fmt.Sprintf("%x", md5.Sum([]byte(key+rand.Text())))
	o.listed = listedObject{Key: key, LastModified: stamp(e.cfg.Now()), ETag: `"` + tag + `"`, Size: size, StorageClass: "STANDARD"}
	o.detach = func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.objects[key] == o {
			delete(e.objects, key)
		}
	}
	e.objects[key] = o
	return o, nil
}

// usable returns the URL of a key, or why it cannot be one.
func (e *Endpoint) usable(key string) (string, error) {
	if !isKey(key) {
		return "", errors.New("a key has letters, digits, '-', '_', '.' and single '/' between them")
	}
	url := e.URL(key)
	if len(url) > MaxURL {
		return "", fmt.Errorf("its URL has %d characters, SQL Server takes %d", len(url), MaxURL)
	}
	return url, nil
}

// free reports why key cannot be registered now. e.mu is held.
func (e *Endpoint) free(key string) error {
	switch {
	case e.closed:
		return ErrClosed
	case e.uploads[key] != nil || e.objects[key] != nil:
		return errors.New("the key is in use")
	}
	return nil
}

func (e *Endpoint) refused(op, key string, err error) error {
	return &backup.Error{Op: op, App: application, Artifact: key, Err: err}
}

// upload returns the upload registered for key, or nil.
func (e *Endpoint) upload(key string) *Upload {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.uploads[key]
}

// object returns the object offered under key, or nil.
func (e *Endpoint) object(key string) *Object {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.objects[key]
}

// stamp is a time as S3 writes it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
