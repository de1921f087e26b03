package exchange

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/atomicfile"
	"github.com/quiesce-go/quiesce/internal/diskroom"
)

// SystemState saves the system state of this machine, which on a domain controller holds the Active Directory.
type SystemState interface {
	// Name is the tool, as manifests note it: "wbadmin".
	Name() string
	// Save saves the system state into dir, an empty directory, or beside it, and checks by what lies there that it is complete. When it returns an error, what it made is gone, or what remains of it is noted in dir for Remove.
	Save(ctx context.Context, dir string) ([]SavedFile, error)
	// Remove removes what a Save into dir made, wherever that lies, so that dir is empty: after its files were taken, or after the process that ran it died. What is gone is no error.
	Remove(ctx context.Context, dir string) error
	// Check tells whether Save could work, without doing it.
	Check(ctx context.Context, dir string) error
}

// SavedFile is a file of a system state.
type SavedFile struct {
	// Name is where it belongs, with slashes: "WindowsImageBackup/MAIL1/Catalog/GlobalCatalog".
	Name string
	// Path is where it lies now.
	Path string
}

// NewSystemState returns the tool that this machine has, when it is first used: wbadmin, or where that is not there ntbackup. ntdsutil is never chosen: it saves less.
func NewSystemState() SystemState {
	return &chosenState{tools: []*stateTool{wbadminTool(&WbadminOptions{}), ntbackupTool(&NtbackupOptions{})}}
}

// chosenState is the first of some tools that this machine has.
type chosenState struct{ tools []*stateTool }

func (c *chosenState) choose() (*stateTool, error) {
	var errs []error
	for _, t := range c.tools {
		_, err := t.locate()
		if err == nil {
			return t, nil
		}
		errs = append(errs, err)
	}
	return nil, &backup.Error{Op: "save", App: application, Artifact: itemSystem, Err: errors.Join(errs...),
		Advice: "install the feature Windows Server Backup, or leave the system state out; a domain controller can also be saved by ntdsutil"}
}

func (c *chosenState) Name() string {
	if t, err := c.choose(); err == nil {
		return t.Name()
	}
	return "none"
}

func (c *chosenState) Save(ctx context.Context, dir string) ([]SavedFile, error) {
	t, err := c.choose()
	if err != nil {
		return nil, err
	}
	return t.Save(ctx, dir)
}

func (c *chosenState) Check(ctx context.Context, dir string) error {
	t, err := c.choose()
	if err != nil {
		return err
	}
	return t.Check(ctx, dir)
}

// Remove needs no tool: what is outside of dir is noted in it.
func (c *chosenState) Remove(ctx context.Context, dir string) error {
	return c.tools[0].Remove(ctx, dir)
}

// stateTool is what wbadmin, ntbackup and ntdsutil have in common.
type stateTool struct {
	name string
	// path is the program, or empty, then it is looked for among those of Windows.
	path string
	// room is how much must be free before it is begun; negative: that is not asked.
	room int64
	// plan says what a Save into dir will do. It touches nothing.
	plan func(dir string) (statePlan, error)
}

// statePlan is one Save.
type statePlan struct {
	args []string
	// tree is where all that the program makes will lie, and named the folder that names begin behind. The tree is not there yet.
	tree, named string
	// outside: the tree is not in the folder of the run.
	outside bool
	// cancel are the arguments by which the program stops what goes on without it, or nil.
	cancel []string
	// verify tells by the files of the tree, by their names, whether they are a whole system state.
	verify func(ctx context.Context, files []SavedFile) error
}

func (t *stateTool) Name() string { return t.name }

// locate finds the program.
func (t *stateTool) locate() (string, error) {
	path := t.path
	if path == "" {
		if runtime.GOOS != "windows" {
			return "", fmt.Errorf("%s is a program of Windows: %w", t.name, errors.ErrUnsupported)
		}
		path = systemProgram(t.name + ".exe")
	}
	found, err := exec.LookPath(path)
	if err != nil {
		return "", fmt.Errorf("%s is not there: %w", t.name, err)
	}
	return found, nil
}

func (t *stateTool) Check(ctx context.Context, dir string) error {
	_, _, err := t.ready(ctx, dir)
	return t.failed(ctx, "check", err)
}

// ready finds the program and what it will do, and whether there is room.
func (t *stateTool) ready(ctx context.Context, dir string) (path string, p statePlan, err error) {
	if err := context.Cause(ctx); err != nil {
		return "", p, err
	}
	if !filepath.IsAbs(dir) {
		return "", p, fmt.Errorf("%w: folder %q: want an absolute path", backup.ErrOption, dir)
	}
	path, err = t.locate()
	if err != nil {
		return "", p, err
	}
	p, err = t.plan(dir)
	if err != nil {
		return "", p, err
	}
	_, err = os.Lstat(p.tree)
	switch {
	case err == nil:
		return "", p, &backup.Error{Op: "save", App: application, Artifact: itemSystem, Err: fmt.Errorf("%s: %w", p.tree, backup.ErrExists),
			Advice: "this is a backup of somebody else, which is left alone: give the system state a target of its own, where no other program backs this server up"}
	case !errors.Is(err, fs.ErrNotExist):
		return "", p, err
	}
	if v, ok := diskroom.At(p.tree); ok && t.room >= 0 && v.FreeBytes < t.room {
		return "", p, &backup.Error{Op: "save", App: application, Artifact: itemSystem, Err: fmt.Errorf("%s has %d MiB free, want %d: %w", p.named, v.FreeBytes>>20, t.room>>20, backup.ErrStageFull),
			Advice: "make room, or give the system state another target"}
	}
	return path, p, nil
}

func (t *stateTool) Save(ctx context.Context, dir string) ([]SavedFile, error) {
	files, err := t.save(ctx, dir)
	if err != nil {
		return nil, t.failed(ctx, "save", err)
	}
	return files, nil
}

func (t *stateTool) save(ctx context.Context, dir string) (files []SavedFile, err error) {
	if there, err := os.ReadDir(dir); err != nil {
		return nil, err
	} else if len(there) > 0 {
		return nil, fmt.Errorf("%s: %w: want an empty folder", dir, backup.ErrExists)
	}
	path, p, err := t.ready(ctx, dir)
	if err != nil {
		return nil, err
	}
	if p.outside {
		if err := noteOutside(dir, p); err != nil {
			return nil, err
		}
	}
	defer func() {
		if err != nil {
			// Only what nobody else can have made: the tree was not there before.
			err = errors.Join(err, t.Remove(context.WithoutCancel(ctx), dir))
		}
	}()
	e, err := program{path: path, args: p.args}.run(ctx)
	switch {
	case err != nil && p.cancel != nil && ctx.Err() != nil:
		return nil, errors.Join(err, t.stop(ctx, path, p.cancel))
	case err != nil:
		return nil, err
	case e.code != 0:
		return nil, exitError(t.name, e)
	}
	files, err = filesBelow(p.tree, p.named)
	if err == nil {
		err = p.verify(ctx, files)
	}
	if err != nil {
		return nil, fmt.Errorf("%w; %s ended with code 0: %s", err, t.name, e.said())
	}
	return files, nil
}

// exitError is a program that says by its exit code that it failed.
func exitError(name string, e ended) error {
	return fmt.Errorf("%s ended with code %d: %s", name, e.code, e.said())
}

// stopTimeout is how long the end of a job may take.
const stopTimeout = 2 * time.Minute

// stop ends what goes on in a service of Windows when the program that asked for it was killed.
func (t *stateTool) stop(ctx context.Context, path string, args []string) error {
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer done()
	e, err := program{path: path, args: args}.run(ctx)
	if err == nil && e.code != 0 {
		err = exitError(t.name, e)
	}
	if err != nil {
		return fmt.Errorf("stop the job: %w", err)
	}
	return nil
}

// failed names the tool, with advice where the error has none.
func (t *stateTool) failed(ctx context.Context, op string, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w (%w)", cause, err)
	}
	hint := backup.Hint(err)
	if hint == "" {
		hint = "run the agent as a member of Administrators or Backup Operators, elevated, and look at the application log of Windows for what " + t.name + " says"
	}
	return &backup.Error{Op: op, App: application, Artifact: itemSystem + " by " + t.name, Advice: hint, Err: err}
}

// outsideFile is the note, in the folder of a run, of what it makes outside of that.
const outsideFile = "outside.json"

// outsideNote says where. Made: the folder above the tree was not there before.
type outsideNote struct {
	Tree string `json:"tree"`
	Made bool   `json:"made"`
}

func noteOutside(dir string, p statePlan) error {
	_, err := os.Lstat(filepath.Dir(p.tree))
	text, err := json.Marshal(outsideNote{Tree: p.tree, Made: errors.Is(err, fs.ErrNotExist)})
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(dir, outsideFile), text)
}

// Remove is the same for all tools.
func (t *stateTool) Remove(ctx context.Context, dir string) error {
	return t.failed(ctx, "remove", removeState(dir))
}

func removeState(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, outsideFile))
	switch {
	case err == nil:
		if err := removeOutside(text); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if e.Name() != outsideFile {
			err = errors.Join(err, removeTree(filepath.Join(dir, e.Name())))
		}
	}
	if err != nil {
		return err
	}
	return gone(os.Remove(filepath.Join(dir, outsideFile)))
}

func removeOutside(text []byte) error {
	var n outsideNote
	if err := json.Unmarshal(text, &n); err != nil || !filepath.IsAbs(n.Tree) {
		return &backup.Error{Op: "read", App: application, Artifact: outsideFile, Err: errors.Join(backup.ErrCorrupt, err),
			Advice: "remove what was left of the system state at its target, and then this note, by hand"}
	}
	if err := foreignBackup(n.Tree); err != nil {
		return err
	}
	if err := removeTree(n.Tree); err != nil {
		return err
	}
	if n.Made {
		// It stays when somebody else has put something there since.
		_ = os.Remove(filepath.Dir(n.Tree))
	}
	return nil
}

// foreignBackup refuses a tree that has something which no Save makes: since the run died somebody has backed the volumes of this server up there.
func foreignBackup(tree string) error {
	entries, err := os.ReadDir(tree)
	if err != nil {
		return gone(err)
	}
	for _, e := range entries {
		// A backup of volumes lies beside SystemStateBackup, in a folder "Backup 2026-03-01 020000".
		if strings.HasPrefix(e.Name(), "Backup ") {
			return &backup.Error{Op: "remove", App: application, Artifact: filepath.Join(tree, e.Name()), Err: fmt.Errorf("%w: it is not of this agent", backup.ErrRefused),
				Advice: "give the system state a target of its own; remove what is no longer needed there by hand, or with wbadmin delete"}
		}
	}
	return nil
}

// removeTree removes a folder with all that is in it. os.RemoveAll asks for a way of deleting that not every file system of Windows has, on shares above all.
func removeTree(path string) error {
	var dirs []string
	err := filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return gone(err)
		case d.IsDir():
			dirs = append(dirs, p)
			return nil
		}
		return gone(os.Remove(p))
	})
	for _, d := range slices.Backward(dirs) {
		err = errors.Join(err, gone(os.Remove(d)))
	}
	return err
}

// gone is err, unless it says that there is nothing.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// filesBelow are the files of a tree, named from the folder named on.
func filesBelow(tree, named string) (files []SavedFile, err error) {
	err = filepath.WalkDir(tree, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if !d.Type().IsRegular() {
			return fmt.Errorf("%s: want files and folders only", p)
		}
		name, err := filepath.Rel(named, p)
		files = append(files, SavedFile{Name: filepath.ToSlash(name), Path: p})
		return err
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, incomplete("nothing was made at %s", tree)
	case err != nil:
		return nil, err
	}
	return files, nil
}

// incomplete is a system state that is not whole.
func incomplete(format string, args ...any) error {
	return fmt.Errorf("%w: %s", backup.ErrCorrupt, fmt.Sprintf(format, args...))
}

var (
	_ SystemState = (*chosenState)(nil)
	_ SystemState = (*stateTool)(nil)
)
