package oracle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"

	"golang.org/x/sync/semaphore"
)

// remote reads files of the server's machine over sessions of its own, [LOB]: a BFILE is a file in a folder that a DIRECTORY object names.
type remote struct {
	src    *Source
	prefix string
	// slots bounds the sessions that exist; idle are those nobody uses.
	slots *semaphore.Weighted

	mu          sync.Mutex
	idle        []*lobSession
	directories map[string]string // folder to name
	created     []string
}

func newRemote(s *Source, job string) *remote {
	return &remote{src: s, prefix: s.directoryPrefix(job), slots: semaphore.NewWeighted(int64(s.opt.Connections)), directories: map[string]string{}}
}

// lobSession is a session that reads BFILEs.
type lobSession struct {
	*session
	reader lobReader
}

// lobReader reads one file after the other over one session.
type lobReader interface {
	length(ctx context.Context, directory, name string) (int64, error)
	// readAt reads up to len(p) bytes. At the end of the file it returns fewer, without an error.
	readAt(ctx context.Context, directory, name string, offset int64, p []byte) (int, error)
}

// use runs do with one of the sessions, and gives the session up when that failed.
func (r *remote) use(ctx context.Context, do func(c *lobSession) error) error {
	if err := r.slots.Acquire(ctx, 1); err != nil {
		return context.Cause(ctx)
	}
	defer r.slots.Release(1)
	c, err := r.take(ctx)
	if err != nil {
		return err
	}
	err = do(c)
	if err != nil {
		c.close() // a file may have stayed open in it, of which a session has ten
		return err
	}
	r.mu.Lock()
	r.idle = append(r.idle, c)
	r.mu.Unlock()
	return nil
}

func (r *remote) take(ctx context.Context) (*lobSession, error) {
	r.mu.Lock()
	if n := len(r.idle); n > 0 {
		c := r.idle[n-1]
		r.idle = r.idle[:n-1]
		r.mu.Unlock()
		return c, nil
	}
	r.mu.Unlock()
	c, err := r.src.open(ctx)
	if err != nil {
		return nil, err
	}
	return &lobSession{session: c, reader: newLobReader(c)}, nil
}

// reading runs do on a session, and once more on another one when the first turns out to be lost: a session that was idle while a tablespace was copied may be gone, and reading the same bytes
// of a file twice changes nothing.
func (r *remote) reading(ctx context.Context, path string, do func(c *lobSession, directory, name string) error) error {
	directory, name, err := r.locate(ctx, path)
	if err != nil {
		return err
	}
	for again := true; ; again = false {
		err := r.use(ctx, func(c *lobSession) error { return do(c, directory, name) })
		if err == nil || ctx.Err() != nil || !again || !lost(err) {
			return absent(path, err)
		}
	}
}

// absent names a file that is not there in Go's own words.
func absent(path string, err error) error {
	if err == nil {
		return nil
	}
	if said(err, oraFileOperation) && strings.Contains(strings.ToLower(err.Error()), "no such file") || said(err, 27037) {
		return fmt.Errorf("%s: %w: %w", path, fs.ErrNotExist, err)
	}
	return fmt.Errorf("read %s: %w", path, err)
}

func (r *remote) size(ctx context.Context, path string) (n int64, err error) {
	err = r.reading(ctx, path, func(c *lobSession, directory, name string) (err error) {
		n, err = c.reader.length(ctx, directory, name)
		return err
	})
	return n, err
}

func (r *remote) open(ctx context.Context, path string) (io.ReadCloser, error) {
	n, err := r.size(ctx, path)
	if err != nil {
		return nil, err
	}
	size := func(ctx context.Context) (int64, error) { return r.size(ctx, path) }
	readAt := func(ctx context.Context, offset int64, p []byte) (k int, err error) {
		err = r.reading(ctx, path, func(c *lobSession, directory, name string) (err error) {
			k, err = c.reader.readAt(ctx, directory, name, offset, p)
			return err
		})
		return k, err
	}
	return newChunks(ctx, chunked{size: size, readAt: readAt, bytes: r.src.opt.ChunkSize, ahead: 2 * r.src.opt.Connections}, n), nil
}

func (r *remote) remove(ctx context.Context, path string) error {
	directory, name, err := r.locate(ctx, path)
	if err != nil {
		return err
	}
	return r.src.with(ctx, func(c *session) error { return c.exec(ctx, "BEGIN UTL_FILE.FREMOVE(:1, :2); END;", directory, name) })
}

// close ends the sessions and drops the DIRECTORY objects that were created.
func (r *remote) close(ctx context.Context) error {
	r.mu.Lock()
	idle, created := r.idle, r.created
	r.idle, r.created = nil, nil
	r.directories = map[string]string{}
	r.mu.Unlock()
	for _, c := range idle {
		c.close()
	}
	if len(created) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	return r.src.with(ctx, func(c *session) error {
		var errs []error
		for _, name := range created {
			errs = append(errs, c.exec(ctx, "DROP DIRECTORY "+quoteName(name)))
		}
		return errors.Join(errs...)
	})
}

// staying says what becomes of DIRECTORY objects that close could not drop.
func staying(err error) string {
	if said(err, oraNoRights) {
		return "DIRECTORY objects of the job stay, one for each folder it reads, and its next run uses them again: the login lacks DROP ANY DIRECTORY"
	}
	return fmt.Sprintf("DIRECTORY objects could not be dropped, and stay until the next run: %v", err)
}

// directoryPrefix is how the DIRECTORY objects of a job begin: what Recover finds under it is the job's own.
func (s *Source) directoryPrefix(job string) string {
	return s.opt.Directories + "_" + short(job, 8) + "_"
}

// locate returns the DIRECTORY object and the name within it under which a file can be read, and creates the object where it must: one for each folder [LOB].
func (r *remote) locate(ctx context.Context, path string) (directory, name string, err error) {
	folder, name, err := splitServer(path)
	if err != nil {
		return "", "", err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if d, ok := r.directories[folder]; ok {
		return d, name, nil
	}
	d := r.prefix + short(folder, 12)
	err = r.src.with(ctx, func(c *session) error {
		err := c.exec(ctx, "CREATE OR REPLACE DIRECTORY "+quoteName(d)+" AS "+quoteText(folder))
		if said(err, oraNoRights) {
			return c.standingDirectory(ctx, folder, &d, err)
		}
		if err == nil {
			r.created = append(r.created, d)
		}
		return err
	})
	if err != nil {
		return "", "", r.src.fail(ctx, "name the folder of the server for reading", folder, err)
	}
	r.directories[folder] = d
	return d, name, nil
}

// standingDirectory looks for an object that an administrator has made for a folder.
func (c *session) standingDirectory(ctx context.Context, folder string, name *string, refused error) error {
	found := false
	err := c.each(ctx, queryDirectories, func(r row) {
		if r.text("DIRECTORY_PATH") == folder {
			*name, found = r.text("DIRECTORY_NAME"), true
		}
	})
	if err == nil && !found {
		err = refused
	}
	return err
}

const queryDirectories = "SELECT DIRECTORY_NAME, DIRECTORY_PATH FROM ALL_DIRECTORIES ORDER BY DIRECTORY_NAME"

// dropDirectories removes what a dead run left. A login that may create such objects need not be allowed to drop them: they stay then, do no harm, and are used again.
func (c *session) dropDirectories(ctx context.Context, prefix string) error {
	var names []string
	err := c.each(ctx, queryDirectories, func(r row) {
		if name := r.text("DIRECTORY_NAME"); strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	})
	for _, name := range names {
		if derr := c.exec(ctx, "DROP DIRECTORY "+quoteName(name)); !said(derr, oraNoRights) {
			err = errors.Join(err, derr)
		}
	}
	return err
}
