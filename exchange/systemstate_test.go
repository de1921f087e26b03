package exchange

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
)

// directory is a small database of the engine in clean shutdown: pages of 8 KiB, half of them unused, the others with the old checksum, which is quickly made.
func directory() []byte {
	const page, pages = 8192, 8
	b := make([]byte, (pages+2)*page)
	seal := func(p []byte) {
		sum := uint32(0x89ABCDEF)
		for i := 4; i < len(p); i += 4 {
			sum ^= binary.LittleEndian.Uint32(p[i:])
		}
		binary.LittleEndian.PutUint32(p, sum)
	}
	for n := 1; n <= pages; n += 2 {
		p := b[(n+1)*page : (n+2)*page]
		copy(p[40:], "data")
		binary.LittleEndian.PutUint32(p[4:], uint32(n))
		seal(p)
	}
	for at, v := range map[int]uint32{4: 0x89ABCDEF, 8: 0x620, 52: 3, 232: 0x14, 236: page} {
		binary.LittleEndian.PutUint32(b[at:], v)
	}
	seal(b[:page])
	copy(b[page:], b[:page])
	return b
}

// dirty is the same database as a crash leaves it.
func dirty() []byte {
	b := directory()
	b[52] = 2
	b[0] ^= 3 ^ 2
	copy(b[8192:], b[:8192])
	return b
}

func databaseFile(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(testDir(t), "ntds.dit")
	require.NoError(t, os.WriteFile(path, content, 0o600))
	return path
}

// stateCase is one tool with a stand-in behind it.
type stateCase struct {
	tool    SystemState
	dir     string
	program string
	// target is the folder outside of dir that the tool writes to, or empty.
	target string
}

// newCase makes a tool by its name: "wbadmin" into the folder of the run, "wbadmin target" elsewhere.
func newCase(t *testing.T, name string, w world) stateCase {
	t.Helper()
	c := stateCase{dir: testDir(t)}
	file, elsewhere, _ := strings.Cut(name, " ")
	if file == "ntdsutil" && w.Database == "" {
		w.Database = databaseFile(t, directory())
	}
	c.program = standInAt(t, file, w)
	switch file {
	case "wbadmin":
		if elsewhere != "" {
			c.target = testDir(t)
		}
		target := c.target
		if runtime.GOOS == "windows" && target != "" {
			target = `\\localhost\` + target[:1] + "$" + target[2:]
		}
		c.tool = NewWbadmin(&WbadminOptions{Program: c.program, Target: target, RoomBytes: -1})
	case "ntbackup":
		c.tool = NewNtbackup(&NtbackupOptions{Program: c.program, RoomBytes: -1})
	case "ntdsutil":
		c.tool = NewNtdsutil(&NtdsutilOptions{Program: c.program, RoomBytes: -1})
	}
	return c
}

// cases are the names of tools that can be run on this system: a folder has a share for administrators on Windows only.
func cases() []string {
	all := []string{"wbadmin target", "ntbackup", "ntdsutil"}
	if runtime.GOOS == "windows" {
		return append(all[1:], "wbadmin") // and no target: shares of a drive are no folders in wine
	}
	return all
}

func savedNames(files []SavedFile) (out []string) {
	for _, f := range files {
		out = append(out, f.Name)
	}
	slices.Sort(out)
	return out
}

func assertEmpty(t *testing.T, dirs ...string) {
	t.Helper()
	for _, dir := range dirs {
		if dir == "" {
			continue
		}
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		assert.Empty(t, entries, dir)
	}
}

func TestSystemStateIsSavedAndRemoved(t *testing.T) {
	t.Parallel()
	host, err := os.Hostname()
	require.NoError(t, err)
	images := "WindowsImageBackup/" + host[:min(len(host), 15)]
	want := map[string][]string{
		"wbadmin": {images + "/MediaId", images + "/SystemStateBackup/Backup 2026-03-01 020000/0f3c.vhdx", images + "/SystemStateBackup/Catalog/GlobalCatalog",
			images + "/SystemStateBackup/Logs/Backup_Error-01-03-2026_02-00-00.log"},
		"ntbackup": {"system state.bkf"},
		"ntdsutil": {"Active Directory/ntds.dit", "registry/SECURITY", "registry/SYSTEM"},
	}
	for _, name := range cases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCase(t, name, world{})
			require.NoError(t, c.tool.Check(t.Context(), c.dir))
			assertEmpty(t, c.dir, c.target)
			files, err := c.tool.Save(t.Context(), c.dir)
			require.NoError(t, err)
			assert.Equal(t, want[c.tool.Name()], savedNames(files))
			for _, f := range files {
				assert.FileExists(t, f.Path)
			}
			_, err = c.tool.Save(t.Context(), c.dir)
			require.ErrorIs(t, err, backup.ErrExists, "into a folder that is not empty")
			assert.FileExists(t, files[0].Path, "and what lies there stays")
			require.NoError(t, c.tool.Remove(t.Context(), c.dir))
			assertEmpty(t, c.dir, c.target)
			require.NoError(t, c.tool.Remove(t.Context(), c.dir))
		})
	}
}

// A tool that ends with 0 and made less than a system state has failed, and so has one that made all and ended with another code.
func TestSystemStateThatIsNotWholeIsNone(t *testing.T) {
	t.Parallel()
	leaves := map[string][]string{
		"wbadmin":  {"nothing", "no image", "no catalog", "empty image", "torn image", "another name"},
		"ntbackup": {"nothing", "empty", "no tape", "no set", "torn", "a second set torn"},
		"ntdsutil": {"nothing", "no directory", "torn directory", "no security", "empty security"},
	}
	for _, name := range cases() {
		file, _, _ := strings.Cut(name, " ")
		for _, l := range leaves[file] {
			if l == "another name" && runtime.GOOS == "windows" {
				continue // all names are good in the folder of a run
			}
			t.Run(name+" leaves "+l, func(t *testing.T) {
				t.Parallel()
				c := newCase(t, name, world{Leaves: l, Says: "The operation ended."})
				_, err := c.tool.Save(t.Context(), c.dir)
				require.ErrorIs(t, err, backup.ErrCorrupt)
				require.ErrorContains(t, err, "The operation ended.")
				if l == "another name" {
					assertEmpty(t, c.dir)
					assert.DirExists(t, filepath.Join(c.target, imagesFolder, "other"), "it may be anybody's")
					return
				}
				assertEmpty(t, c.dir, c.target)
			})
		}
		for _, l := range []string{"", leaves[file][0]} {
			t.Run(name+" fails and leaves "+l, func(t *testing.T) {
				t.Parallel()
				c := newCase(t, name, world{Leaves: l, Exit: 5, Says: "Access is denied."})
				_, err := c.tool.Save(t.Context(), c.dir)
				require.ErrorContains(t, err, "code 5: Access is denied.")
				assert.Contains(t, backup.Hint(err), "Backup Operators")
				assertEmpty(t, c.dir, c.target)
			})
		}
	}
}

func TestWbadminImagesOfOldWindows(t *testing.T) {
	t.Parallel()
	c := newCase(t, cases()[slices.IndexFunc(cases(), func(n string) bool { return strings.HasPrefix(n, "wbadmin") })], world{Leaves: "old image"})
	files, err := c.tool.Save(t.Context(), c.dir)
	require.NoError(t, err)
	assert.True(t, slices.ContainsFunc(files, func(f SavedFile) bool { return strings.HasSuffix(f.Name, ".vhd") }))
}

func TestNtdsutilWantsACleanDirectoryPageByPage(t *testing.T) {
	t.Parallel()
	save := func(content []byte) error {
		c := newCase(t, "ntdsutil", world{Database: databaseFile(t, content)})
		_, err := c.tool.Save(t.Context(), c.dir)
		if err != nil {
			assertEmpty(t, c.dir)
		}
		return err
	}
	require.NoError(t, save(directory()))
	err := save(dirty())
	require.ErrorIs(t, err, backup.ErrCorrupt)
	require.ErrorContains(t, err, "dirty shutdown")
	torn := directory()
	torn[4*8192+100]++ // page 3
	err = save(torn)
	require.ErrorIs(t, err, backup.ErrCorrupt)
	require.ErrorContains(t, err, "page 3")
}

// One that the engine wrote.
func TestNtdsutilKnowsAGenuineDatabase(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("QUIESCE_TESTDATA")
	if dir == "" {
		t.Skip("QUIESCE_TESTDATA is not set: no genuine files")
	}
	packed, err := os.ReadFile(filepath.Join(dir, "ese", "db", "decompress2-8k-clean.edb.gz"))
	require.NoError(t, err)
	z, err := gzip.NewReader(bytes.NewReader(packed))
	require.NoError(t, err)
	content, err := io.ReadAll(z)
	require.NoError(t, err)
	c := newCase(t, "ntdsutil", world{Database: databaseFile(t, content)})
	_, err = c.tool.Save(t.Context(), c.dir)
	require.NoError(t, err)
}

func TestNtdsutilWithSysvol(t *testing.T) {
	t.Parallel()
	program := standInAt(t, "ntdsutil", world{Database: databaseFile(t, directory())})
	dir := testDir(t)
	files, err := NewNtdsutil(&NtdsutilOptions{Program: program, Sysvol: true, RoomBytes: -1}).Save(t.Context(), dir)
	require.NoError(t, err)
	assert.Contains(t, savedNames(files), "SYSVOL/example.org/Policies/SECURITY")

	spaced := filepath.Join(testDir(t), "a folder")
	require.NoError(t, os.Mkdir(spaced, 0o700))
	_, err = NewNtdsutil(&NtdsutilOptions{Program: program, RoomBytes: -1}).Save(t.Context(), spaced)
	require.ErrorIs(t, err, backup.ErrOption)
	assertEmpty(t, spaced)
}

func TestSystemStateIsNotBegunWithoutRoom(t *testing.T) {
	t.Parallel()
	dir, program := testDir(t), standInAt(t, "ntbackup", world{})
	s := NewNtbackup(&NtbackupOptions{Program: program, RoomBytes: 1 << 62})
	require.ErrorIs(t, s.Check(t.Context(), dir), backup.ErrStageFull)
	_, err := s.Save(t.Context(), dir)
	require.ErrorIs(t, err, backup.ErrStageFull)
	assertEmpty(t, dir)
}

func TestSystemStateThatIsCancelledLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, name := range cases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCase(t, name, world{Hang: true})
			ctx, cancel := context.WithCancelCause(t.Context())
			done := make(chan error, 1)
			go func() {
				_, err := c.tool.Save(ctx, c.dir)
				done <- err
			}()
			where := c.dir
			if c.target != "" {
				where = c.target
			}
			require.Eventually(t, func() bool { entries, _ := os.ReadDir(where); return len(entries) > 0 }, time.Minute, 10*time.Millisecond)
			if file, _, _ := strings.Cut(name, " "); file == "wbadmin" {
				require.Eventually(t, func() bool { _, err := os.Stat(filepath.Join(filepath.Dir(c.program), "running")); return err == nil }, time.Minute, 10*time.Millisecond)
			}
			stop := errors.New("stop it")
			cancel(stop)
			require.ErrorIs(t, <-done, stop)
			assertEmpty(t, c.dir, c.target)
			if c.tool.Name() == "wbadmin" {
				assert.FileExists(t, filepath.Join(filepath.Dir(c.program), "stopped"), "the job goes on in a service when its program dies")
			}
		})
	}
}

func TestWbadminTouchesNoBackupOfOthers(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("wine has no shares: what a target is on Windows is tested as text")
	}
	c := newCase(t, "wbadmin target", world{})
	theirs := filepath.Join(c.target, "WindowsImageBackup", "OTHER", "MediaId")
	put(theirs, "theirs")
	_, err := c.tool.Save(t.Context(), c.dir)
	require.NoError(t, err)
	require.NoError(t, c.tool.Remove(t.Context(), c.dir))
	assert.FileExists(t, theirs)
	host, err := os.Hostname()
	require.NoError(t, err)
	tree := filepath.Join(c.target, "WindowsImageBackup", host[:min(len(host), 15)])
	assert.NoDirExists(t, tree)

	put(filepath.Join(tree, "MediaId"), "theirs too")
	require.ErrorIs(t, c.tool.Check(t.Context(), c.dir), backup.ErrExists)
	_, err = c.tool.Save(t.Context(), c.dir)
	require.ErrorIs(t, err, backup.ErrExists)
	assert.Contains(t, backup.Hint(err), "target of its own")
	assert.FileExists(t, filepath.Join(tree, "MediaId"))
	assertEmpty(t, c.dir)
}

// A process that dies leaves its note, by which the next one removes what lies at the target.
func TestWbadminLeftoversAreRemovedByTheirNote(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("wine has no shares: what a target is on Windows is tested as text")
	}
	c := newCase(t, "wbadmin target", world{})
	_, err := c.tool.Save(t.Context(), c.dir)
	require.NoError(t, err)
	// The next process, which may have been configured otherwise since.
	next := NewSystemState()
	require.NoError(t, next.Remove(t.Context(), c.dir))
	assertEmpty(t, c.dir, c.target)

	files, err := c.tool.Save(t.Context(), c.dir)
	require.NoError(t, err)
	// Since then somebody has backed the whole server up there.
	tree := filepath.Dir(files[0].Path)
	put(filepath.Join(tree, "Backup 2026-03-02 020000", "c.vhdx"), "theirs")
	require.ErrorIs(t, next.Remove(t.Context(), c.dir), backup.ErrRefused)
	assert.FileExists(t, files[0].Path)
	assert.FileExists(t, filepath.Join(c.dir, outsideFile), "what is not removed stays noted")

	require.NoError(t, os.WriteFile(filepath.Join(c.dir, outsideFile), []byte(`{"tree":`), 0o600))
	require.ErrorIs(t, next.Remove(t.Context(), c.dir), backup.ErrCorrupt)
	require.NoError(t, next.Remove(t.Context(), filepath.Join(c.dir, "never made")))
}

func TestTargetsOfWbadmin(t *testing.T) {
	t.Parallel()
	for from, want := range map[string]string{`D:\quiesce\state`: `\\localhost\D$\quiesce\state`, `d:\`: `\\localhost\d$\`, `\\server\share\folder`: `\\server\share\folder`} {
		got, err := administrativeShare(from)
		require.NoError(t, err, from)
		assert.Equal(t, want, got)
	}
	for _, bad := range []string{`/srv/state`, `\\?\D:\x`, `\\.\D:\x`, `state`, ``} {
		_, err := administrativeShare(bad)
		require.ErrorIs(t, err, backup.ErrOption, bad)
	}
	for _, good := range []string{`E:`, `\\?\Volume{0f3c7a4e-1111-2222-3333-444455556666}\`, `\\?\Volume{0f3c7a4e-1111-2222-3333-444455556666}`} {
		folder, tree, err := WbadminOptions{Target: good, Server: "MAIL1"}.targetFolder()
		require.NoError(t, err, good)
		assert.Equal(t, strings.TrimRight(good, `\`)+string(filepath.Separator), folder)
		assert.Equal(t, filepath.Join(folder, "WindowsImageBackup", "MAIL1"), tree)
	}
	for _, bad := range []string{`E:\folder`, `folder`, `E`, `\\?\Volume{}\`} {
		_, _, err := WbadminOptions{Target: bad, Server: "MAIL1"}.targetFolder()
		require.ErrorIs(t, err, backup.ErrOption, bad)
	}
}

func TestSystemStateOfAMachineWithoutTools(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("this machine may have one")
	}
	s := NewSystemState()
	assert.Equal(t, "none", s.Name())
	_, err := s.Save(t.Context(), testDir(t))
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.ErrorIs(t, s.Check(t.Context(), testDir(t)), errors.ErrUnsupported)
	assert.Contains(t, backup.Hint(err), "Windows Server Backup")
	_, err = NewWbadmin(nil).Save(t.Context(), testDir(t))
	require.ErrorIs(t, err, errors.ErrUnsupported)
	_, err = NewNtbackup(&NtbackupOptions{Program: filepath.Join(testDir(t), "gone.exe")}).Save(t.Context(), testDir(t))
	require.ErrorContains(t, err, "ntbackup is not there")
}

// What the stand-ins refuse is what the agent must not say.
func TestStandInsRefuseWhatIsNotDocumented(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][][]string{
		"wbadmin":  {{}, {"start", "systemstatebackup"}, {"start", "systemstatebackup", "-backupTarget:" + t.Name(), "-quiet", "-x"}, {"stop", "job"}},
		"ntbackup": {{"backup", "systemstate", "/F", "a.bkf"}},
		"ntdsutil": {{"ifm", "create full x", "quit"}, {"activate instance ntds", "ifm", "create full a b", "quit", "quit"}},
		"eseutil":  {{"/r", "E00"}, {"/p", "E00", "/la", "/sb"}, {"/r", "E00", "/l", "a", "/sb"}, {"/r", "E00", "/la", "/sb", "/x"}, {"/r", "E00", "/la", "/la"}},
	} {
		path := standInAt(t, name, world{Database: "none"})
		for _, a := range args {
			e, err := program{path: path, args: a}.run(t.Context())
			require.NoError(t, err)
			assert.NotZero(t, e.code, "%s %q", name, a)
		}
	}
}

func TestNotesOfSystemStateAreReadableByPeople(t *testing.T) {
	t.Parallel()
	dir := testDir(t)
	require.NoError(t, noteOutside(dir, statePlan{tree: filepath.Join(dir, "WindowsImageBackup", "MAIL1")}))
	text, err := os.ReadFile(filepath.Join(dir, outsideFile))
	require.NoError(t, err)
	var n map[string]any
	require.NoError(t, json.Unmarshal(text, &n))
	assert.Equal(t, map[string]any{"tree": filepath.Join(dir, "WindowsImageBackup", "MAIL1"), "made": true}, n)
}
