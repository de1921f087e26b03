package exchange

import "strings"

// volume is a volume of this machine.
type volume struct {
	root string // where it is mounted, with a separator at the end: `D:\`, `C:\mnt\db1\`
	name string // `\\?\Volume{8f3c...}\`
}

// volumes finds the volume of a path.
type volumes interface {
	of(path string) (volume, error)
}

// argument names the volume to diskshadow: the drive, or for one that is mounted in a folder its name.
func (v volume) argument() string {
	if len(v.root) == 3 && v.root[1] == ':' {
		return v.root[:2]
	}
	return v.name
}

// below is path without the root of its volume.
func (v volume) below(path string) (string, bool) {
	if len(path) >= len(v.root) && strings.EqualFold(path[:len(v.root)], v.root) {
		return path[len(v.root):], true
	}
	return "", strings.EqualFold(path, strings.TrimRight(v.root, `\/`))
}
