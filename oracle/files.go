package oracle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// files reads what the server names by its paths. A file that is not there is an error that wraps fs.ErrNotExist.
type files interface {
	// size is the length of a file now, in bytes.
	size(ctx context.Context, path string) (int64, error)
	// open reads a file from its beginning to its end as it is when that is reached: a data file may grow meanwhile.
	open(ctx context.Context, path string) (io.ReadCloser, error)
	// remove deletes a file.
	remove(ctx context.Context, path string) error
	// close gives everything back. It runs when ctx is over, too.
	close(ctx context.Context) error
}

// files opens what the mode says.
func (s *Source) files(job string) files {
	if s.opt.Mode == ModeRemote {
		return newRemote(s, job)
	}
	return local{}
}

// adviceReadable is for files of the server that this process may not read.
const adviceReadable = "in local mode this process must run on the server's machine under an account that may read its files, such as oracle; or use remote mode"

// forbidden adds what to do to the error of a file that is there and may not be read.
func (s *Source) forbidden(path string, err error) error {
	if err == nil || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return &backup.Error{Op: "read", App: application, Instance: s.instance, Artifact: path, Err: err, Advice: adviceReadable}
}

// local reads files of this machine.
type local struct{}

func (local) size(_ context.Context, path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	if !info.Mode().IsRegular() {
		return 0, fmt.Errorf("%s is not a regular file", path)
	}
	return info.Size(), nil
}

func (l local) open(ctx context.Context, path string) (io.ReadCloser, error) {
	if _, err := l.size(ctx, path); err != nil {
		return nil, err // a FIFO would wait for ever
	}
	return os.Open(path)
}

func (local) remove(_ context.Context, path string) error { return os.Remove(path) }
func (local) close(context.Context) error                 { return nil }

// splitServer cuts a path of the server into folder and name, in the style of the path: the server may run on another system than this process.
func splitServer(path string) (dir, name string, err error) {
	at := strings.LastIndexAny(path, `/\`)
	if at < 0 || at == len(path)-1 {
		return "", "", fmt.Errorf("%q is not the full path of a file", path)
	}
	dir, name = path[:at], path[at+1:]
	if dir == "" || strings.HasSuffix(dir, ":") {
		dir = path[:at+1]
	}
	return dir, name, nil
}

// joinServer joins a name to a folder of the server, in the style of that folder.
func joinServer(dir, name string) string {
	separator := "/"
	if strings.Contains(dir, `\`) {
		separator = `\`
	}
	return strings.TrimRight(dir, separator) + separator + name
}

// missing reports whether the file is not there, as opposed to that it cannot be read.
func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// baseName is the last element of a server's path, of any style.
func baseName(path string) string {
	if _, name, err := splitServer(path); err == nil {
		return name
	}
	return filepath.Base(path)
}

// pause waits.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
