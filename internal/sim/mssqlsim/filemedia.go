package mssqlsim

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// FileMedia keeps devices as files that have the layout of SQL Server's own, in folders of this machine that have another name on the simulated server. What it reads
// comes from the bytes of the files, whoever put them there.
type FileMedia struct {
	folders map[string]string
	options FileOptions

	mu   sync.Mutex
	busy map[string]bool // files being written
}

// FileOptions change what FileMedia does. The zero value is a server that works.
type FileOptions struct {
	// Mode of new files; 0 means 0660.
	Mode fs.FileMode
	// Torn tells whether the file of a backup that was cancelled or failed is left behind, as it is; nil leaves all of them.
	Torn func(path string) bool
	// Fault is called before each write to a device, with the bytes its file has, and its error is that of the write: &DeviceError{Code: 112} is a full disk.
	Fault func(path string, size int64) error
}

// NewFileMedia maps folders of the server (S:\backup, /var/backup) to folders of this machine; nil options are the zero value. Paths below a folder keep their names, with either slash;
// case counts in what follows the folder only.
func NewFileMedia(folders map[string]string, o *FileOptions) *FileMedia {
	m := &FileMedia{folders: map[string]string{}, busy: map[string]bool{}}
	if o != nil {
		m.options = *o
	}
	if m.options.Mode == 0 {
		m.options.Mode = 0o660
	}
	for server, local := range folders {
		m.folders[plainPath(server)] = local
	}
	return m
}

var (
	errNoFile   = &DeviceError{Code: 2, Text: "The system cannot find the file specified."}
	errNoFolder = &DeviceError{Code: 3, Text: "The system cannot find the path specified."}
	errDenied   = &DeviceError{Code: 5, Text: "Access is denied."}
	errSharing  = &DeviceError{Code: 32, Text: "The process cannot access the file because it is being used by another process."}
	errDiskFull = &DeviceError{Code: 112, Text: "There is not enough space on the disk."}
	errIO       = &DeviceError{Code: 1117, Text: "The request could not be performed because of an I/O device error."}
)

// Local is where a path of the server lies on this machine. A path outside the folders is system error 3.
func (m *FileMedia) Local(path string) (string, error) {
	plain := plainPath(path)
	best := ""
	for folder := range m.folders {
		if strings.HasPrefix(plain, folder+"/") && len(folder) >= len(best) {
			best = folder
		}
	}
	local, ok := m.folders[best]
	if !ok || len(plain) <= len(best) {
		return "", errNoFolder
	}
	rest := filepath.FromSlash(strings.ReplaceAll(path[len(best)+1:], `\`, "/"))
	if !filepath.IsLocal(rest) {
		return "", errNoFolder
	}
	return filepath.Join(local, rest), nil
}

// systemError is what the operating system of the server would have said.
func systemError(err error, missing *DeviceError) error {
	var d *DeviceError
	switch {
	case err == nil, errors.As(err, &d):
		return err
	case errors.Is(err, fs.ErrNotExist):
		return missing
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EISDIR):
		return errDenied
	case errors.Is(err, syscall.ENOSPC):
		return errDiskFull
	}
	var p *fs.PathError
	if errors.As(err, &p) {
		return errIO
	}
	return err
}

// Create does what MediaWriter says. The file is overwritten from here on, or what it holds is added to.
func (m *FileMedia) Create(ctx context.Context, job Job) (Device, error) {
	local, err := m.Local(job.Path)
	if err != nil {
		return nil, err
	}
	if !m.take(local) {
		return nil, errSharing
	}
	d := &fileDevice{media: m, path: job.Path, local: local}
	if err := d.begin(ctx, job); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// take makes the caller the only one who has the file open; give ends that.
func (m *FileMedia) take(local string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.busy[local] {
		return false
	}
	m.busy[local] = true
	return true
}

func (m *FileMedia) give(local string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.busy, local)
}

// fileDevice is a Device of FileMedia.
type fileDevice struct {
	*Tape
	media       *FileMedia
	path, local string
	file        *os.File
	size        int64
	added       bool // to a file that was there
	committed   bool
}

func (d *fileDevice) begin(ctx context.Context, job Job) error {
	flags := os.O_RDWR | os.O_CREATE | os.O_TRUNC
	var before Extent
	if job.Add {
		flags, d.added = os.O_RDWR, true
	}
	var err error
	if d.file, err = os.OpenFile(d.local, flags, d.media.options.Mode); err != nil {
		return systemError(err, errNoFolder)
	}
	if err := d.file.Chmod(d.media.options.Mode); err != nil && !errors.Is(err, fs.ErrPermission) {
		return systemError(err, errNoFolder)
	}
	if job.Add {
		if _, _, before, err = ReadTape(ctx, d.file, d.path); err != nil {
			return err
		}
		if d.size, err = d.file.Seek(0, io.SeekEnd); err != nil {
			return systemError(err, errNoFile)
		}
	}
	if d.Tape, err = BeginTape(d, job.Family, job.Set, before); err != nil {
		return writeMessage(ctx, d.path, err)
	}
	return nil
}

// Write is where Tape puts its bytes.
func (d *fileDevice) Write(b []byte) (int, error) {
	if d.media.options.Fault != nil {
		if err := d.media.options.Fault(d.path, d.size); err != nil {
			return 0, err
		}
	}
	n, err := d.file.Write(b)
	d.size += int64(n)
	return n, systemError(err, errNoFolder)
}

// Commit does what Device says.
func (d *fileDevice) Commit(ctx context.Context, finish time.Time) error {
	if err := d.Tape.Commit(ctx, finish); err != nil {
		return err
	}
	d.committed = true
	return nil
}

// Close does what Device says.
func (d *fileDevice) Close() error {
	defer d.media.give(d.local)
	if d.file == nil {
		return nil
	}
	err := d.file.Close()
	if torn := d.media.options.Torn; !d.committed && !d.added && torn != nil && !torn(d.path) {
		err = errors.Join(err, os.Remove(d.local))
	}
	return err
}

// open gives a file that nobody writes to.
func (m *FileMedia) open(path string) (*os.File, error) {
	local, err := m.Local(path)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.busy[local] {
		return nil, errSharing
	}
	if i, err := os.Stat(local); err == nil && i.IsDir() {
		return nil, errDenied
	}
	f, err := os.Open(local)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Dir(local)); err != nil {
			return nil, errNoFolder
		}
	}
	return f, systemError(err, errNoFile)
}

// Read does what MediaReader says.
func (m *FileMedia) Read(ctx context.Context, path string) (Family, []Set, error) {
	f, err := m.open(path)
	if err != nil {
		return Family{}, nil, err
	}
	defer f.Close()
	family, sets, _, err := ReadTape(ctx, f, path)
	return family, sets, err
}

// Load does what MediaReader says: each device has the records of its family.
func (m *FileMedia) Load(ctx context.Context, path string, position int, sums bool) ([]Record, error) {
	f, err := m.open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return LoadTape(ctx, f, path, position, sums)
}

var _ Media = (*FileMedia)(nil)
