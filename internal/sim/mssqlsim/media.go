package mssqlsim

import (
	"context"
	"strings"
	"sync"

	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/tds"
)

// MediaWriter puts backup sets on devices. It is where genuine files will be written.
type MediaWriter interface {
	// Write makes the device at path hold family, with set as its last set: behind the sets it has when add is true, else alone.
	// It is called once for each device of a backup. The device must hold all of it or what it held before.
	// A *DeviceError becomes message 3201.
	Write(ctx context.Context, path string, family Family, set Set, add bool) error
}

// MediaReader reads what a MediaWriter wrote.
type MediaReader interface {
	// Read returns what the device holds, in order. A *DeviceError becomes message 3201, any other error message 3241.
	Read(ctx context.Context, path string) (Family, []Set, error)
}

// Media does both.
type Media interface {
	MediaWriter
	MediaReader
}

// Family is one device of a media set, as its media header describes it.
type Family struct {
	MediaSet tds.GUID
	ID       tds.GUID
	Sequence int // 1 to Count
	Count    int
	Name     string
	About    string
}

// DeviceError tells that a device could not be opened, with the number of the operating system.
type DeviceError struct {
	Code int
	Text string
}

func (e *DeviceError) Error() string { return e.Text }

// MemoryMedia keeps devices in memory, in folders that exist from the start. Paths ignore case and may use either slash.
type MemoryMedia struct {
	mu      sync.Mutex
	folders map[string]bool
	devices map[string]device
}

type device struct {
	family Family
	sets   []Set
}

// NewMemoryMedia has the given folders.
func NewMemoryMedia(folders ...string) *MemoryMedia {
	m := &MemoryMedia{folders: map[string]bool{}, devices: map[string]device{}}
	for _, f := range folders {
		m.folders[plainPath(f)] = true
	}
	return m
}

func plainPath(path string) string {
	return strings.TrimSuffix(strings.ToLower(strings.ReplaceAll(path, `\`, "/")), "/")
}

// Write does what MediaWriter says. A folder that does not exist is system error 3.
func (m *MemoryMedia) Write(ctx context.Context, path string, family Family, set Set, add bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	path = plainPath(path)
	if folder := path[:max(0, strings.LastIndexByte(path, '/'))]; !m.folders[folder] {
		return &DeviceError{Code: 3, Text: "The system cannot find the path specified."}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	d := m.devices[path]
	if !add {
		d = device{}
	}
	m.devices[path] = device{family: family, sets: append(d.sets[:len(d.sets):len(d.sets)], set)}
	return nil
}

// Read does what MediaReader says. A device that does not exist is system error 2.
func (m *MemoryMedia) Read(_ context.Context, path string) (Family, []Set, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, ok := m.devices[plainPath(path)]
	if !ok {
		return Family{}, nil, &DeviceError{Code: 2, Text: "The system cannot find the file specified."}
	}
	return d.family, d.sets, nil
}

// Remove deletes a device, as one who removes a file.
func (m *MemoryMedia) Remove(path string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.devices, plainPath(path))
}

var _ Media = (*MemoryMedia)(nil)
