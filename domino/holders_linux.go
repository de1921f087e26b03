package domino

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// holders names processes that have databases or log files below dir, or one of paths, open. unknown says what could not be looked at: files of other accounts' processes are hidden from all but root.
func holders(ctx context.Context, dir string, paths []string) (held []string, unknown string, err error) {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, "", err
	}
	wanted := map[string]bool{}
	for _, p := range paths {
		if p, err := filepath.EvalSymlinks(p); err == nil {
			wanted[p] = true
		}
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, "the processes of this machine cannot be listed", nil //nolint:nilerr // that is what is said
	}
	hidden := 0
	for _, e := range entries {
		if ctx.Err() != nil {
			return nil, "", context.Cause(ctx)
		}
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		fds := filepath.Join("/proc", e.Name(), "fd")
		open, err := os.ReadDir(fds)
		if err != nil {
			if errors.Is(err, fs.ErrPermission) {
				hidden++
			}
			continue // it ended
		}
		for _, fd := range open {
			at, err := os.Readlink(filepath.Join(fds, fd.Name()))
			if err != nil || !wanted[at] && !(strings.HasPrefix(at, real+"/") && (isDatabase(at) || strings.EqualFold(filepath.Ext(at), ".txn"))) {
				continue
			}
			held = append(held, fmt.Sprintf("%s by process %d", at, pid))
			break
		}
	}
	if hidden > 0 {
		unknown = fmt.Sprintf("the open files of %d processes of other accounts cannot be seen; run as root, or as the account of the server if it has no others", hidden)
	}
	return held, unknown, nil
}
