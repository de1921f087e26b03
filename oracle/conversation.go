package oracle

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"

	"github.com/quiesce-go/quiesce/backup"
)

// Numbers of recovery [ERR].
const (
	oraLogNeeded   = 279
	oraNoneNeeded  = 264
	oraUnnamedFile = 1244
)

// rounds bounds how often a recovery is begun anew, for files that came to be or for another order of logs.
const rounds = 1000

var (
	askedFor  = regexp.MustCompile(`change (\d+) generated .* needed for thread (\d+)`)
	namedFile = regexp.MustCompile(`data file (\d+): '([^']*)'`)
)

// question is what recovery asks for: the log of a thread that holds a change. Its sequence is not always told [BRU 30.2].
type question struct {
	thread int
	change SCN
}

// questions are those in what the server said.
func questions(text string) (out []question) {
	for _, m := range askedFor.FindAllStringSubmatch(text, -1) {
		change, err1 := strconv.ParseUint(m[1], 10, 64)
		thread, err2 := strconv.Atoi(m[2])
		if err1 == nil && err2 == nil {
			out = append(out, question{thread, SCN(change)})
		}
	}
	return out
}

// unnamed is the data file that redo tells of and the control file does not know, with where it is to be made.
func (c *course) unnamed(text string, overwrite bool) (renaming, error) {
	m := namedFile.FindStringSubmatch(text)
	if m == nil {
		return renaming{}, fmt.Errorf("the server added a data file and does not say which: %s", text)
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return renaming{}, err
	}
	r := renaming{n, m[2], c.moved(m[2], n)}
	if _, err := os.Stat(r.to); err == nil && !overwrite {
		return r, &backup.Error{Op: "recover", App: application, Artifact: r.to, Err: fmt.Errorf("data file %d came to be since the full: %w", n, backup.ErrExists),
			Advice: "move that file away or allow overwriting, and restore again"}
	}
	return r, nil
}

// converse recovers over one session, answering what the server asks for.
func (c *course) converse(ctx context.Context, conn *session, set *backup.RestoreSet, overwrite bool) error {
	statement := c.recover()
	var last question
	for begun := 0; begun < rounds; {
		err := conn.exec(ctx, statement)
		set.Moved()
		switch {
		case err == nil, c.partial != "" && said(err, oraNoneNeeded):
			return nil
		case said(err, oraUnnamedFile):
			file, uerr := c.unnamed(err.Error(), overwrite)
			if uerr != nil {
				return uerr
			}
			if err := conn.exec(ctx, file.create()); err != nil {
				return recoveryError(err)
			}
			begun++
			statement, last = c.recover(), question{}
			continue
		case !said(err, oraLogNeeded):
			return recoveryError(err)
		}
		asked := questions(err.Error())
		if len(asked) == 0 || asked[0] == last {
			return recoveryError(fmt.Errorf("the log was not taken: %w", err))
		}
		last = asked[0]
		l, err := c.log(last.thread, last.change)
		if err != nil {
			// The session is given back without a recovery under way.
			return errors.Join(err, conn.exec(context.WithoutCancel(ctx), "ALTER DATABASE RECOVER CANCEL"))
		}
		statement = answer(l)
	}
	return fmt.Errorf("the recovery was begun %d times and does not end", rounds)
}

// recoveryError says what an operator can do about an error of recovery.
func recoveryError(err error) error {
	if err == nil {
		return nil
	}
	text := ""
	for _, n := range codes(err) {
		switch n {
		case 1547, 1194, 1195, 1113:
			text = "the target is before the end of the backup that the data files are from: restore to a later moment, or from an earlier full"
		case 1152:
			text = "a data file is younger than the target: restore from an earlier full"
		case 308, 310, 326, 328, 330, 334, 342, 19505, 19625:
			text = "the log is not the one that the server wants, or it cannot read it: its account must be able to read the folder of the logs; see the alert log"
		case 1190:
			text = "files of different incarnations are mixed: restore all of them from one backup"
		case 1157, 1110, 27037, 27041:
			text = "the server's account must own the files that were put back: run the restore under it, or chown them"
		case 205, 214, 1103:
			text = "the instance's CONTROL_FILES must be where the control file was put: start it with the init.ora of the restore"
		case 1081:
			text = "an instance of this name runs already: SHUTDOWN it, or set ORACLE_SID to another name"
		case 1156, 1153:
			text = "a recovery is under way in another session: end that"
		case oraNoRights:
			text = "recovery needs SYSDBA or SYSBACKUP"
		}
		if text != "" {
			break
		}
	}
	if text == "" {
		text = advice(err)
	}
	return &backup.Error{Op: "recover", App: application, Advice: text, Err: tidy(err)}
}
