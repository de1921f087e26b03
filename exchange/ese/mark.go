package ese

import "fmt"

// BackupMark is what a header keeps of a backup. Zero: there was none.
type BackupMark struct {
	// At is where in the logs the backup was, Time when.
	At   Position
	Time Stamp
	// First and Last are the generations that the backup holds.
	First, Last uint32
	// Method is how it was taken. It is said of the previous backups only.
	Method BackupMethod
}

// IsZero reports whether there was no such backup.
func (m BackupMark) IsZero() bool {
	m.Method = 0
	return m == BackupMark{}
}

// String reads "2024-03-01 12:30:05Z by streaming, logs 0x11 to 0x13".
func (m BackupMark) String() string {
	if m.IsZero() {
		return "never"
	}
	return fmt.Sprintf("%s by %s, logs 0x%X to 0x%X", m.Time, m.Method, m.First, m.Last)
}

// BackupMethod is how a backup was taken. A log backup needs a full backup of the same method before it.
type BackupMethod uint32

// The methods (4.2).
const (
	ByStreaming  BackupMethod = 0 // the streaming API
	ByOSSnapshot BackupMethod = 1 // a snapshot of the operating system, VSS
	BySnapshot   BackupMethod = 2 // a snapshot that is not the operating system's
	BySurrogate  BackupMethod = 3 // a backup of another copy of the database
)

// String is a word or two.
func (m BackupMethod) String() string {
	switch m {
	case ByStreaming:
		return "streaming"
	case ByOSSnapshot:
		return "OS snapshot"
	case BySnapshot:
		return "snapshot"
	case BySurrogate:
		return "surrogate"
	}
	return fmt.Sprintf("BackupMethod(%d)", uint32(m))
}

// family is the method that a log backup after it must have.
func (m BackupMethod) family() BackupMethod {
	if m == BySurrogate {
		return ByOSSnapshot
	}
	return m
}

// MarshalText is [BackupMethod.String].
func (m BackupMethod) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

func (f fields) mark(at int) BackupMark {
	return BackupMark{At: f.position(at), Time: f.stamp(at + 8), First: f.u32(at + 16), Last: f.u32(at + 20)}
}

// previous is the mark of a previous backup, with the method that stands elsewhere.
func (f fields) previous(at, atMethod int) BackupMark {
	m := f.mark(at)
	if !m.IsZero() {
		m.Method = BackupMethod(f.u32(atMethod))
	}
	return m
}
