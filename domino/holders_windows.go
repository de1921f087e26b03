package domino

import (
	"context"
	"errors"

	"golang.org/x/sys/windows"
)

// holders names databases among paths that another process has open: they cannot be opened for this process alone.
func holders(ctx context.Context, _ string, paths []string) (held []string, unknown string, err error) {
	for _, path := range paths {
		if ctx.Err() != nil {
			return nil, "", context.Cause(ctx)
		}
		name, err := windows.UTF16PtrFromString(path)
		if err != nil {
			return nil, "", err
		}
		h, err := windows.CreateFile(name, windows.GENERIC_READ, 0, nil, windows.OPEN_EXISTING, windows.FILE_ATTRIBUTE_NORMAL, 0)
		switch {
		case err == nil:
			if err := windows.CloseHandle(h); err != nil {
				return nil, "", err
			}
		case errors.Is(err, windows.ERROR_SHARING_VIOLATION):
			held = append(held, path)
		}
	}
	return held, "", nil
}
