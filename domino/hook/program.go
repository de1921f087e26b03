package hook

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// DirVariable is the environment variable, and DirFile the file beside the program, that say at which directory the agent waits.
const (
	DirVariable = "QUIESCE_HOOK_DIR"
	DirFile     = "quiesce-hook.dir"
)

// Program is quiesce-hook: it hands one call to the agent, and writes the answer to stdout. The directory at which the agent waits comes from a first argument -dir=PATH, else from the environment variable DirVariable,
// else from the file DirFile in the folder of executable. The result is the exit code: 0 when the file was processed, 1 else.
func Program(ctx context.Context, executable string, args []string, getenv func(string) string, stdout io.Writer) int {
	a, err := ask(ctx, executable, args, getenv)
	if err != nil {
		a = Answer{Error: err.Error()}
	}
	if _, err := io.WriteString(stdout, a.Text()); err != nil || a.Error != "" {
		return 1
	}
	return 0
}

func ask(ctx context.Context, executable string, args []string, getenv func(string) string) (Answer, error) {
	dir := ""
	if len(args) > 0 {
		if value, ok := strings.CutPrefix(strings.TrimPrefix(args[0], "-"), "-dir="); ok {
			dir, args = value, args[1:]
		} else if value, ok := strings.CutPrefix(args[0], "-dir="); ok {
			dir, args = value, args[1:]
		}
	}
	c, err := Parse(args)
	if err != nil {
		return Answer{}, err
	}
	if dir == "" {
		dir = getenv(DirVariable)
	}
	if dir == "" {
		text, err := os.ReadFile(filepath.Join(filepath.Dir(executable), DirFile))
		if err != nil {
			return Answer{}, errors.New("it is not known where the agent waits: give -dir=PATH, set " + DirVariable + ", or write the path into " + DirFile + " beside the program")
		}
		dir = strings.TrimSpace(string(text))
	}
	return Ask(ctx, dir, c)
}
