package backup

import (
	"syscall"
	"unsafe"
)

// freeSpace returns the bytes this user may still use below dir; ok is false where that cannot be told.
func freeSpace(dir string) (free int64, ok bool) {
	name, err := syscall.UTF16PtrFromString(dir)
	if err != nil {
		return 0, false
	}
	proc := syscall.NewLazyDLL("kernel32.dll").NewProc("GetDiskFreeSpaceExW")
	var avail uint64
	r, _, _ := proc.Call(uintptr(unsafe.Pointer(name)), uintptr(unsafe.Pointer(&avail)), 0, 0)
	return int64(avail), r != 0
}
