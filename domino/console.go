package domino

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

const (
	commandPlace = "{command}"
	// listPrefix begins the name of a list that Domino is asked for. It is a plain name, in the data directory.
	listPrefix = "quiesce-listnlo-"
	// A list is taken for whole when nobody has it open and it has not changed for so long. How Domino says that it is through no document tells a program.
	listQuiet = time.Second
	listLook  = 100 * time.Millisecond
	// maxList bounds a list; a line of it has about a hundred bytes.
	maxList = 256 << 20
)

// errNoList: Domino took the command, and its list was not written.
var errNoList = errors.New("no list came")

// runCommand runs a program to its end, with what it said in the error. A server that it leaves behind may keep its output.
func runCommand(ctx context.Context, dir string, args []string) error {
	c := exec.CommandContext(ctx, args[0], args[1:]...)
	c.Dir = dir
	c.WaitDelay = time.Second
	out, err := c.CombinedOutput()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil
	}
	if err != nil {
		if said := strings.TrimSpace(string(out)); said != "" {
			err = fmt.Errorf("%w: %s", err, said[:min(len(said), 2000)])
		}
		if ctx.Err() != nil {
			err = errors.Join(context.Cause(ctx), err)
		}
	}
	return err
}

// console is the console of a server that runs.
type console struct {
	args    []string
	data    string
	timeout time.Duration
}

func (s *capiSource) console(data string) *console {
	return &console{args: s.opt.Console, data: data, timeout: s.opt.ConsoleTimeout}
}

// filled is a configured command with a place in it filled in.
func filled(args []string, place, with string) []string {
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = strings.ReplaceAll(a, place, with)
	}
	return out
}

// send has the server do a command. What the server answers goes to its console.
func (c *console) send(ctx context.Context, command string) error {
	ctx, stop := context.WithTimeoutCause(ctx, c.timeout, fmt.Errorf("it took longer than %s", c.timeout))
	defer stop()
	if err := runCommand(ctx, c.data, filled(c.args, commandPlace, command)); err != nil {
		return fmt.Errorf("console command %q: %w", command, err)
	}
	return nil
}

// missing asks for the objects to which a database refers and that are not in the attachment store [ADM DAOS Manager Tell commands]. The order of the words matters to Domino.
func (c *console) missing(ctx context.Context, db string) ([]string, error) {
	if strings.ContainsFunc(db, func(r rune) bool { return r < ' ' || r == '"' }) {
		return nil, fmt.Errorf("its name %q cannot be said on the console", db)
	}
	var salt [6]byte
	rand.Read(salt[:]) // never fails
	list := fmt.Sprintf("%s%x.txt", listPrefix, salt)
	at := filepath.Join(c.data, list)
	defer func() { _ = os.Remove(at) }()
	db = filepath.FromSlash(db)
	if strings.Contains(db, " ") {
		db = `"` + db + `"`
	}
	command := fmt.Sprintf("tell daosmgr listnlo -o %s MISSING %s", list, db)
	if err := c.send(ctx, command); err != nil {
		return nil, err
	}
	if err := c.written(ctx, at); err != nil {
		return nil, fmt.Errorf("console command %q: %w", command, err)
	}
	names, err := readList(at)
	if err != nil {
		return nil, fmt.Errorf("list of console command %q: %w", command, err)
	}
	return names, nil
}

// written waits until a list is whole.
func (c *console) written(ctx context.Context, at string) error {
	var last os.FileInfo
	var quiet time.Duration
	t := time.NewTicker(listLook)
	defer t.Stop()
	for waited := time.Duration(0); waited < c.timeout; waited += listLook {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-t.C:
		}
		info, err := os.Stat(at)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return err
		case last == nil || info.Size() != last.Size() || !info.ModTime().Equal(last.ModTime()):
			last, quiet = info, 0
			continue
		}
		if quiet += listLook; quiet < listQuiet {
			continue
		}
		held, _, err := holders(ctx, at, []string{at})
		if err != nil || len(held) == 0 {
			return err
		}
	}
	if last != nil {
		return fmt.Errorf("%w to its end within %s", errNoList, c.timeout)
	}
	return fmt.Errorf("%w within %s", errNoList, c.timeout)
}

// objectName finds an object in a line of a list: a full path in what Domino 9 to 12 write, of which the last directory and the name count.
var objectName = regexp.MustCompile(`(?i)(?:([^\\/\s"']+)[\\/])?([^\\/\s"':]+\.nlo)\b`)

// readList reads the objects in a list, as DIRECTORY/NAME or NAME. A list with text and no object in it is one that was not understood.
func readList(at string) (names []string, err error) {
	f, err := os.Open(at)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := &io.LimitedReader{R: f, N: maxList}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	other := ""
	seen := map[string]bool{}
	for lines.Scan() {
		line := bytes.TrimSpace(lines.Bytes())
		found := objectName.FindAllSubmatch(line, -1)
		if len(found) == 0 && len(line) > 0 && other == "" {
			other = string(line[:min(len(line), 200)])
		}
		for _, m := range found {
			if name := path.Join(string(m[1]), string(m[2])); !seen[name] {
				seen[name] = true
				names = append(names, name)
			}
		}
	}
	switch {
	case lines.Err() != nil:
		return nil, lines.Err()
	case r.N == 0:
		return nil, fmt.Errorf("it is longer than %d MiB", maxList>>20)
	case len(names) == 0 && other != "":
		return nil, fmt.Errorf("it names no object, and says %q", other)
	}
	return names, nil
}
