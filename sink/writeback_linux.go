//go:build linux && (amd64 || arm64 || 386 || riscv64)

package sink

import (
	"os"
	"syscall"
)

// startWriteback asks the kernel to begin writing the file out, so that a later fsync finds little to do. It is only a hint.
func startWriteback(f *os.File) {
	const syncFileRangeWrite = 2 // SYNC_FILE_RANGE_WRITE of sync_file_range(2)
	_ = syscall.SyncFileRange(int(f.Fd()), 0, 0, syncFileRangeWrite)
}
