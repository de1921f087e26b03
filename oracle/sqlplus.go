package oracle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sijms/go-ora/v2/network"

	"github.com/quiesce-go/quiesce/backup"
)

const (
	stillAt = 20 * time.Second // between two signs of life while SQL*Plus works
	succeed = "Database altered."
)

// sqlplus runs a script as SYSDBA on this machine and returns what it printed. What the server answered is an error like that of the driver.
func (s *Source) sqlplus(ctx context.Context, set *backup.RestoreSet, script string) (string, error) {
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	cmd := exec.CommandContext(ctx, s.opt.SQLPlus, "-s", "-L", "/ as sysdba")
	cmd.Stdin = strings.NewReader(script + "EXIT\n")
	cmd.Env = s.environment("NLS_LANG=AMERICAN_AMERICA.UTF8") // its messages are read
	cmd.WaitDelay = grace
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	alive := time.NewTicker(stillAt)
	defer alive.Stop()
	over := make(chan struct{})
	defer close(over)
	go func() {
		for {
			select {
			case <-alive.C:
				set.Moved()
			case <-over:
				return
			}
		}
	}()
	err := cmd.Run()
	text := out.String()
	switch {
	case err == nil:
		return text, nil
	case ctx.Err() != nil:
		return text, context.Cause(ctx)
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return text, &backup.Error{Op: "run", App: application, Instance: s.instance, Artifact: s.opt.SQLPlus, Err: err,
			Advice: "set Options.SQLPlus to the path of sqlplus, with ORACLE_HOME and ORACLE_SID in the environment, or restore with execute=none and run the script"}
	}
	if oerr := spoken(text); oerr != nil {
		return text, oerr
	}
	return text, fmt.Errorf("%s: %w: %s", s.opt.SQLPlus, err, strings.TrimSpace(text))
}

// spoken is the error in what SQL*Plus printed, as the driver has it; nil when there is none.
func spoken(text string) error {
	m := number.FindStringSubmatchIndex(text)
	if m == nil {
		return nil
	}
	n, err := strconv.Atoi(text[m[2]:m[3]])
	if err != nil {
		return nil //nolint:nilerr // five digits are a number
	}
	return &network.OracleError{ErrCode: n, ErrMsg: strings.TrimSpace(text[m[0]:])}
}

// instance is what is known of one that a restore meets.
type instance struct {
	status   string // "" when it is down
	dbid     uint64 // 0 when it is not mounted
	controls []string
}

// look asks SQL*Plus for the state of the instance of ORACLE_SID.
func (s *Source) look(ctx context.Context, set *backup.RestoreSet) (instance, error) {
	var in instance
	text, err := s.sqlplus(ctx, set, "SET HEADING OFF\nSET PAGESIZE 0\nSET FEEDBACK OFF\nSET LINESIZE 2000\nSET NUMWIDTH 20\nWHENEVER SQLERROR CONTINUE\n"+
		"SELECT STATUS FROM V$INSTANCE;\nSELECT DBID FROM V$DATABASE;\nSELECT NAME FROM V$CONTROLFILE;\n")
	if said(spoken(text), 1034) {
		return in, nil
	}
	if err != nil {
		return in, err
	}
	for _, line := range strings.Split(text, "\n") {
		word := strings.TrimSpace(line)
		n, err := strconv.ParseUint(word, 10, 64)
		switch {
		case err == nil:
			in.dbid = n
		case slices.Contains([]string{"STARTED", "MOUNTED", "OPEN", "OPEN MIGRATE"}, word):
			in.status = word
		case word != "":
			in.controls = append(in.controls, word)
		}
	}
	if in.status == "" {
		return in, fmt.Errorf("%s does not tell the state of the instance: %s", s.opt.SQLPlus, strings.TrimSpace(text))
	}
	return in, nil
}

// bySQLPlus starts the instance, recovers, and opens when told. The recovery has a process of its own, so that nothing is opened before it is known to have ended.
func (s *Source) bySQLPlus(ctx context.Context, c *course, set *backup.RestoreSet, overwrite bool) error {
	if err := s.mountBySQLPlus(ctx, c, set); err != nil {
		return err
	}
	if err := s.recoverBySQLPlus(ctx, c, set, preamble, overwrite); err != nil {
		return err
	}
	return s.openBySQLPlus(ctx, c, set)
}

func (s *Source) mountBySQLPlus(ctx context.Context, c *course, set *backup.RestoreSet) error {
	_, err := s.sqlplus(ctx, set, preamble+c.startup()+"\n"+terminated(c.mounted()...))
	return recoveryError(err)
}

// recoverBySQLPlus recovers, each time in a process that does before first.
func (s *Source) recoverBySQLPlus(ctx context.Context, c *course, set *backup.RestoreSet, before string, overwrite bool) error {
	logs := c.logs
	var last question
	for range rounds {
		text, err := s.sqlplus(ctx, set, before+c.recovery(logs))
		if err != nil {
			return recoveryError(err)
		}
		_, said, ok := strings.Cut(text, recoveryBegins)
		if !ok {
			return fmt.Errorf("%s did not come to the recovery: %s", s.opt.SQLPlus, strings.TrimSpace(text))
		}
		said, _, _ = strings.Cut(said, recoveryEnds)
		if strings.Contains(said, succeed) || c.partial != "" && strings.Contains(said, fmt.Sprintf("ORA-%05d", oraNoneNeeded)) {
			return nil
		}
		if logs, err = s.again(ctx, c, set, said, &last, overwrite); err != nil {
			return err
		}
	}
	return fmt.Errorf("the recovery was begun %d times and does not end", rounds)
}

// again says with which logs a recovery that did not end is begun once more.
func (s *Source) again(ctx context.Context, c *course, set *backup.RestoreSet, text string, last *question, overwrite bool) ([]restoredLog, error) {
	if at := strings.Index(text, fmt.Sprintf("ORA-%05d", oraUnnamedFile)); at >= 0 {
		file, err := c.unnamed(text[at:], overwrite)
		if err != nil {
			return nil, err
		}
		*last = question{}
		_, err = s.sqlplus(ctx, set, preamble+terminated(file.create()))
		return c.logs, recoveryError(err)
	}
	asked := questions(text)
	if len(asked) == 0 {
		return nil, recoveryError(cmpError(spoken(text), fmt.Errorf("the recovery did not end: %s", strings.TrimSpace(text))))
	}
	q := asked[len(asked)-1]
	l, err := c.log(q.thread, q.change)
	if err != nil {
		return nil, err
	}
	if q == *last {
		_, rest, _ := strings.Cut(text, fmt.Sprintf("ORA-%05d", oraLogNeeded))
		return nil, recoveryError(cmpError(spoken(rest), fmt.Errorf("the server does not take %s: %s", l.path, strings.TrimSpace(text))))
	}
	*last = q
	return c.order(asked)
}

// order is how logs are offered to a recovery that begins anew and asks again what it has asked: with several threads their order is the server's, and a log that was offered
// before its turn is wanted later.
func (c *course) order(asked []question) ([]restoredLog, error) {
	var out []restoredLog
	used := map[string]bool{}
	for _, q := range asked {
		given, err := c.log(q.thread, q.change)
		if err != nil {
			return nil, err
		}
		if !used[given.path] {
			used[given.path] = true
			out = append(out, given)
		}
	}
	for _, o := range c.logs {
		if o.NextSCN > asked[len(asked)-1].change && !used[o.path] {
			out = append(out, o)
		}
	}
	return out, nil
}

func cmpError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

func (s *Source) openBySQLPlus(ctx context.Context, c *course, set *backup.RestoreSet) error {
	if !c.opt.open {
		return nil
	}
	_, err := s.sqlplus(ctx, set, preamble+terminated(c.opened()...))
	return recoveryError(err)
}
