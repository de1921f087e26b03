package exchange

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
)

// NtbackupOptions adjusts NewNtbackup. The zero value is a good start.
type NtbackupOptions struct {
	// Program is the path of ntbackup.exe. Default: that of Windows.
	Program string
	// RoomBytes is how much must be free before ntbackup is begun. Default: 2 GiB, an estimate; negative: that is not asked.
	RoomBytes int64
}

// NewNtbackup saves the system state by ntbackup, on Windows 2000 and 2003, into one file "system state.bkf". A state that is saved is in Microsoft Tape Format: a medium, and a set on it that was ended.
func NewNtbackup(o *NtbackupOptions) SystemState { return ntbackupTool(o) }

// ntbackupRoom is an estimate, not a fact of a document.
const ntbackupRoom = 2 << 30

func ntbackupTool(o *NtbackupOptions) *stateTool {
	if o == nil {
		o = &NtbackupOptions{}
	}
	opt := *o
	if opt.RoomBytes == 0 {
		opt.RoomBytes = ntbackupRoom
	}
	return &stateTool{name: "ntbackup", path: opt.Program, room: opt.RoomBytes, plan: ntbackupPlan}
}

func ntbackupPlan(dir string) (statePlan, error) {
	file := filepath.Join(dir, "system state.bkf")
	return statePlan{args: []string{"backup", "systemstate", "/J", "Quiesce system state", "/F", file}, tree: file, named: dir, verify: verifyTape}, nil
}

func verifyTape(ctx context.Context, files []SavedFile) error {
	if len(files) != 1 {
		return incomplete("%d files, want one .bkf", len(files))
	}
	f, err := os.Open(files[0].Path)
	if err != nil {
		return err
	}
	defer f.Close()
	return endedTape(ctx, files[0].Name, f)
}

// MTF 1.00a: all descriptor blocks begin at a multiple of 512 bytes with a header of 52, whose last word is the XOR of the 25 before it. The first is TAPE; a set is between SSET and ESET.
const (
	tapeBlock  = 512
	tapeHeader = 52
)

// endedTape reads a medium and wants a set on it, and that the last was ended. What is between is not looked at.
func endedTape(ctx context.Context, name string, r io.Reader) error {
	buf := make([]byte, 1<<20)
	open, sets := false, 0
	for at := int64(0); ; {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		n, err := io.ReadFull(r, buf)
		for i := 0; i+tapeHeader <= n; i += tapeBlock {
			kind := tapeKind(buf[i:])
			if at+int64(i) == 0 && kind != "TAPE" {
				return incomplete("%s is no medium in Microsoft Tape Format", name)
			}
			switch kind {
			case "SSET":
				open = true
				sets++
			case "ESET":
				open = false
			}
		}
		at += int64(n)
		switch {
		case at == 0:
			return incomplete("%s is empty", name)
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			if sets == 0 || open {
				return incomplete("%s has %d sets of which the last was not ended", name, sets)
			}
			return nil
		case err != nil:
			return err
		}
	}
}

// tapeKind is the kind of a descriptor block, or empty if that is none.
func tapeKind(b []byte) string {
	kind := string(b[:4])
	switch kind {
	case "TAPE", "SSET", "ESET":
	default:
		return ""
	}
	var sum uint16
	for i := 0; i < tapeHeader-2; i += 2 {
		sum ^= binary.LittleEndian.Uint16(b[i:])
	}
	if sum != binary.LittleEndian.Uint16(b[tapeHeader-2:]) {
		return ""
	}
	return kind
}
