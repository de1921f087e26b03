package mssqlsim

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/tds"
)

// MediaWriter puts backup sets on devices.
type MediaWriter interface {
	// Create opens one device of a backup and begins to write. It is called once for each. A *DeviceError becomes message 3201.
	Create(ctx context.Context, job Job) (Device, error)
}

// Job is one device of a backup, and what is to be on it.
type Job struct {
	Path   string
	Family Family
	// Set is the last set of the device. Its Finish is not known yet. A device may keep those of its records only that fall to its family.
	Set Set
	// Add keeps the sets that are there; else the device will hold Set alone.
	Add bool
	// TransferBytes is MAXTRANSFERSIZE; 0 when the statement does not say.
	TransferBytes int
}

// Device is a device being written.
type Device interface {
	// Advance writes the data up to that share of them. A *DeviceError becomes message 3202.
	Advance(ctx context.Context, percent int) error
	// Commit writes what is left and ends the set.
	Commit(ctx context.Context, finish time.Time) error
	// Close frees the device. Without Commit before it, what was written may stay there, as SQL Server leaves a torn file.
	Close() error
}

// MediaReader reads what a MediaWriter wrote.
type MediaReader interface {
	// Read returns what the headers on the device say, in order. Records may be missing from the sets. A *DeviceError becomes message 3201, a tds.Message is sent as it is,
	// any other error becomes message 3241.
	Read(ctx context.Context, path string) (Family, []Set, error)
	// Load reads the data of a set on this device and returns the records in it; with sums it also compares the checksums, if the set has any. Errors as those of Read.
	Load(ctx context.Context, path string, position int, sums bool) ([]Record, error)
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
	devices map[string]memoryFile
}

type memoryFile struct {
	family  Family
	sets    []Set
	damaged bool
}

// NewMemoryMedia has the given folders.
func NewMemoryMedia(folders ...string) *MemoryMedia {
	m := &MemoryMedia{folders: map[string]bool{}, devices: map[string]memoryFile{}}
	for _, f := range folders {
		m.folders[plainPath(f)] = true
	}
	return m
}

func plainPath(path string) string {
	return strings.TrimSuffix(strings.ToLower(strings.ReplaceAll(path, `\`, "/")), "/")
}

// Create does what MediaWriter says. A folder that does not exist is system error 3. Until Commit the device holds what it held.
func (m *MemoryMedia) Create(_ context.Context, job Job) (Device, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	path := plainPath(job.Path)
	if folder := path[:max(0, strings.LastIndexByte(path, '/'))]; !m.folders[folder] {
		return nil, &DeviceError{Code: 3, Text: "The system cannot find the path specified."}
	}
	return &memoryDevice{media: m, path: path, job: job}, nil
}

// memoryDevice is a Device of MemoryMedia.
type memoryDevice struct {
	media *MemoryMedia
	path  string
	job   Job
}

func (d *memoryDevice) Advance(ctx context.Context, _ int) error { return context.Cause(ctx) }

func (d *memoryDevice) Commit(ctx context.Context, finish time.Time) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	d.media.mu.Lock()
	defer d.media.mu.Unlock()
	set := d.job.Set
	set.Finish = finish
	f := memoryFile{family: d.job.Family}
	if d.job.Add {
		f.sets = slices.Clone(d.media.devices[d.path].sets)
	}
	f.sets = append(f.sets, set)
	d.media.devices[d.path] = f
	return nil
}

func (d *memoryDevice) Close() error { return nil }

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

// Load does what MediaReader says. Each device of a striped backup has all records.
func (m *MemoryMedia) Load(ctx context.Context, path string, position int, _ bool) ([]Record, error) {
	_, sets, err := m.Read(ctx, path)
	if err != nil {
		return nil, err
	}
	if position > len(sets) {
		return nil, failure(4038, "Cannot find file ID %d on device '%s'.", position, path)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.devices[plainPath(path)].damaged {
		return nil, failure(3183, "RESTORE detected an error on page (%d:%d) in database \"%s\" as read from the backup set.", damagedFile, damagedPage, sets[position-1].Database)
	}
	return sets[position-1].Records, nil
}

// Damage makes one page on a device unreadable: its headers can be read, its data cannot.
func (m *MemoryMedia) Damage(path string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.devices[plainPath(path)]
	f.damaged = true
	m.devices[plainPath(path)] = f
}

// Remove deletes a device, as one who removes a file.
func (m *MemoryMedia) Remove(path string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.devices, plainPath(path))
}

// families describes the devices: those of the media set that is there, which stays unless FORMAT makes a new one, or new ones. add tells that the set goes behind those
// that are there.
func (in *Instance) families(ctx context.Context, st backupStatement) (all []Family, add bool, err error) {
	mediaSet, known := newGUID(), 0
	for i, device := range st.devices {
		path := device.path
		old, found, err := in.mounted(ctx, st, device)
		if err != nil {
			return nil, false, err
		}
		if !found {
			all = append(all, Family{MediaSet: mediaSet, ID: newFamilyID(), Sequence: i + 1, Count: len(st.devices),
				Name: st.options.texts["MEDIANAME"], About: st.options.texts["MEDIADESCRIPTION"]})
			continue
		}
		if old.Count != len(st.devices) || old.Sequence != i+1 {
			return nil, false, failure(3231, "The media loaded on \"%s\" is formatted to support %d media families, but %d media families are expected "+
				"according to the backup device specification.", path, old.Count, len(st.devices))
		}
		all = append(all, old)
		known++
	}
	if known > 0 && known < len(all) {
		return nil, false, unknown("devices of which some hold a media set and some do not")
	}
	return all, known > 0 && !st.options.has("INIT"), nil
}

// mounted is the family that a device holds and that this backup keeps.
func (in *Instance) mounted(ctx context.Context, st backupStatement, device backupDevice) (old Family, found bool, err error) {
	if st.options.has("FORMAT") {
		return old, false, nil
	}
	path := device.path
	old, sets, err := in.read(ctx, device)
	var d *DeviceError
	var m tds.Message
	switch {
	case errors.As(err, &d) && d.Code == 2, errors.As(err, &m) && m.Number == 3254:
		return old, false, nil
	case err != nil:
		return old, false, deviceMessage(ctx, path, err)
	case len(sets) == 0:
		return old, false, nil
	case sets[0].Compressed != st.options.has("COMPRESSION") && !sets[0].Incomplete:
		asked, other := "COMPRESSION", "NO_COMPRESSION"
		if sets[0].Compressed {
			asked, other = other, asked
		}
		return old, false, failure(3098, "The backup cannot be performed because '%s' was requested after the media was formatted with an incompatible structure. "+
			"To append to this media set, either omit '%[1]s' or specify '%[2]s'. Alternatively, you can create a new media set by using WITH FORMAT in your BACKUP statement. "+
			"If you use WITH FORMAT on an existing media set, all its backup sets will be overwritten.", asked, other)
	case sets[len(sets)-1].Incomplete && !st.options.has("INIT"):
		return old, false, failure(3266, "The backup data at the end of \"%s\" is incorrectly formatted. Backup sets on the media might be damaged and unusable. "+
			"To determine the backup sets on the media, use RESTORE HEADERONLY. To determine the usability of the backup sets, run RESTORE VERIFYONLY. "+
			"If all of the backup sets are incomplete, reformat the media using BACKUP WITH FORMAT, which destroys all the backup sets.", path)
	}
	return old, true, in.mayOverwrite(st, device, old, sets)
}

// mayOverwrite checks whether what is on a device may be overwritten or added to.
func (in *Instance) mayOverwrite(st backupStatement, device backupDevice, old Family, sets []Set) error {
	o := st.options
	if device.url {
		return failure(3296, "The file %s exists on the remote endpoint, and WITH FORMAT was not specified. Backup cannot proceed.", device.path)
	}
	for _, s := range sets {
		if o.has("INIT") && !o.has("SKIP") && s.Expires.After(in.config.Now()) {
			return failure(4030, "The medium on device '%s' expires on %s and cannot be overwritten.", device.path, s.Expires.Format("Jan _2 2006 15:04:05:000"))
		}
	}
	name := o.texts["MEDIANAME"]
	switch {
	case name != "" && !o.has("SKIP") && old.Name != name:
		return failure(4037, "The user-specified MEDIANAME \"%s\" does not match the MEDIANAME \"%s\" of the device \"%s\".", name, old.Name, device.path)
	case !o.has("INIT") && o.cipher.key != "" && sets[0].KeyAlgorithm == "":
		return failure(3095, "The backup cannot be performed because 'ENCRYPTION' was requested after the media was formatted with an incompatible structure. "+
			"To append to this media set, either omit 'ENCRYPTION' or create a new media set by using WITH FORMAT in your BACKUP statement. "+
			"If you use WITH FORMAT on an existing media set, all its backup sets will be overwritten.")
	case !o.has("INIT") && o.cipher.key == "" && sets[0].KeyAlgorithm != "":
		return unknown("a set without encryption behind one with it")
	}
	return nil
}

// createAll begins to write a set on all devices. The caller closes what it gets, even along with an error.
func (in *Instance) createAll(ctx context.Context, st backupStatement, families []Family, set Set, add bool) (all []Device, err error) {
	for i, device := range st.devices {
		m, err := in.media(device)
		if err != nil {
			return all, err
		}
		d, err := m.Create(ctx, Job{Path: device.path, Family: families[i], Set: set, Add: add, TransferBytes: st.options.numbers["MAXTRANSFERSIZE"]})
		if err != nil {
			return all, deviceMessage(ctx, device.path, err)
		}
		all = append(all, d)
	}
	return all, nil
}

// load reads the data of the set at that position of all devices, which are all members of its media set.
func (in *Instance) load(ctx context.Context, st restoreStatement) ([]Record, error) {
	var all []Record
	for _, device := range st.devices {
		m, err := in.media(device)
		if err != nil {
			return nil, err
		}
		records, err := m.Load(ctx, device.path, st.position(), !st.options.has("NO_CHECKSUM"))
		if err != nil {
			return nil, deviceMessage(ctx, device.path, err)
		}
		all = append(all, records...)
	}
	slices.SortFunc(all, func(a, b Record) int { return cmp.Compare(a.LSN, b.LSN) })
	return slices.CompactFunc(all, func(a, b Record) bool { return a.LSN == b.LSN }), nil
}

// deviceMessage is what the server says when a device cannot be opened or read.
func deviceMessage(ctx context.Context, path string, err error) error {
	var d *DeviceError
	var m tds.Message
	switch {
	case ctx.Err() != nil:
		return aborted()
	case errors.As(err, &m):
		return m
	case errors.As(err, &d):
		return cannotOpenDevice(path, d)
	}
	return incorrectlyFormed(path)
}

// writeMessage is what it says when a device that was open cannot be written.
func writeMessage(ctx context.Context, path string, err error) error {
	var d *DeviceError
	if ctx.Err() == nil && errors.As(err, &d) {
		return failure(3202, "Write on \"%s\" failed: %d(%s)", path, d.Code, d.Text)
	}
	return deviceMessage(ctx, path, err)
}

func aborted() tds.Message { return failure(3204, "The backup or restore was aborted.") }

func incorrectlyFormed(path string) tds.Message {
	return failure(3241, "The media family on device '%s' is incorrectly formed. SQL Server cannot process this media family.", path)
}

var _ Media = (*MemoryMedia)(nil)
