package exchange

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
)

// systemFiles are the files of a system state, by their paths below its folder.
func systemFiles(step *backup.RestoreStep) (map[string]backup.Entry, error) {
	out := map[string]backup.Entry{}
	for _, e := range step.Entries {
		name := filepath.FromSlash(strings.TrimPrefix(e.Name, itemSystem+"/"))
		if !filepath.IsLocal(name) {
			return nil, fmt.Errorf("%w: %q is no name of a file", backup.ErrCorrupt, e.Name)
		}
		out[name] = e
	}
	return out, nil
}

func (o restoreOptions) systemDir() string { return filepath.Join(o.to, itemSystem) }

// systemState restores the files of a system state into a folder. The tools of Windows that put it back are told, and never run.
func (x *restoring) systemState(ctx context.Context, step *backup.RestoreStep) (err error) {
	files, err := systemFiles(step)
	if err != nil {
		return err
	}
	dir := x.c.opt.systemDir()
	w, err := x.s.openSwap(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	m, err := w.mend(x.r.Overwrite, false)
	if err != nil {
		return err
	}
	for _, text := range m.told {
		x.set.Warn(text)
	}
	if there(dir) && !x.r.Overwrite {
		return fmt.Errorf("%s: %w", dir, backup.ErrExists)
	}
	work := filepath.Join(x.c.opt.to, workFolder+"-"+itemSystem)
	if there(work) {
		return x.s.refuse("restore", itemSystem, "delete it: it holds what a restore that died did not finish", "%s is there", work)
	}
	if err := w.begin(x.s.opt.Instance, itemSystem, x.s.opt.Now(), []string{work}); err != nil {
		return err
	}
	for _, name := range sortedKeys(files) {
		if err := x.create(ctx, step, files[name], filepath.Join(work, name)); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", name, err), w.forget())
		}
	}
	w.plan(dir, work, false)
	if err := w.exchange(); err != nil {
		return err
	}
	if _, err := w.finish(); err != nil {
		return err
	}
	if x.proving {
		x.proved.systemFiles += len(files)
		return nil
	}
	for _, line := range systemCommands(sortedKeys(files), dir) {
		x.set.Warn(line)
	}
	return nil
}

// systemCommands tell how a system state is put back, by what its files are: reference 3.
func systemCommands(files []string, dir string) []string {
	has := func(part string) bool {
		for _, f := range files {
			if strings.Contains(strings.ToLower(filepath.ToSlash(f)), part) {
				return true
			}
		}
		return false
	}
	switch {
	case has("windowsimagebackup/"):
		return []string{
			"the system state is in " + dir + "; nothing of this machine was changed. wbadmin reads it from the root of a volume or share: put the folder WindowsImageBackup there, on the server it is of",
			"then: wbadmin get versions -backupTarget:TARGET; wbadmin start systemstaterecovery -version:VERSION -backupTarget:TARGET. A domain controller is started in Directory Services Restore Mode first",
		}
	case has(".bkf"):
		return []string{"the system state is in " + dir + "; nothing of this machine was changed. ntbackup puts it back: on its page to restore, open the .bkf and choose System State. A domain controller is started in Directory Services Restore Mode first"}
	case has("ntds.dit"):
		return []string{"the Active Directory is in " + dir + " as installation media (ntdsutil ifm); nothing of this machine was changed. It serves to install a domain controller from media, not to put one back"}
	}
	return []string{"the system state is in " + dir + "; nothing of this machine was changed. Put it back with the tool that made it"}
}
