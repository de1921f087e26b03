package sink

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"gocloud.dev/blob"
	_ "gocloud.dev/blob/memblob" // mem:// costs nothing and serves every program's tests

	"github.com/quiesce-go/quiesce/backup"
)

// Target is where the bytes of a sink really lie: a directory or a bucket. Decorators stand above it and have nothing to
// close; whoever opened the Target closes it when all above are done.
//
// A Target that can create objects atomically also implements backup.PutIfAbsenter.
type Target interface {
	backup.Sink
	// Close gives up connections and files. It does not touch what is stored.
	Close() error
}

// Open opens the target that rawURL names. It makes no contact with a network.
//
//	file:///var/backups           a directory, durable; see OpenDir
//	mem://                        memory, new and empty for every Open; for tests
//	s3://, gs://, azblob://, ...  any gocloud.dev bucket whose driver the program imports; see New
//
// Credentials belong into the environment or the files of the cloud's own tools, not into rawURL. A nil opts means all defaults.
func Open(ctx context.Context, rawURL string, opts *Options) (Target, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Scheme == "" || len(u.Scheme) == 1 {
		return nil, &backup.Error{Op: "open sink", Err: errors.New("not a URL with a scheme"),
			Advice: "write file:///path for a directory, or a bucket's URL such as s3://bucket?region=eu-west-1"}
	}
	name := u.Scheme + "://" + u.Host
	if u.Scheme == "file" {
		path, err := filePath(u)
		if err != nil {
			return nil, &backup.Error{Op: "open sink", Artifact: name, Err: err, Advice: "write file:///path"}
		}
		d, err := OpenDir(path)
		if err != nil {
			return nil, err // not a nil *Dir, which as a Target would not be nil
		}
		return d, nil
	}
	mux := blob.DefaultURLMux()
	if !mux.ValidBucketScheme(u.Scheme) {
		return nil, unknownScheme(u.Scheme, mux.BucketSchemes())
	}
	b, err := mux.OpenBucketURL(ctx, u)
	if err != nil {
		return nil, &backup.Error{Op: "open sink", Artifact: name, Err: classify(err)}
	}
	return New(b, opts), nil
}

// filePath is the directory a file URL means.
func filePath(u *url.URL) (string, error) {
	switch {
	case u.Host != "" && u.Host != "localhost":
		return "", fmt.Errorf("a file URL has no host, got %q", u.Host)
	case u.RawQuery != "" || u.Fragment != "":
		return "", errors.New("a file URL takes no parameters")
	case u.Path == "" || u.Opaque != "":
		return "", errors.New("no path")
	}
	path := u.Path
	if runtime.GOOS == "windows" {
		path = strings.TrimPrefix(path, "/") // file:///C:/backups
	}
	return filepath.FromSlash(path), nil
}

// unknownScheme says what to import for a scheme whose driver is not linked.
func unknownScheme(scheme string, linked []string) error {
	drivers := map[string]string{"s3": "s3blob", "gs": "gcsblob", "azblob": "azureblob"}
	linked = append(slices.Clone(linked), "file")
	slices.Sort(linked)
	e := &backup.Error{Op: "open sink", Err: fmt.Errorf("no driver for the scheme %q is linked into this program (linked: %s)",
		scheme, strings.Join(slices.Compact(linked), ", "))}
	if d, ok := drivers[scheme]; ok {
		e.Advice = fmt.Sprintf("import _ %q in the program", "gocloud.dev/blob/"+d)
	} else {
		e.Advice = "check the spelling; the clouds are s3, gs and azblob, a directory is file:///path"
	}
	return e
}
