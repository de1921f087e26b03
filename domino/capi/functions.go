//go:build (linux && (amd64 || arm64)) || (darwin && (amd64 || arm64)) || (windows && (amd64 || 386))

package capi

import (
	"errors"
	"fmt"
	"reflect"
	"unsafe"

	"github.com/ebitengine/purego"

	"github.com/quiesce-go/quiesce/domino/notes"
)

// How C's types are written here [section "C types" of the User Guide's porting chapter, REF STATUS]:
//
//	STATUS, WORD, USHORT    uint16
//	DWORD                   uint32
//	BOOL                    int32
//	int                     int32
//	handles                 uintptr when handed over, a uint64 that was zero when filled in
//	UNID, TIMEDATE          by pointer
//	char *                  *byte, LMBCS and a NUL
//
// Handles are DWORDs in the official build, while others declare those of databases as 64 bits: so the callee may fill in four bytes or eight, and finds the same number in the register.
type functions struct {
	NotesInitExtended      func(argc int32, argv **byte) uint16
	NotesTerm              func()
	NotesInitThread        func() uint16
	NotesTermThread        func()
	OSLoadString           func(module uintptr, code uint16, buf *byte, size uint16) uint16
	OSTranslate            func(mode uint16, in *byte, inLen uint16, out *byte, outLen uint16) uint16
	OSGetDataDirectory     func(path *byte) uint16
	OSGetEnvironmentString func(name, buf *byte, size uint16) int32

	NSFDbOpen       func(path *byte, h *uint64) uint16
	NSFDbClose      func(h uintptr) uint16
	NSFDbModeGet    func(h uintptr, mode *uint16) uint16
	NSFDbPathGet    func(h uintptr, canonical, expanded *byte) uint16
	NSFDbGetLogInfo func(h uintptr, flags uint32, logged *int32, logID, dbiid *notes.UNID, extent *uint32) uint16

	NSFBackupStart                func(h uintptr, flags uint32, c *uint64, low, high *uint32) uint16
	NSFBackupSetHighWaterMark     func(h, c uintptr, low, high uint32) uint16
	NSFBackupStop                 func(h, c uintptr) uint16
	NSFBackupGetChangeInfoSize    func(h, c uintptr, flags uint32, low, high *uint32) uint16
	NSFBackupGetNextChangeInfo    func(h, c uintptr, flags uint32, buf *byte, size uint32, filled *uint32) uint16
	NSFBackupEnd                  func(h, c uintptr, options uint32) uint16
	NSFBackupStartApplyChangeInfo func(a *uint64, path *byte, flags, low, high uint32) uint16
	NSFBackupApplyNextChangeInfo  func(a uintptr, flags uint32, buf *byte, size uint32) uint16
	NSFBackupEndApplyChangeInfo   func(a uintptr, flags uint32) uint16

	NSFGetTransLogStyle     func(style *uint16) uint16
	NSFBeginArchivingLogs   func() uint16
	NSFEndArchivingLogs     func() uint16
	NSFGetFirstLogToArchive func(logID *notes.UNID, number *uint32, path *byte) uint16
	NSFGetNextLogToArchive  func(logID *notes.UNID, number *uint32, path *byte) uint16
	NSFDoneArchivingLog     func(logID *notes.UNID, number *uint32) uint16

	NSFTakeDatabaseOffline func(path *byte, wait, options uint32) uint16
	NSFBringDatabaseOnline func(path *byte, options uint32) uint16
	NSFRecoverDatabases    func(names *byte, put uintptr, flags uint32, failed *uint16, until *[2]notes.TimeDate) uint16
}

// Options and modes [REF OFFLINE_xxx, BACKUPEND_xxx, APPLYEND_xxx, DB_LOADED, OS_TRANSLATE_xxx].
const (
	offlineNoDelete = 1
	endAbort        = 1 // of a backup, and of an apply
	modeDirectory   = 2
	lmbcsToUTF8     = 22
	utf8ToLMBCS     = 24
	pathBuffer      = 4096                     // [REF] asks for MAXPATH+1, which is 257
	maxPath         = 255                      // MAXPATH without the NUL
	maxEnvironment  = 256                      // MAXENVVALUE
	statusPut       = notes.StatusRMMQLogError // what the callback answers when an extent could not be placed
	maxTranslated   = 65535                    // lengths are WORDs
)

// bind loads the library and finds each of the functions in it.
func bind(path string) (*functions, error) {
	find, err := load(path)
	if err != nil {
		return nil, err
	}
	f := new(functions)
	v := reflect.ValueOf(f).Elem()
	var errs []error
	for i := range v.NumField() {
		address, err := find(v.Type().Field(i).Name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		purego.RegisterFunc(v.Field(i).Addr().Interface(), address)
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("%s is not the library of a Domino that this program knows: %w", path, errors.Join(errs...))
	}
	return f, nil
}

// text is what C wrote into buf, up to the NUL.
func text(buf []byte) []byte {
	for i, c := range buf {
		if c == 0 {
			return buf[:i]
		}
	}
	return buf
}

// cString is what C wrote at p, which ends with a NUL.
func cString(p *byte) []byte {
	n := 0
	for *(*byte)(unsafe.Add(unsafe.Pointer(p), n)) != 0 {
		n++
	}
	return append([]byte(nil), unsafe.Slice(p, n)...)
}
