package exchange

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/exchange/ese"
)

// NtdsutilOptions adjusts NewNtdsutil. The zero value is a good start.
type NtdsutilOptions struct {
	// Program is the path of ntdsutil.exe. Default: that of Windows, which domain controllers have.
	Program string
	// Sysvol takes SYSVOL too, which has the group policies.
	Sysvol bool
	// RoomBytes is how much must be free before ntdsutil is begun. Default: 4 GiB, an estimate; negative: that is not asked.
	RoomBytes int64
}

// NewNtdsutil saves the Active Directory of a domain controller by ntdsutil ifm, on Windows Server 2008 and later: ntds.dit and the registry hives SYSTEM and SECURITY. It is less than the system state: a domain controller is installed from it, a machine is not restored.
// In what is saved, ntds.dit was read to its end, each page has its checksum, and it needs no log.
func NewNtdsutil(o *NtdsutilOptions) SystemState {
	if o == nil {
		o = &NtdsutilOptions{}
	}
	opt := *o
	if opt.RoomBytes == 0 {
		opt.RoomBytes = ntdsutilRoom
	}
	return &stateTool{name: "ntdsutil", path: opt.Program, room: opt.RoomBytes, plan: opt.plan}
}

// ntdsutilRoom is an estimate, not a fact of a document.
const ntdsutilRoom = 4 << 30

func (o NtdsutilOptions) plan(dir string) (statePlan, error) {
	// Each argument is a line that ntdsutil takes apart at its spaces; whether it knows quotes within is not documented.
	tree := filepath.Join(dir, "ifm")
	if strings.ContainsAny(tree, " \t\"") {
		return statePlan{}, &backup.Error{Op: "save", App: application, Artifact: itemSystem, Err: fmt.Errorf("%w: ntdsutil takes no folder with a space in its name: %s", backup.ErrOption, tree),
			Advice: "give the agent a state directory without spaces in its path"}
	}
	create := "create full "
	if o.Sysvol {
		create = "create sysvol full "
	}
	return statePlan{args: []string{"activate instance ntds", "ifm", create + tree, "quit", "quit"}, tree: tree, named: tree, verify: verifyIFM}, nil
}

// verifyIFM wants the database of the directory, whole and clean, and the hives without which its secrets cannot be read.
func verifyIFM(ctx context.Context, files []SavedFile) error {
	const directory, system, security = "active directory/ntds.dit", "registry/system", "registry/security"
	have := map[string]string{}
	for _, f := range files {
		have[strings.ToLower(f.Name)] = f.Path
	}
	for _, want := range []string{directory, system, security} {
		if have[want] == "" {
			return incomplete("%s is missing", want)
		}
	}
	return errors.Join(verifyDirectory(ctx, have[directory]), verifyHive(have[system]), verifyHive(have[security]))
}

func verifyDirectory(ctx context.Context, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	d, err := ese.VerifyDatabase(ctx, f, info.Size())
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if !d.Clean() {
		return incomplete("%s is in %s, which needs logs", file, d.State)
	}
	return nil
}

// verifyHive knows a registry hive by the signature of its base block, "regf".
func verifyHive(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	ok, err := hasAt(f, 0, "regf")
	if err == nil && !ok {
		err = incomplete("%s is no registry hive", file)
	}
	return err
}
