package esebcli

import (
	"context"
	"fmt"
	"os"
	"syscall"

	"github.com/quiesce-go/quiesce/backup"
)

// Library is a loaded esebcli2.dll: an API. It may be used by several goroutines, its sessions by one each.
type Library struct {
	path string
	dll  caller
}

// caller calls the functions of a library.
type caller interface {
	// call calls fn with machine words, and returns its result and what GetLastError answers right after it, on the same thread.
	call(fn function, words []uintptr) (result uintptr, last uint32)
	// text is what the library or the system says about a number; empty: nothing.
	text(code uint32) string
	// ready is asked before a session begins: it gives the process the privileges.
	ready() error
}

// function is one that the library exports.
type function int

const (
	backupPrepare function = iota
	backupFreeInstanceInfo
	backupSetup
	backupOpenFile
	backupReadFile
	backupCloseFile
	backupGetLogAndPatchFiles
	backupGetTruncateLogFiles
	backupTruncateLogs
	backupInstanceEnd
	backupEnd
	backupFree
	restoreOpen
	restoreReopen
	restoreGetEnvironment
	restoreFreeEnvironment
	restoreAddDatabase
	restoreAddDatabaseNS
	restoreOpenFile
	restoreWriteFile
	restoreCloseFile
	restoreSaveEnvironment
	restoreComplete
	restoreClose
	restoreFree
)

// functions are the names by which the library exports them [SDK03].
var functions = [...]string{
	backupPrepare:             "HrESEBackupPrepare",
	backupFreeInstanceInfo:    "ESEBackupFreeInstanceInfo",
	backupSetup:               "HrESEBackupSetup",
	backupOpenFile:            "HrESEBackupOpenFile",
	backupReadFile:            "HrESEBackupReadFile",
	backupCloseFile:           "HrESEBackupCloseFile",
	backupGetLogAndPatchFiles: "HrESEBackupGetLogAndPatchFiles",
	backupGetTruncateLogFiles: "HrESEBackupGetTruncateLogFiles",
	backupTruncateLogs:        "HrESEBackupTruncateLogs",
	backupInstanceEnd:         "HrESEBackupInstanceEnd",
	backupEnd:                 "HrESEBackupEnd",
	backupFree:                "ESEBackupFree",
	restoreOpen:               "HrESERestoreOpen",
	restoreReopen:             "HrESERestoreReopen",
	restoreGetEnvironment:     "HrESERestoreGetEnvironment",
	restoreFreeEnvironment:    "ESERestoreFreeEnvironment",
	restoreAddDatabase:        "HrESERestoreAddDatabase",
	restoreAddDatabaseNS:      "HrESERestoreAddDatabaseNS",
	restoreOpenFile:           "HrESERestoreOpenFile",
	restoreWriteFile:          "HrESERestoreWriteFile",
	restoreCloseFile:          "HrESERestoreCloseFile",
	restoreSaveEnvironment:    "HrESERestoreSaveEnvironment",
	restoreComplete:           "HrESERestoreComplete",
	restoreClose:              "HrESERestoreClose",
	restoreFree:               "ESERestoreFree",
}

func (fn function) String() string { return functions[fn] }

// Find returns the path of the library, as the registry of this machine has it [BAC]: HKLM\SYSTEM\CurrentControlSet\Control\BackupRestore\DLLPaths, value esebcli2. The management tools of Exchange 2000 to 2007 put it there.
// Anywhere but on Windows the error is errors.ErrUnsupported.
func Find() (string, error) { return find() }

// Load loads the library from a path, or, when this is empty, from where Find finds it. It stays loaded as long as the process lives. Its bitness must be that of the process: GOARCH=386 for Exchange 2000 and 2003, amd64 for 2007.
// Anywhere but on Windows, and on machines that are neither 386 nor amd64, the error is errors.ErrUnsupported.
func Load(path string) (*Library, error) {
	if path == "" {
		var err error
		if path, err = Find(); err != nil {
			return nil, err
		}
	}
	dll, err := load(path)
	if err != nil {
		return nil, err
	}
	return &Library{path: path, dll: dll}, nil
}

// EnablePrivileges enables SeBackupPrivilege and SeRestorePrivilege for this process, which the library asks of its caller [SDK03]. A Library does so before it begins a session. An error names the privilege that the account does not have.
func EnablePrivileges() error { return enablePrivileges() }

// Path is where the library was loaded from.
func (l *Library) Path() string { return l.path }

// invoke calls fn. object is what it is about, for the error, which has an HRESULT in its tree unless nothing was asked.
func (l *Library) invoke(ctx context.Context, fn function, object string, f *frame) error {
	err := f.err
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		f.release()
		return &backup.Error{App: "exchange", Op: fn.String(), Artifact: object, Err: err}
	}
	return l.must(fn, object, f)
}

// must is invoke for what ends something: it is asked even when the context has ended.
func (l *Library) must(fn function, object string, f *frame) error {
	defer f.release()
	result, last := l.dll.call(fn, f.words)
	hr := HRESULT(uint32(result))
	if hr == 0 {
		return nil
	}
	return &backup.Error{App: "exchange", Op: fn.String(), Artifact: object, Advice: hr.Hint(), Err: l.explain(hr, last)}
}

// free gives memory of the library back.
func (l *Library) free(fn function, f *frame) {
	defer f.release()
	l.dll.call(fn, f.words)
}

// explain adds to an answer what can be asked about it.
func (l *Library) explain(hr HRESULT, last uint32) error {
	var err error = hr
	if hr.meaning().text == "" {
		if text := l.dll.text(uint32(hr)); text != "" {
			err = fmt.Errorf("%w: %s", hr, text)
		}
	}
	if !hr.needsDetail() || last == 0 {
		return err
	}
	return fmt.Errorf("%w: %w", err, l.detail(last))
}

// detail is what GetLastError returned: a number of the engine, as it is or as an HRESULT [inferred], or one of Windows.
func (l *Library) detail(last uint32) error {
	const lowest = -10000 // errors of the engine are above it [ESE]
	switch code := int32(last); {
	case HRESULT(last).meaning().text != "":
		return HRESULT(last)
	case code < 0 && code > lowest:
		return FromJET(int(code))
	}
	if text := l.dll.text(last); text != "" {
		return fmt.Errorf("%s (%d): %w", text, last, syscall.Errno(last))
	}
	return fmt.Errorf("GetLastError %d (0x%08X)", last, last)
}

// server is the name of a server: an empty one is this machine, by its name, since no document says that NULL would do.
func server(name string) (string, error) {
	if name != "" {
		return name, nil
	}
	return os.Hostname()
}

// errOver is wrapped by what is asked of a session that has ended.
var errOver = fmt.Errorf("the session has ended: %w", os.ErrClosed)

func over(fn function, object string) error {
	return &backup.Error{App: "exchange", Op: fn.String(), Artifact: object, Err: errOver}
}

var _ API = (*Library)(nil)
