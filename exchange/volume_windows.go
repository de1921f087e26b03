package exchange

import (
	"fmt"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// systemVolumes asks Windows.
type systemVolumes struct{}

// of uses GetVolumePathName and GetVolumeNameForVolumeMountPoint. What is not there, or not any more, is where its folder is.
func (systemVolumes) of(path string) (volume, error) {
	v, err := volumeOf(path)
	for up := filepath.Dir(path); err != nil && up != path; path, up = up, filepath.Dir(up) {
		if v, uerr := volumeOf(up); uerr == nil {
			return v, nil
		}
	}
	return v, err
}

func volumeOf(path string) (volume, error) {
	p, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return volume{}, err
	}
	root := make([]uint16, windows.MAX_LONG_PATH)
	if err = windows.GetVolumePathName(p, &root[0], uint32(len(root))); err != nil {
		return volume{}, fmt.Errorf("find the volume of %s: %w", path, err)
	}
	name := make([]uint16, windows.MAX_PATH)
	if err = windows.GetVolumeNameForVolumeMountPoint(&root[0], &name[0], uint32(len(name))); err != nil {
		return volume{}, fmt.Errorf("find the name of volume %s of %s, which must be one of this machine: %w", windows.UTF16ToString(root), path, err)
	}
	return volume{windows.UTF16ToString(root), windows.UTF16ToString(name)}, nil
}

// elevated reports whether this process has the rights of its account, and not only those that Windows leaves it before the user agrees.
func elevated() bool { return windows.GetCurrentProcessToken().IsElevated() }
