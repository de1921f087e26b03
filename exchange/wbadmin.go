package exchange

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
)

// WbadminOptions adjusts NewWbadmin. The zero value is a good start.
type WbadminOptions struct {
	// Program is the path of wbadmin.exe. Default: that of Windows, which is there when the feature Windows Server Backup is installed.
	Program string
	// Target is where wbadmin writes: a volume as "E:" or `\\?\Volume{GUID}`, or a share as `\\server\share`, which nothing else backs this server up to. wbadmin makes a folder WindowsImageBackup there; what others have in it stays.
	//
	// Default: the folder that Save is given. wbadmin takes no folder of this machine, so it is told the folder by the share that Windows keeps of each volume for administrators, as `\\localhost\D$\folder`.
	Target string
	// Server is the name that wbadmin gives this machine's folder. Default: the name of this machine, of which NetBIOS has 15 characters.
	Server string
	// RoomBytes is how much must be free at the target before wbadmin is begun. Default: 20 GiB, an estimate; negative: that is not asked.
	RoomBytes int64
}

// NewWbadmin saves the system state by wbadmin start systemstatebackup, on Windows Server 2008 and later. A state that is saved has at least one disk image with its signature, and the catalog without which no restore finds it.
func NewWbadmin(o *WbadminOptions) SystemState { return wbadminTool(o) }

// wbadminRoom is an estimate, not a fact of a document.
const wbadminRoom = 20 << 30

func wbadminTool(o *WbadminOptions) *stateTool {
	if o == nil {
		o = &WbadminOptions{}
	}
	opt := *o
	if opt.RoomBytes == 0 {
		opt.RoomBytes = wbadminRoom
	}
	return &stateTool{name: "wbadmin", path: opt.Program, room: opt.RoomBytes, plan: opt.plan}
}

// The command is that of "wbadmin start systemstatebackup" in the reference of Windows commands at Microsoft Learn; where it writes below its target is inferred.
func (o WbadminOptions) plan(dir string) (p statePlan, err error) {
	target := o.Target
	if target == "" {
		// All of the folder is this run's, whatever name wbadmin gives the server.
		p.named, p.tree = dir, filepath.Join(dir, imagesFolder)
		target, err = administrativeShare(dir)
	} else {
		p.outside = true
		p.named, p.tree, err = o.targetFolder()
	}
	if err != nil {
		return p, err
	}
	p.args = []string{"start", "systemstatebackup", "-backupTarget:" + target, "-quiet"}
	// The work is done by a service, which does not end with the program.
	p.cancel = []string{"stop", "job", "-quiet"}
	p.verify = verifyImages
	return p, nil
}

const imagesFolder = "WindowsImageBackup"

var (
	driveName  = regexp.MustCompile(`^[A-Za-z]:$`)
	volumeName = regexp.MustCompile(`^\\\\\?\\Volume\{[0-9A-Fa-f-]{36}\}$`)
)

// targetFolder is the target as a folder, and what wbadmin makes there for this server.
func (o WbadminOptions) targetFolder() (folder, tree string, err error) {
	folder = strings.TrimRight(o.Target, `\`)
	switch {
	case driveName.MatchString(folder), volumeName.MatchString(folder):
		folder += string(filepath.Separator)
	case isShare(folder), filepath.IsAbs(folder) && filepath.VolumeName(folder) == "":
	default:
		return "", "", fmt.Errorf(`%w: target of wbadmin %q: want a volume as E: or \\?\Volume{GUID}, or a share as \\server\share`, backup.ErrOption, o.Target)
	}
	server := o.Server
	if server == "" {
		if server, err = os.Hostname(); err != nil {
			return "", "", fmt.Errorf("the name of this machine: %w", err)
		}
		server = server[:min(len(server), 15)]
	}
	return folder, filepath.Join(folder, imagesFolder, server), nil
}

var onDrive = regexp.MustCompile(`^([A-Za-z]):\\(.*)$`)

// administrativeShare is a folder of this machine as a path of the network.
func administrativeShare(dir string) (string, error) {
	if isShare(dir) {
		return dir, nil
	}
	m := onDrive.FindStringSubmatch(dir)
	if m == nil {
		return "", &backup.Error{Op: "save", App: application, Artifact: itemSystem, Err: fmt.Errorf("%w: wbadmin cannot write into %s", backup.ErrOption, dir),
			Advice: "give wbadmin a target: a volume, or a share"}
	}
	return `\\localhost\` + m[1] + `$\` + m[2], nil
}

// isShare reports whether a path is one of the network.
func isShare(path string) bool {
	return strings.HasPrefix(path, `\\`) && !strings.HasPrefix(path, `\\?\`) && !strings.HasPrefix(path, `\\.\`)
}

// verifyImages wants a catalog, and images of disks that are what their names say, at least one.
func verifyImages(ctx context.Context, files []SavedFile) error {
	images, catalogs := 0, 0
	for _, f := range files {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		lower := strings.ToLower(f.Name)
		switch ext := filepath.Ext(lower); {
		case ext == ".vhd" || ext == ".vhdx":
			ok, err := isDiskImage(f.Path)
			if err != nil {
				return err
			}
			if !ok {
				return incomplete("%s is no disk image", f.Name)
			}
			images++
		case strings.Contains(lower, "/catalog/") || strings.HasSuffix(lower, "/globalcatalog"):
			info, err := os.Stat(f.Path)
			if err != nil {
				return err
			}
			if info.Size() > 0 {
				catalogs++
			}
		}
	}
	if images == 0 || catalogs == 0 {
		return incomplete("%d disk images and %d files of a catalog, want at least one of each", images, catalogs)
	}
	return nil
}

// isDiskImage reports whether a file is a virtual hard disk: "vhdxfile" at the start of a .vhdx [MS-VHDX 2.2.1], "conectix" at the start of the last sector of a .vhd (Virtual Hard Disk Image Format Specification, Hard Disk Footer Format).
func isDiskImage(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return false, err
	}
	if strings.EqualFold(filepath.Ext(path), ".vhdx") {
		return hasAt(f, 0, "vhdxfile")
	}
	return hasAt(f, size-512, "conectix")
}

// hasAt reports whether a file has these bytes there.
func hasAt(r io.ReaderAt, at int64, want string) (bool, error) {
	if at < 0 {
		return false, nil
	}
	have := make([]byte, len(want))
	_, err := r.ReadAt(have, at)
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	return bytes.Equal(have, []byte(want)), err
}
