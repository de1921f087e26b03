package exchange

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/filelock"
	"github.com/quiesce-go/quiesce/internal/winetest"
)

// Databases of the tests: two on D:, one of them with its logs on a volume mounted in a folder, and one that is a passive copy here.
const (
	guidSales   = "11111111-2222-3333-4444-555555555501"
	guidPeople  = "11111111-2222-3333-4444-555555555502"
	guidPassive = "11111111-2222-3333-4444-555555555503"
	mountedName = `\\?\Volume{8f3c0000-0000-0000-0000-100000000000}\`
	foreign     = "{99999999-0000-0000-0000-000000000000}"
	storeOn     = `Microsoft Exchange Writer:\Microsoft Exchange Server\Microsoft Information Store\EX1\`
	replicaOn   = `Microsoft Exchange Replica Writer:\Microsoft Exchange Server\Microsoft Information Store\Replica\EX1\`
)

// shadowRig is a machine with a stand-in for diskshadow.
type shadowRig struct {
	t          *testing.T
	dir, world string
	d          *Diskshadow
	request    ShadowRequest
	notes      *[][]byte
}

// rigVolumes are folders in place of volumes.
type rigVolumes []volume

func (r rigVolumes) of(path string) (volume, error) {
	for _, v := range r {
		if _, ok := v.below(path); ok {
			return v, nil
		}
	}
	return volume{}, fmt.Errorf("no volume holds %s", path)
}

func newShadowRig(t *testing.T, dir string) *shadowRig {
	t.Helper()
	r := &shadowRig{t: t, dir: dir, world: filepath.Join(dir, "world", "world.json"), notes: &[][]byte{}}
	for _, f := range []string{"D/sales/sales.edb", "D/sales/E00.log", "D/people/people.edb", "mounted/people/E0100000001.log", "D/sales/note.txt"} {
		r.write(f, "live "+f)
	}
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "work"), 0o700))
	require.NoError(t, os.MkdirAll(filepath.Dir(r.world), 0o700))
	require.NoError(t, vssWorld{
		Volumes:    map[string]string{r.path("D") + string(filepath.Separator): r.path("D"), mountedName: r.path("mounted")},
		Writers:    map[string]string{storeWriterID: storeWriter},
		Components: []string{storeOn + guidSales, storeOn + guidPeople, replicaOn + guidPassive},
		Shadows:    []vssCopy{{ID: foreign, Volume: "D:", Persistent: true, Exposed: r.path("foreign")}},
	}.save(r.world))
	r.d = rigDiskshadow(dir)
	r.request = ShadowRequest{
		Files:   []string{r.path("D/sales/sales.edb"), r.path("D/sales"), r.path("mounted/people"), r.path("D/people/people.edb")},
		Include: []Group{{Name: "Sales", Databases: []Database{{Name: "Sales", GUID: guidSales}}}, {Name: "People", Databases: []Database{{Name: "People", GUID: guidPeople}}}},
		Exclude: []Group{{Name: "Passive", Databases: []Database{{Name: "Passive", GUID: guidPassive, Copies: []Copy{{Server: "EX2", Active: true}, {Server: "ex1"}}}}}},
		Major:   15,
		WorkDir: r.path("work"),
		Note:    func(note []byte) error { *r.notes = append(*r.notes, note); return nil },
	}
	return r
}

// rigDiskshadow finds the volumes of a rig by their roots, not by letters, which are few in a test.
func rigDiskshadow(dir string) *Diskshadow {
	sep := string(filepath.Separator)
	d := NewDiskshadow(DiskshadowOptions{Program: os.Args[0], Server: "ex1.example.com"})
	d.volumes = rigVolumes{{root: filepath.Join(dir, "D") + sep, name: filepath.Join(dir, "D") + sep}, {root: filepath.Join(dir, "mounted") + sep, name: mountedName}}
	d.env = []string{standIn + "=diskshadow", vssWorldFile + "=" + filepath.Join(dir, "world", "world.json")}
	d.poll = 5 * time.Millisecond
	return d
}

func (r *shadowRig) path(name string) string { return filepath.Join(r.dir, filepath.FromSlash(name)) }

func (r *shadowRig) write(name, text string) {
	r.t.Helper()
	require.NoError(r.t, os.MkdirAll(filepath.Dir(r.path(name)), 0o700))
	require.NoError(r.t, os.WriteFile(r.path(name), []byte(text), 0o600))
}

func (r *shadowRig) now() vssWorld {
	r.t.Helper()
	w, err := loadWorld(r.world)
	require.NoError(r.t, err)
	return w
}

func (r *shadowRig) change(f func(w *vssWorld)) {
	r.t.Helper()
	w := r.now()
	f(&w)
	require.NoError(r.t, w.save(r.world))
}

// clean asserts that nothing is left of any snapshot but that of others.
func (r *shadowRig) clean() {
	r.t.Helper()
	w := r.now()
	require.Len(r.t, w.Shadows, 1, "shadow copies")
	assert.Equal(r.t, foreign, w.Shadows[0].ID)
	entries, err := os.ReadDir(r.path("work"))
	require.NoError(r.t, err)
	assert.Empty(r.t, entries, "the folder of the run")
}

func (r *shadowRig) create() Shadow {
	r.t.Helper()
	s, err := r.d.Create(r.t.Context(), r.request)
	require.NoError(r.t, err)
	return s
}

func TestDiskshadowCompletes(t *testing.T) {
	t.Parallel()
	r := newShadowRig(t, winetest.TempDir(t))
	before := time.Now()
	s := r.create()
	assert.WithinRange(t, s.Time(), before.Add(-2*time.Second), time.Now().Add(2*time.Second)) // file systems round
	require.Len(t, *r.notes, 1)

	r.write("D/sales/sales.edb", "changed since")
	for _, name := range []string{"D/sales/sales.edb", "mounted/people/E0100000001.log"} {
		at, err := s.Path(r.path(name))
		require.NoError(t, err)
		b, err := os.ReadFile(at)
		require.NoError(t, err)
		assert.Equal(t, "live "+name, string(b))
	}
	_, err := s.Path(r.path("work/elsewhere"))
	require.ErrorContains(t, err, "elsewhere")
	require.Len(t, r.now().Shadows, 3)
	assert.False(t, r.now().Sessions[0].Completed)

	require.NoError(t, s.Complete(t.Context()))
	require.NoError(t, s.Complete(t.Context()), "idempotent")
	require.ErrorContains(t, s.Abort(t.Context()), "complete")
	w := r.now()
	require.Len(t, w.Sessions, 1)
	assert.True(t, w.Sessions[0].Completed)
	assert.Equal(t, []string{storeOn + guidSales, storeOn + guidPeople}, w.Sessions[0].Truncated, "the logs of the database that was left out stay")
	r.clean()
	require.NoError(t, r.d.Remove(t.Context(), (*r.notes)[0]), "what is gone is no error")
	r.clean()
}

func TestDiskshadowAborts(t *testing.T) {
	t.Parallel()
	r := newShadowRig(t, winetest.TempDir(t))
	s := r.create()
	require.NoError(t, s.Abort(t.Context()))
	require.NoError(t, s.Abort(t.Context()), "idempotent")
	require.ErrorContains(t, s.Complete(t.Context()), "abort")
	require.Len(t, r.now().Sessions, 1)
	assert.False(t, r.now().Sessions[0].Completed)
	r.clean()
}

func TestDiskshadowCopyNeverTruncates(t *testing.T) {
	t.Parallel()
	r := newShadowRig(t, winetest.TempDir(t))
	r.request.Copy, r.request.Major = true, 8 // then nothing needs to be left out
	s := r.create()
	require.NoError(t, s.Complete(t.Context()))
	w := r.now()
	assert.Equal(t, []vssSession{{Copy: true}}, w.Sessions)
	assert.NotContains(t, strings.Join(w.Said, "\n"), "backup")
	r.clean()
}

func TestDiskshadowAsksForTheWriters(t *testing.T) {
	t.Parallel()
	active := Group{Databases: []Database{{GUID: guidSales}}}
	passive := Group{Databases: []Database{{GUID: guidPassive, Copies: []Copy{{Server: "ex1"}}}}}
	for name, c := range map[string]struct {
		r    ShadowRequest
		want []string
	}{
		"active":          {ShadowRequest{Major: 14, Include: []Group{active}}, []string{storeWriterID}},
		"passive 2010":    {ShadowRequest{Major: 14, Include: []Group{passive}}, []string{`"` + replicaWriter + `"`}},
		"both 2010":       {ShadowRequest{Major: 14, Include: []Group{active, passive}}, []string{storeWriterID, `"` + replicaWriter + `"`}},
		"passive 2019":    {ShadowRequest{Major: 15, Include: []Group{passive}}, []string{storeWriterID}},
		"storage groups":  {ShadowRequest{Major: 8, Include: []Group{active}}, []string{storeWriterID}},
		"nothing is said": {ShadowRequest{Major: 15}, []string{storeWriterID}},
	} {
		assert.Equal(t, c.want, verified(c.r, "EX1"), name)
	}
}

func TestDiskshadowScript(t *testing.T) {
	t.Parallel()
	n := &shadowNote{Dir: `C:\State Dir\run`, Volumes: []shadowVolume{{Volume: "D:", Alias: "quiesce_1", Exposed: `C:\State Dir\run\volume1`}, {Volume: mountedName, Alias: "quiesce_2", Exposed: `C:\state\volume2`}}}
	got := n.script(ShadowRequest{Major: 15, Exclude: []Group{{Databases: []Database{{GUID: guidPeople}}}}}, "EX1")
	for line := range strings.SplitSeq(strings.TrimSuffix(got, "\r\n"), "\r\n") {
		assert.NotContains(t, line, "\n")
	}
	assert.Contains(t, got, `writer exclude "`+storeOn+guidPeople+`"`+"\r\n")
	assert.Contains(t, got, "add volume "+mountedName+" alias quiesce_2\r\n")
	assert.Contains(t, got, `expose %quiesce_1% "C:\State Dir\run\volume1"`+"\r\n")
	assert.Contains(t, got, `expose %quiesce_2% C:\state\volume2`+"\r\n")
	assert.Less(t, strings.Index(got, "begin backup"), strings.Index(got, "add volume"))
	assert.True(t, strings.HasSuffix(got, "end backup\r\nexit\r\n"))
	assert.Equal(t, "D:", volume{root: `D:\`, name: mountedName}.argument())
	assert.Equal(t, mountedName, volume{root: `C:\mnt\`, name: mountedName}.argument())
}

func TestDiskshadowFailsAtEachCommand(t *testing.T) {
	t.Parallel()
	for i, command := range []string{"set verbose", "set context", "set metadata", "writer exclude {a65", "writer verify", "writer exclude \"", "begin", "add volume", "add volume " + mountedName, "create",
		"expose %quiesce_1%", "expose %quiesce_2%", "exec"} {
		t.Run(fmt.Sprint(i), func(t *testing.T) { // a command has characters that no folder may have
			t.Parallel()
			r := newShadowRig(t, winetest.TempDir(t))
			r.change(func(w *vssWorld) {
				w.Fail = map[string]string{command: "The requester failed: 0x8004231F at its place."}
			})
			_, err := r.d.Create(t.Context(), r.request)
			require.ErrorContains(t, err, "VSS_E_INSUFFICIENT_STORAGE")
			require.ErrorContains(t, err, "-> "+command, "its own words")
			assert.Contains(t, backup.Hint(err), "shadowstorage")
			for _, s := range r.now().Sessions {
				assert.False(t, s.Completed)
			}
			r.clean()
		})
	}
}

func TestDiskshadowWriterMissing(t *testing.T) {
	t.Parallel()
	r := newShadowRig(t, winetest.TempDir(t))
	r.change(func(w *vssWorld) { w.Writers = nil })
	_, err := r.d.Create(t.Context(), r.request)
	require.ErrorContains(t, err, storeWriterID)
	r.clean()
}

// Exchange was not told, so Complete must not say that it was.
func TestDiskshadowEndBackupFails(t *testing.T) {
	t.Parallel()
	r := newShadowRig(t, winetest.TempDir(t))
	s := r.create()
	r.change(func(w *vssWorld) { w.Fail = map[string]string{"end backup": "writer error 0x800423f4"} })
	for range 2 {
		err := s.Complete(t.Context())
		require.ErrorContains(t, err, "VSS_E_WRITERERROR_NONRETRYABLE")
		assert.Contains(t, backup.Hint(err), "vssadmin list writers")
	}
	require.NoError(t, s.Abort(t.Context()))
	assert.False(t, r.now().Sessions[0].Completed)
	r.clean()
}

// The backup is complete at the server then, but a snapshot is left: that is an error, and the next call ends it.
func TestDiskshadowDeleteFails(t *testing.T) {
	t.Parallel()
	r := newShadowRig(t, winetest.TempDir(t))
	s := r.create()
	r.change(func(w *vssWorld) { w.Fail = map[string]string{"delete shadows exposed": "not now"} })
	require.ErrorContains(t, s.Complete(t.Context()), "not now")
	require.Len(t, r.now().Shadows, 3)
	require.True(t, r.now().Sessions[0].Completed)
	r.change(func(w *vssWorld) { w.Fail = nil })
	require.NoError(t, s.Complete(t.Context()))
	assert.Len(t, r.now().Sessions, 1)
	r.clean()
}

// Somebody deleted the shadow copies of a dead run: what is gone is no error, but a folder that is not empty is none of ours to empty.
func TestDiskshadowDeletedByOthers(t *testing.T) {
	t.Parallel()
	r := newShadowRig(t, winetest.TempDir(t))
	s := r.create()
	r.change(func(w *vssWorld) { w.Shadows = w.Shadows[:1] })
	require.ErrorContains(t, s.Abort(t.Context()), "volume1")
	note := (*r.notes)[0]
	require.Error(t, r.d.Remove(t.Context(), note))
	for _, v := range []string{"volume1", "volume2"} {
		require.NoError(t, emptied(r.path("work/diskshadow/"+v)))
	}
	require.NoError(t, r.d.Remove(t.Context(), note))
	r.clean()
}

// It was made and never exposed, and could not be deleted at once. The metadata tell its name later.
func TestDiskshadowRemovesWhatWasNeverExposed(t *testing.T) {
	t.Parallel()
	r := newShadowRig(t, winetest.TempDir(t))
	r.change(func(w *vssWorld) { w.Fail = map[string]string{"expose %quiesce_2%": "taken", "delete": "not now"} })
	_, err := r.d.Create(t.Context(), r.request)
	require.ErrorContains(t, err, "taken")
	require.ErrorContains(t, err, "not now")
	require.Len(t, r.now().Shadows, 3)
	r.change(func(w *vssWorld) { w.Fail = map[string]string{"delete shadows id": "not now"} })
	err = r.d.Remove(t.Context(), (*r.notes)[0])
	require.ErrorContains(t, err, "not now")
	assert.Contains(t, backup.Hint(err), "vssadmin list shadows")
	require.Len(t, r.now().Shadows, 2, "what is exposed goes first")
	r.change(func(w *vssWorld) { w.Fail = nil })
	require.NoError(t, r.d.Remove(t.Context(), (*r.notes)[0]))
	r.clean()
	require.NoError(t, r.d.Remove(t.Context(), (*r.notes)[0]))
}

func TestDiskshadowCancelled(t *testing.T) {
	t.Parallel()
	for i, at := range []string{"set context", "create", "expose %quiesce_2%"} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			r := newShadowRig(t, winetest.TempDir(t))
			r.change(func(w *vssWorld) { w.Hang = at })
			ctx, cancel := context.WithCancelCause(t.Context())
			made := make(chan error)
			go func() {
				_, err := r.d.Create(ctx, r.request)
				made <- err
			}()
			require.Eventually(t, func() bool {
				w, err := loadWorld(r.world)
				return err == nil && len(w.Said) > 0 && strings.HasPrefix(w.Said[len(w.Said)-1], at)
			}, time.Minute, 5*time.Millisecond)
			cancel(errors.New("enough"))
			require.ErrorContains(t, <-made, "enough")
			r.clean()
		})
	}
	r := newShadowRig(t, winetest.TempDir(t))
	ctx, cancel := context.WithCancelCause(t.Context())
	s, err := r.d.Create(ctx, r.request)
	require.NoError(t, err)
	cancel(errors.New("enough"))
	require.NoError(t, s.Complete(t.Context()), "the snapshot lives on behind the context of Create")
	r.clean()
	_, err = r.d.Create(ctx, r.request)
	require.EqualError(t, err, "enough")
	assert.Len(t, *r.notes, 1)
}

func TestDiskshadowThatDoesNotEndIsKilled(t *testing.T) {
	t.Parallel()
	r := newShadowRig(t, winetest.TempDir(t))
	r.d.opt.EndGrace = time.Millisecond
	r.change(func(w *vssWorld) { w.Lingers = true })
	require.NoError(t, r.create().Abort(t.Context()))
	assert.False(t, r.now().Sessions[0].Completed)
	r.clean()
}

// Nobody can tell what Exchange knows then. The snapshot goes all the same.
func TestDiskshadowCompleteIsCancelled(t *testing.T) {
	t.Parallel()
	r := newShadowRig(t, winetest.TempDir(t))
	s := r.create()
	r.change(func(w *vssWorld) { w.Hang = "end backup" })
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error)
	go func() { done <- s.Complete(ctx) }()
	require.Eventually(t, func() bool {
		w, err := loadWorld(r.world)
		return err == nil && w.Said[len(w.Said)-1] == "end backup"
	}, time.Minute, 5*time.Millisecond)
	cancel(errors.New("enough"))
	err := <-done
	require.ErrorContains(t, err, "enough")
	require.ErrorContains(t, err, "not known")
	require.Error(t, s.Complete(t.Context()))
	require.NoError(t, s.Abort(t.Context()))
	r.clean()
}

func TestDiskshadowRefuses(t *testing.T) {
	t.Parallel()
	r := newShadowRig(t, winetest.TempDir(t))
	for name, change := range map[string]func(*ShadowRequest, *Diskshadow){
		"snapshot of nothing":     func(q *ShadowRequest, _ *Diskshadow) { q.Files = nil },
		"before Exchange 2010":    func(q *ShadowRequest, _ *Diskshadow) { q.Major = 8 },
		"no volume holds":         func(q *ShadowRequest, _ *Diskshadow) { q.Files = append(q.Files, r.path("other/x")) },
		"want a GUID":             func(q *ShadowRequest, _ *Diskshadow) { q.Exclude[0].Databases[0].GUID = "x\r\nend backup" },
		"cannot stand":            func(q *ShadowRequest, _ *Diskshadow) { q.WorkDir += "%x%" },
		"'ü'":                     func(q *ShadowRequest, _ *Diskshadow) { q.WorkDir += "ü" },
		"server name":             func(_ *ShadowRequest, d *Diskshadow) { d.opt.Server = "EX1\"" },
		"no note":                 func(q *ShadowRequest, _ *Diskshadow) { q.Note = func([]byte) error { return errors.New("no note") } },
		"Windows Server 2008 and": func(_ *ShadowRequest, d *Diskshadow) { d.opt.Program = r.path("none.exe") },
	} {
		t.Run(name, func(t *testing.T) {
			q, d := newShadowRig(t, winetest.TempDir(t)).request, *r.d
			q.Files, q.WorkDir = r.request.Files, r.request.WorkDir
			change(&q, &d)
			_, err := d.Create(t.Context(), q)
			require.ErrorContains(t, fmt.Errorf("%w %s", err, backup.Hint(err)), name)
			r.clean()
			assert.Empty(t, r.now().Said)
		})
	}
}

func TestDiskshadowCheck(t *testing.T) {
	t.Parallel()
	r := newShadowRig(t, winetest.TempDir(t))
	require.NoError(t, r.d.Check(t.Context()))
	r.d.opt.Program = r.path("none.exe")
	err := r.d.Check(t.Context())
	require.ErrorContains(t, err, "none.exe")
	assert.Contains(t, backup.Hint(err), "Windows Server 2008")
	assert.Empty(t, r.now().Said)
}

func TestDiskshadowRemoveRefusesNotesOfOthers(t *testing.T) {
	t.Parallel()
	r := newShadowRig(t, winetest.TempDir(t))
	for _, note := range []string{``, `{}`, `{"version":1,"dir":"work"}`, `{"version":1,"dir":"/x","else":1}`, `{"version":1,"dir":"/x"}{}`, `{"version":2,"dir":"/x"}`,
		`{"version":1,"dir":"/x","volumes":[{"exposed":"/y","alias":"a"}]}`, `{"version":1,"dir":"/x","volumes":[{"exposed":"/x/y","alias":"a%"}]}`} {
		require.Error(t, r.d.Remove(t.Context(), []byte(note)), note)
	}
	assert.Empty(t, r.now().Said)
}

// shadowHolder is a process that makes a snapshot, says so by a file, and does nothing more.
func shadowHolder(dir string) int {
	r := ShadowRequest{Files: []string{filepath.Join(dir, "D", "sales"), filepath.Join(dir, "mounted")}, Include: []Group{{Databases: []Database{{GUID: guidSales}}}}, Major: 15, WorkDir: filepath.Join(dir, "work"),
		Note: func(note []byte) error { return os.WriteFile(filepath.Join(dir, "note"), note, 0o600) }}
	if _, err := rigDiskshadow(dir).Create(context.Background(), r); err != nil {
		fmt.Println(err)
		return 1
	}
	_ = os.WriteFile(filepath.Join(dir, "made"), nil, 0o600)
	time.Sleep(time.Hour)
	return 1
}

// A process that is killed leaves diskshadow at its gate. It must not end the backup, and the next run must find the snapshot.
func TestDiskshadowOutlivesNobody(t *testing.T) {
	t.Parallel()
	r := newShadowRig(t, winetest.TempDir(t))
	cmd := exec.Command(os.Args[0], r.dir)
	cmd.Env = append(os.Environ(), standIn+"=holder")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	require.NoError(t, cmd.Start())
	made := func() bool { _, err := os.Stat(r.path("made")); return err == nil }
	require.Eventually(t, made, time.Minute, 5*time.Millisecond)
	note, err := os.ReadFile(r.path("note"))
	require.NoError(t, err)

	err = r.d.Remove(t.Context(), note)
	require.ErrorIs(t, err, backup.ErrBusy, "its run is alive")
	require.Len(t, r.now().Shadows, 3)

	require.NoError(t, cmd.Process.Kill())
	require.Error(t, cmd.Wait())
	require.Eventually(t, func() bool { // on Windows it is killed with the job, elsewhere the gate sees that it is alone
		l, err := filelock.Take(r.world + ".running")
		return err == nil && l.Release() == nil
	}, time.Minute, 5*time.Millisecond)
	require.Len(t, r.now().Shadows, 3, "nobody has cleaned up yet")
	require.NoError(t, r.d.Remove(t.Context(), note))
	assert.False(t, r.now().Sessions[0].Completed)
	assert.NotContains(t, r.now().Said, "end backup")
	r.clean()
}

// The gate gives up by itself, before anybody comes to clean.
func TestGateSeesThatItsRunIsDead(t *testing.T) {
	t.Parallel()
	dir := winetest.TempDir(t)
	g, err := openGate(dir)
	require.NoError(t, err)
	code := make(chan int)
	go func() { code <- execCmd(g.path(gateFile)) }()
	require.Eventually(t, func() bool { _, ok := g.reached(); return ok }, time.Minute, 5*time.Millisecond)
	require.NoError(t, g.alive.Release())
	assert.Equal(t, 1, <-code)
	require.NoError(t, g.close())

	for word, want := range map[string]int{gateComplete: 0, gateAbort: 1} {
		g, err = openGate(dir)
		require.NoError(t, err)
		go func() { code <- execCmd(g.path(gateFile)) }()
		require.NoError(t, g.say(word))
		assert.Equal(t, want, <-code, word)
		require.NoError(t, g.close())
	}
}
