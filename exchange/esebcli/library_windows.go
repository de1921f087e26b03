//go:build windows && (386 || amd64)

package esebcli

import (
	"fmt"
	"strings"
	"syscall"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"

	"github.com/quiesce-go/quiesce/backup"
)

const dllPaths = `SYSTEM\CurrentControlSet\Control\BackupRestore\DLLPaths`

func find() (string, error) {
	failed := func(err error) error {
		return &backup.Error{
			App: "exchange", Op: "find esebcli2.dll", Artifact: `HKLM\` + dllPaths, Err: err,
			Advice: "install the management tools of Exchange (2000 to 2007) on this machine, or name the path of esebcli2.dll; Exchange 2010 and later have none and are backed up by snapshots",
		}
	}
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, dllPaths, registry.QUERY_VALUE)
	if err != nil {
		return "", failed(err)
	}
	defer key.Close()
	path, kind, err := key.GetStringValue("esebcli2")
	if err != nil {
		return "", failed(fmt.Errorf("value esebcli2: %w", err))
	}
	if kind == registry.EXPAND_SZ {
		if path, err = registry.ExpandString(path); err != nil {
			return "", failed(fmt.Errorf("value esebcli2: %w", err))
		}
	}
	return path, nil
}

// dll is the library in this process.
type dll struct {
	handle windows.Handle
	addrs  [len(functions)]uintptr
}

func load(path string) (caller, error) {
	failed := func(err error, advice string) error {
		return &backup.Error{App: "exchange", Op: "load", Artifact: path, Err: err, Advice: advice}
	}
	// What it needs itself lies beside it: the programs of Exchange need not be in the path.
	handle, err := windows.LoadLibraryEx(path, 0, windows.LOAD_WITH_ALTERED_SEARCH_PATH)
	if err != nil {
		return nil, failed(err, "look whether the file is there and has the bitness of this program: 386 for Exchange 2000 and 2003, amd64 for 2007")
	}
	d := &dll{handle: handle}
	for fn := range d.addrs {
		if d.addrs[fn], err = windows.GetProcAddress(handle, function(fn).String()); err != nil {
			_ = windows.FreeLibrary(handle)
			return nil, failed(fmt.Errorf("%s: %w", function(fn), err), "name the path of the esebcli2.dll of Exchange: this is another library")
		}
	}
	return d, nil
}

// call goes through SyscallN, which clears and reads the last error of the thread around the call.
func (d *dll) call(fn function, words []uintptr) (uintptr, uint32) {
	result, _, last := syscall.SyscallN(d.addrs[fn], words...)
	return result, uint32(last)
}

func (d *dll) ready() error { return enablePrivileges() }

func (d *dll) text(code uint32) string {
	buf := make([]uint16, 1024)
	const flags = windows.FORMAT_MESSAGE_FROM_HMODULE | windows.FORMAT_MESSAGE_FROM_SYSTEM | windows.FORMAT_MESSAGE_IGNORE_INSERTS
	n, err := windows.FormatMessage(flags, uintptr(d.handle), code, 0, buf, nil)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(windows.UTF16ToString(buf[:n]))
}
