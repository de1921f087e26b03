package notes

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
)

// childName is the program that holds the C API.
const childName = "quiesce-notes"

// locate finds the program.
func (c *Command) locate() (string, error) {
	name := childName
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	if c.Path != "" {
		name = c.Path
	} else if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), name)
		if st, err := os.Stat(beside); err == nil && st.Mode().IsRegular() {
			return beside, nil
		}
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", &backup.Error{Op: "find", App: "domino", Artifact: name, Err: err,
			Advice: "build it with: go build github.com/quiesce-go/quiesce/domino/quiesce-notes; then put it beside this program or into PATH, or name it by its path"}
	}
	return path, nil
}

// arguments are those of the child.
func (c *Command) arguments() []string {
	args := slices.Clone(c.Args)
	for _, a := range [...][2]string{{"-program", c.Program}, {"-ini", c.INI}, {"-library", c.Library}} {
		if a[1] != "" {
			args = append(args, a[0], a[1])
		}
	}
	return args
}

func (c *Command) directory() string {
	if c.Dir == "" && c.INI != "" {
		return filepath.Dir(c.INI)
	}
	return c.Dir
}

// environment is what Domino wants of it before the process begins: a library looks for the others it needs in what was set by then [User Guide Building UNIX Applications].
func (c *Command) environment() []string {
	env := slices.Clone(c.Env)
	if c.Env == nil {
		env = os.Environ()
	}
	if c.Program == "" {
		return env
	}
	path := []string{c.Program}
	switch runtime.GOOS {
	case "windows":
	case "darwin":
		env = prepend(env, "DYLD_LIBRARY_PATH", c.Program)
	default:
		env = prepend(env, "LD_LIBRARY_PATH", c.Program)
		path = append(path, filepath.Join(c.Program, "res", "C"))
	}
	env = prepend(env, "PATH", path...)
	return append(env, "Notes_ExecDirectory="+c.Program)
}

// prepend puts folders before those that a variable names. Of a variable that is there twice the last one counts.
func prepend(env []string, name string, folders ...string) []string {
	for _, v := range slices.Backward(env) {
		key, value, _ := strings.Cut(v, "=")
		if key == name || runtime.GOOS == "windows" && strings.EqualFold(key, name) {
			if value != "" {
				folders = append(folders, value)
			}
			name = key
			break
		}
	}
	return append(env, name+"="+strings.Join(folders, string(filepath.ListSeparator)))
}
