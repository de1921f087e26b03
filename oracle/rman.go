package oracle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// rman runs commands of RMAN, each with its semicolon, and returns what it printed. The login is on standard input, so that it is in no list of processes and in no file. RMAN, told so, goes on behind a command that failed; what must not run then
// belongs into one RUN block with it.
func (s *Source) rman(ctx context.Context, moved func(), commands string) (string, error) {
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	cmd := exec.CommandContext(ctx, s.opt.RMAN)
	cmd.Stdin = strings.NewReader(s.target() + commands + "EXIT;\n")
	// What it prints is read: in English, whatever the account prefers.
	cmd.Env = s.environment("NLS_LANG=AMERICAN_AMERICA.AL32UTF8", "NLS_DATE_FORMAT=YYYY-MM-DD HH24:MI:SS")
	cmd.WaitDelay = grace
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	over := make(chan struct{})
	defer close(over)
	go func() {
		alive := time.NewTicker(stillAt)
		defer alive.Stop()
		for {
			select {
			case <-alive.C:
				moved()
			case <-over:
				return
			}
		}
	}()
	err := cmd.Run()
	text := s.unsecret(out.String())
	var exit *exec.ExitError
	switch {
	case err != nil && ctx.Err() != nil:
		return text, context.Cause(ctx)
	case err != nil && !errors.As(err, &exit):
		return text, &backup.Error{Op: "run", App: application, Instance: s.instance, Artifact: s.opt.RMAN, Err: err,
			Advice: "set Options.RMAN to the path of rman, with ORACLE_HOME and ORACLE_SID in the environment: mode rman runs on the machine of the database"}
	}
	if said := rmanStack(text); said != nil {
		return text, said
	}
	if err != nil {
		return text, fmt.Errorf("%s: %w: %s", s.opt.RMAN, err, lastLines(text))
	}
	return text, nil
}

// target is the command that logs in.
func (s *Source) target() string {
	if s.opt.RMANConnect == "/" {
		return "CONNECT TARGET /;\n"
	}
	return fmt.Sprintf("CONNECT TARGET \"%s\";\n", s.opt.RMANConnect)
}

// unsecret takes the login out of a text.
func (s *Source) unsecret(text string) string {
	if s.opt.RMANConnect == "/" {
		return text
	}
	text = strings.ReplaceAll(text, s.opt.RMANConnect, "***")
	if _, rest, ok := strings.Cut(s.opt.RMANConnect, "/"); ok {
		password := rest
		if at := strings.LastIndex(rest, "@"); at >= 0 {
			password = rest[:at]
		}
		if password != "" {
			text = strings.ReplaceAll(text, password, "***")
		}
	}
	return text
}

// lastLines are the end of what a program printed.
func lastLines(text string) string {
	const most = 2000
	text = strings.TrimSpace(text)
	if len(text) > most {
		text = "..." + text[len(text)-most:]
	}
	return text
}

var (
	rmanDBID    = regexp.MustCompile(`connected to target database: \S+ \(DBID=(\d+)`)
	rmanRelease = regexp.MustCompile(`Recovery Manager: Release (\S+)`)
)

// greeting is what RMAN says before any command.
type greeting struct {
	release string
	dbid    uint64
}

// greet has RMAN log in and do nothing else.
func (s *Source) greet(ctx context.Context, moved func()) (greeting, error) {
	var g greeting
	text, err := s.rman(ctx, moved, "")
	if err != nil {
		return g, s.fail(ctx, "log in with RMAN to", "", err)
	}
	if m := rmanRelease.FindStringSubmatch(text); m != nil {
		g.release = m[1]
	}
	m := rmanDBID.FindStringSubmatch(text)
	if m == nil {
		return g, s.fail(ctx, "log in with RMAN to", "", fmt.Errorf("%s does not tell the DBID of an open or mounted database: %s", s.opt.RMAN, lastLines(text)))
	}
	g.dbid, err = strconv.ParseUint(m[1], 10, 64)
	return g, err
}

// same makes sure that RMAN is connected to the database of the connection, before it backs up another one.
func (s *Source) same(ctx context.Context, moved func(), inv *Inventory) (greeting, error) {
	g, err := s.greet(ctx, moved)
	if err == nil && g.dbid != inv.DBID {
		err = refuse("set ORACLE_SID, or Options.RMANConnect, to the database of the DSN", "RMAN is connected to the database with DBID %d, and the DSN names that with %d", g.dbid, inv.DBID)
	}
	return g, err
}
