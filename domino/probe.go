package domino

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/quiesce-go/quiesce/backup"
)

// way is the finding that says which one is used.
func (s *capiSource) way() backup.Finding {
	by := map[Way]string{
		CAPI:    "by the Notes C API in a child process, while it runs",
		Hook:    "by Domino's own backup task, which calls quiesce-hook, while it runs",
		Offline: "by copying its files while it is stopped, or those of a snapshot",
	}[s.opt.Way]
	return backup.Finding{What: fmt.Sprintf("the server is backed up by way %s: %s", s.opt.Way, by)}
}

// otherWays says, where the way that was chosen cannot work, which other one this machine would allow, as far as files show it.
func (s *capiSource) otherWays(ctx context.Context) (out []backup.Finding) {
	data, program := s.places()
	for _, w := range []struct {
		way   Way
		probe func() string
	}{
		{CAPI, func() string { return probeCAPI(program) }},
		{Hook, func() string { return probeHook(data, program) }},
		{Offline, func() string { return s.probeOffline(ctx, data) }},
	} {
		if w.way == s.opt.Way {
			continue
		}
		if can := w.probe(); can != "" {
			out = append(out, backup.Finding{What: fmt.Sprintf("instead, this machine would allow way %s: %s", w.way, can)})
		}
	}
	return out
}

// places are the data and the program directory as options and notes.ini name them, empty when they do not.
func (s *capiSource) places() (data, program string) {
	at := s.opt.NotesINI
	if at == "" && s.opt.DataDir != "" {
		at = filepath.Join(s.opt.DataDir, "notes.ini")
	}
	var n *ini
	if at != "" {
		n, _, _ = readINI(at) // what cannot be read names nothing
	}
	if data = s.opt.DataDir; data == "" {
		data = fromSlash(n.get("Directory"))
	}
	if program = s.opt.Notes.Program; program == "" {
		program = fromSlash(n.get("NotesProgram"))
	}
	return data, program
}

// probeCAPI looks for the library.
func probeCAPI(program string) string {
	name := map[string]string{"windows": "nnotes.dll", "darwin": "libnotes.dylib"}[runtime.GOOS]
	if name == "" {
		name = "libnotes.so"
	}
	if lib := filepath.Join(program, name); program != "" && isFile(lib) {
		return lib + " is there; it needs quiesce-notes, and the log can be restored to any time"
	}
	return ""
}

// probeHook looks for what releases from 12 on have: the database of the backup task, or the task.
func probeHook(data, program string) string {
	task := "backup"
	if runtime.GOOS == "windows" {
		task = "nbackup.exe"
	}
	for _, at := range [][2]string{{data, "dominobackup.nsf"}, {program, task}} {
		if path := filepath.Join(at[0], at[1]); at[0] != "" && isFile(path) {
			return path + " is there, so Domino has a backup of its own; it needs quiesce-hook, and dominobackup.nsf configured"
		}
	}
	return ""
}

// probeOffline looks whether the data directory can be read, and whether a server runs on it.
func (s *capiSource) probeOffline(ctx context.Context, data string) string {
	if data == "" {
		return ""
	}
	inv, err := s.lookIn(ctx, data, dataValue)
	if err != nil {
		return ""
	}
	unknown, err := (&offlineSource{base: s}).idle(ctx, "check", inv)
	switch {
	case err != nil:
		return data + " can be read; the server runs and must be stopped for it, or a snapshot be taken"
	case unknown != "":
		return data + " can be read; the server must be stopped for it, or a snapshot be taken"
	}
	return data + " can be read, and no server runs on it; fulls only"
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
