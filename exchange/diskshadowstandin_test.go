package exchange

import (
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

	"github.com/quiesce-go/quiesce/internal/filelock"
)

// vssWorld is what outlives a process of the stand-in for diskshadow: the volumes, writers and shadow copies of a machine. It is a file, named by the variable vssWorldFile.
type vssWorld struct {
	Volumes    map[string]string // as add volume names them, and where they are
	Writers    map[string]string // ids and names
	Components []string          // full names
	Fail       map[string]string // a command, as far as it is given here, and what it says when it fails
	Hang       string            // a command that never ends
	Lingers    bool              // it does not end when a script fails
	Shadows    []vssCopy
	Sessions   []vssSession
	Said       []string // the commands of all scripts
}

type vssCopy struct {
	ID, Volume, Exposed string
	Persistent          bool
}

type vssSession struct {
	Copy      bool
	Completed bool     // the writers were told that the backup is safe
	Truncated []string // components whose logs are truncated then
}

const vssWorldFile = "QUIESCE_VSS_WORLD"

func loadWorld(path string) (w vssWorld, err error) {
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, &w)
	}
	return w, err
}

func (w vssWorld) save(path string) error {
	b, err := json.Marshal(w)
	if err == nil {
		err = os.WriteFile(path+".new", b, 0o600)
	}
	if err != nil {
		return err
	}
	for range 1000 { // Windows replaces no file that somebody reads
		if err = os.Rename(path+".new", path); err == nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	return err
}

// shadowSession is one process of diskshadow: what `reset` loses.
type shadowSession struct {
	world    vssWorld
	file     string
	verbose  bool
	context  []string
	metadata string
	loaded   bool
	verify   []string
	exclude  []string
	begun    bool
	volumes  [][2]string // and their aliases
	aliases  map[string]string
	created  bool
}

// diskshadowMain stands in for diskshadow.exe. It knows what the Windows commands document and refuses everything else.
func diskshadowMain(args []string) int {
	if len(args) != 2 || args[0] != "/s" && args[0] != "-s" {
		fmt.Println("usage: diskshadow /s script")
		return 2
	}
	script, err := os.ReadFile(args[1])
	if err != nil {
		fmt.Println(err)
		return 2
	}
	running, err := filelock.Take(os.Getenv(vssWorldFile) + ".running")
	if err != nil {
		fmt.Println("VSS_E_SNAPSHOT_SET_IN_PROGRESS (0x80042316):", err)
		return 1
	}
	defer running.Release()
	s := &shadowSession{file: os.Getenv(vssWorldFile), context: []string{"volatile"}, aliases: map[string]string{}}
	for _, line := range strings.Split(string(script), "\n") {
		line = strings.TrimSuffix(line, "\r")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fmt.Println("-> " + line)
		if line == "exit" {
			break
		}
		if err = s.step(line); err != nil {
			fmt.Println(err)
			s.leave()
			if s.world.Lingers {
				time.Sleep(time.Hour)
			}
			return 1
		}
	}
	s.leave()
	return 0
}

// leave ends the process: volatile shadow copies go.
func (s *shadowSession) leave() {
	w, err := loadWorld(s.file)
	if err != nil {
		return
	}
	w.Shadows = slices.DeleteFunc(w.Shadows, func(c vssCopy) bool { return !c.Persistent })
	_ = w.save(s.file)
}

func (s *shadowSession) step(line string) (err error) {
	if s.world, err = loadWorld(s.file); err != nil {
		return err
	}
	s.world.Said = append(s.world.Said, line)
	for command, text := range s.world.Fail {
		if strings.HasPrefix(line, command) {
			_ = s.world.save(s.file)
			return errors.New(text)
		}
	}
	if err = s.world.save(s.file); err != nil {
		return err
	}
	if s.world.Hang != "" && strings.HasPrefix(line, s.world.Hang) {
		time.Sleep(time.Hour)
	}
	words, err := s.words(line)
	if err != nil {
		return err
	}
	if err = s.do(words); err != nil {
		return err
	}
	return s.world.save(s.file)
}

// words takes a command apart and puts aliases in.
func (s *shadowSession) words(line string) (words []string, err error) {
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		var w string
		var ok bool
		if strings.HasPrefix(line, `"`) {
			if w, line, ok = strings.Cut(line[1:], `"`); !ok {
				return nil, errors.New("a quote is open")
			}
		} else {
			w, line, _ = strings.Cut(line, " ")
		}
		if a, found := strings.CutPrefix(w, "%"); found && strings.HasSuffix(a, "%") {
			if w, ok = s.aliases[strings.TrimSuffix(a, "%")]; !ok {
				return nil, fmt.Errorf("unknown alias %s", a)
			}
		}
		words = append(words, w)
	}
	return words, nil
}

func (s *shadowSession) do(w []string) error {
	switch {
	case len(w) == 3 && w[0] == "set" && w[1] == "verbose":
		s.verbose = w[2] == "on"
		return nil
	case len(w) >= 3 && w[0] == "set" && w[1] == "context" && !s.created:
		s.context = w[2:]
		if !slices.Contains([]string{"persistent", "volatile", "clientaccessible"}, w[2]) {
			return fmt.Errorf("unknown context %s", w[2])
		}
		return nil
	case len(w) == 3 && w[0] == "set" && w[1] == "metadata" && !s.created && strings.HasSuffix(w[2], ".cab"):
		s.metadata = w[2]
		return nil
	case len(w) == 3 && w[0] == "load" && w[1] == "metadata" && len(s.volumes) == 0:
		return s.load(w[2])
	case len(w) == 3 && w[0] == "writer" && !s.begun && !s.created:
		return s.writer(w[1], w[2])
	case len(w) == 2 && w[0] == "begin" && w[1] == "backup" && !s.begun && !s.created:
		s.begun = true
		return nil
	case len(w) == 5 && w[0] == "add" && w[1] == "volume" && w[3] == "alias" && !s.created:
		return s.add(w[2], w[4])
	case len(w) == 1 && w[0] == "create" && !s.created && len(s.volumes) > 0:
		return s.create()
	case len(w) == 3 && w[0] == "expose":
		return s.expose(w[1], w[2])
	case len(w) == 2 && w[0] == "exec":
		if code := execCmd(w[1]); code != 0 {
			return fmt.Errorf("the script file %s returned %d", w[1], code)
		}
		var err error
		s.world, err = loadWorld(s.file)
		return err
	case len(w) == 2 && w[0] == "end" && w[1] == "backup" && s.begun && s.created:
		last := &s.world.Sessions[len(s.world.Sessions)-1]
		last.Completed, s.begun = true, false
		last.Truncated = slices.DeleteFunc(slices.Clone(s.world.Components), func(c string) bool { return slices.Contains(s.exclude, c) })
		return nil
	case len(w) == 4 && w[0] == "delete" && w[1] == "shadows" && (w[2] == "exposed" || w[2] == "id"):
		return s.delete(w[2], w[3])
	}
	return fmt.Errorf("%q is no command here", w)
}

func (s *shadowSession) writer(what, name string) error {
	known := slices.Contains(s.world.Components, name)
	for id, n := range s.world.Writers {
		known = known || id == name || n == name
	}
	switch {
	case what == "verify":
		s.verify = append(s.verify, name) // judged when the writers are gathered
		if !known {
			s.verify[len(s.verify)-1] = "missing " + name
		}
		return nil
	case what == "exclude" && (known || strings.HasPrefix(name, "{")): // ids of writers that are not there are taken
		s.exclude = append(s.exclude, name)
		return nil
	}
	return fmt.Errorf("writer %s %s: unknown", what, name)
}

func (s *shadowSession) add(volume, alias string) error {
	if _, ok := s.world.Volumes[volume]; !ok {
		return fmt.Errorf("volume %s: VSS_E_OBJECT_NOT_FOUND (0x80042308)", volume)
	}
	for _, v := range s.volumes {
		if v[0] == volume || v[1] == alias {
			return fmt.Errorf("volume %s alias %s: again", volume, alias)
		}
	}
	s.volumes = append(s.volumes, [2]string{volume, alias})
	return nil
}

func (s *shadowSession) create() error {
	for _, v := range s.verify {
		if missing, ok := strings.CutPrefix(v, "missing "); ok || slices.Contains(s.exclude, v) {
			return fmt.Errorf("writer %s is not included", missing)
		}
	}
	if slices.Contains(s.context, "nowriters") && len(s.verify) > 0 {
		return errors.New("no writers take part")
	}
	for _, v := range s.volumes {
		id := fmt.Sprintf("{00000000-0000-0000-0000-%012d}", len(s.world.Said)*10+len(s.world.Shadows))
		if err := os.CopyFS(filepath.Join(filepath.Dir(s.file), id), os.DirFS(s.world.Volumes[v[0]])); err != nil {
			return err
		}
		s.world.Shadows = append(s.world.Shadows, vssCopy{ID: id, Volume: v[0], Persistent: s.context[0] != "volatile"})
		s.aliases[v[1]] = id
	}
	s.created = true
	s.world.Sessions = append(s.world.Sessions, vssSession{Copy: !s.begun})
	b, err := json.Marshal(s.aliases)
	if err != nil {
		return err
	}
	return os.WriteFile(s.metadata, b, 0o600)
}

func (s *shadowSession) load(path string) error {
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, &s.aliases)
	}
	s.loaded = err == nil
	return err
}

func (s *shadowSession) expose(id, where string) error {
	i := slices.IndexFunc(s.world.Shadows, func(c vssCopy) bool { return c.ID == id })
	if i < 0 || !s.world.Shadows[i].Persistent || s.world.Shadows[i].Exposed != "" {
		return fmt.Errorf("shadow copy %s cannot be exposed", id)
	}
	entries, err := os.ReadDir(where)
	if err != nil || len(entries) > 0 {
		return fmt.Errorf("%s is no empty folder (%w)", where, err)
	}
	s.world.Shadows[i].Exposed = where
	return os.CopyFS(where, os.DirFS(filepath.Join(filepath.Dir(s.file), id)))
}

func (s *shadowSession) delete(by, name string) error {
	for i, c := range s.world.Shadows {
		if by == "id" && c.ID != name || by == "exposed" && c.Exposed != name {
			continue
		}
		s.world.Shadows = slices.Delete(s.world.Shadows, i, i+1)
		if err := emptied(filepath.Join(filepath.Dir(s.file), c.ID)); err != nil {
			return err
		}
		if c.Exposed == "" {
			return nil
		}
		return emptied(c.Exposed)
	}
	return fmt.Errorf("shadow copy %s: VSS_E_OBJECT_NOT_FOUND (0x80042308)", name)
}

// emptied removes what is in a folder, file by file, which works everywhere.
func emptied(dir string) error {
	var paths []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		paths = append(paths, path)
		return err
	})
	if err != nil {
		return err
	}
	for _, p := range slices.Backward(paths[1:]) {
		if err := os.Remove(p); err != nil {
			return err
		}
	}
	return nil
}

// execCmd runs a batch file: by the interpreter of Windows, where there is one.
func execCmd(path string) int {
	if runtime.GOOS != "windows" {
		return runBatch(path)
	}
	cmd := exec.Command("cmd.exe", "/c", path)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return exit.ExitCode()
		}
		return -1
	}
	return 0
}

// runBatch knows the few commands of cmd.exe that the gate needs.
func runBatch(path string) int {
	text, err := os.ReadFile(path)
	if err != nil {
		return -1
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\r\n"), "\r\n")
	in := func(name string) string { return filepath.Join(filepath.Dir(path), name) }
	exists := func(name string) bool { _, err := os.Stat(in(name)); return err == nil }
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if rest, ok := strings.CutPrefix(line, "if "); ok {
			not := strings.HasPrefix(rest, "not ")
			w := strings.SplitN(strings.TrimPrefix(rest, "not "), " ", 3)
			if len(w) != 3 || w[0] != "exist" {
				return -2
			}
			if exists(w[1]) == not {
				continue
			}
			line = w[2]
		}
		w := strings.Fields(line)
		switch {
		case line == "@echo off", line == `cd /d "%~dp0"`, strings.HasPrefix(line, ":"):
		case len(w) == 3 && w[0] == "type" && w[1] == "nul" && strings.HasPrefix(w[2], ">"):
			if os.WriteFile(in(w[2][1:]), nil, 0o600) != nil {
				return -3
			}
		case len(w) == 2 && w[0] == "exit":
			return int(w[1][0] - '0')
		case len(w) == 4 && w[0] == "del" && w[2] == ">nul" && w[3] == "2>nul":
			if l, err := filelock.Take(in(w[1])); err == nil {
				_ = os.Remove(in(w[1]))
				_ = l.Release()
			}
		case line == "ping -n 2 127.0.0.1 >nul":
			time.Sleep(10 * time.Millisecond)
		case len(w) == 2 && w[0] == "goto":
			if i = slices.Index(lines, ":"+w[1]); i < 0 {
				return -4
			}
		default:
			fmt.Printf("cmd: %q is no command here\n", line)
			return -5
		}
	}
	return 0
}
