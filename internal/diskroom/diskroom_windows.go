package diskroom

import (
	"strings"
	"syscall"
	"unsafe"
)

func at(dir string) (Volume, bool) {
	name, err := syscall.UTF16PtrFromString(dir)
	if err != nil {
		return Volume{}, false
	}
	kernel := syscall.NewLazyDLL("kernel32.dll")
	var free uint64
	if r, _, _ := kernel.NewProc("GetDiskFreeSpaceExW").Call(uintptr(unsafe.Pointer(name)), uintptr(unsafe.Pointer(&free)), 0, 0); r == 0 {
		return Volume{}, false
	}
	mount := make([]uint16, syscall.MAX_PATH)
	if r, _, _ := kernel.NewProc("GetVolumePathNameW").Call(uintptr(unsafe.Pointer(name)), uintptr(unsafe.Pointer(&mount[0])), uintptr(len(mount))); r == 0 {
		return Volume{}, false
	}
	return Volume{ID: strings.ToLower(syscall.UTF16ToString(mount)), FreeBytes: int64(min(free, 1<<63-1))}, true
}
