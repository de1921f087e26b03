package exchange

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"

	"github.com/quiesce-go/quiesce/backup"
)

// Engine recovers databases outside the store: eseutil, esentutl, or what stands for them.
type Engine interface {
	// Recover brings the databases of a series of logs into clean shutdown (soft recovery). What cannot be recovered is an error with the tool's own words.
	Recover(ctx context.Context, r Recovery) error
}

// Recovery is one soft recovery.
type Recovery struct {
	// Base is the base name of the logs, LogDir where they are, SystemDir where the checkpoint is or will be.
	Base, LogDir, SystemDir string
	// DatabaseDir, when set, is where the databases are, if not where the logs say.
	DatabaseDir string
	// AllowLoss lets committed logs be missing (/a), IgnoreMissing databases that the logs name (/i).
	AllowLoss, IgnoreMissing bool
}

// EseutilOptions adjusts NewEseutil. The zero value is a good start.
type EseutilOptions struct {
	// Program is the path of eseutil.exe or esentutl.exe. Default: the eseutil of the Exchange of this machine, or else the esentutl of Windows, whose engine is of the version of Windows and need not know the logs of this Exchange.
	Program string
}

// NewEseutil recovers by eseutil /r. The error of a recovery that failed has a JETError in its tree when the tool names one.
func NewEseutil(o *EseutilOptions) Engine {
	if o == nil {
		o = &EseutilOptions{}
	}
	return &eseutil{*o}
}

type eseutil struct{ opt EseutilOptions }

// Recover implements Engine. The options are those of "Esentutl /recovery" at Microsoft Learn, and exit code 0 alone is good.
func (e *eseutil) Recover(ctx context.Context, r Recovery) error {
	path, args, err := e.command(r)
	if err != nil {
		return e.failed(r, err)
	}
	end, err := program{path: path, args: args}.run(ctx)
	if err == nil && end.code != 0 {
		err = fmt.Errorf("%s ended with code %d: %s", filepath.Base(path), end.code, end.said())
		if jet := saidJET(end); jet != 0 {
			err = fmt.Errorf("%w: %w", jet, err)
		}
	}
	return e.failed(r, err)
}

func (e *eseutil) command(r Recovery) (string, []string, error) {
	if !logBase.MatchString(r.Base) || r.LogDir == "" || r.SystemDir == "" {
		return "", nil, fmt.Errorf("%w: recovery of %q with logs in %q and checkpoint in %q: want the three characters that the logs begin with, and both folders", backup.ErrOption, r.Base, r.LogDir, r.SystemDir)
	}
	path, err := e.locate()
	if err != nil {
		return "", nil, err
	}
	args := []string{"/r", r.Base, "/l" + r.LogDir, "/s" + r.SystemDir}
	if r.DatabaseDir != "" {
		args = append(args, "/d"+r.DatabaseDir)
	}
	if r.AllowLoss {
		args = append(args, "/a")
	}
	if r.IgnoreMissing {
		args = append(args, "/i")
	}
	return path, args, nil
}

var logBase = regexp.MustCompile(`^[A-Za-z0-9]{3}$`)

// locate finds the program: the one that was named, that of Exchange, that of Windows.
func (e *eseutil) locate() (string, error) {
	if e.opt.Program != "" {
		return exec.LookPath(e.opt.Program)
	}
	if runtime.GOOS != "windows" {
		return "", &backup.Error{Op: "recover", App: application, Err: fmt.Errorf("eseutil is a program of Windows: %w", errors.ErrUnsupported),
			Advice: "copy databases and logs to a Windows machine, best one with this version of Exchange, and recover them there"}
	}
	var errs []error
	for _, dir := range exchangeFolders() {
		path := filepath.Join(dir, "Bin", "eseutil.exe")
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	for _, name := range []string{"eseutil.exe", systemProgram("esentutl.exe")} {
		path, err := exec.LookPath(name)
		if err == nil {
			return path, nil
		}
		errs = append(errs, err)
	}
	return "", &backup.Error{Op: "recover", App: application, Err: errors.Join(errs...), Advice: "install the management tools of Exchange, or name eseutil.exe or esentutl.exe in the options"}
}

func (e *eseutil) failed(r Recovery, err error) error {
	if err == nil {
		return nil
	}
	return &backup.Error{Op: "recover", App: application, Artifact: r.LogDir, Advice: backup.Hint(err), Err: err}
}

// JETError is a failure of the engine, negative, as its header jethdr.w has it.
type JETError int

// Error reads "JET error -528 (a log is missing)".
func (e JETError) Error() string {
	if m, ok := jetMeaning(e); ok {
		return fmt.Sprintf("JET error %d (%s)", int(e), m.what)
	}
	return fmt.Sprintf("JET error %d", int(e))
}

// Hint says what an operator can do.
func (e JETError) Hint() string {
	m, _ := jetMeaning(e)
	return m.hint
}

type meaning struct{ what, hint string }

const (
	hintLogs    = "the logs from the checkpoint to the newest must all be there, of one series: look at them with eseutil /ml, and restore what is missing or damaged"
	hintVersion = "recover with the eseutil of the version of Exchange that wrote the logs"
	hintLoss    = "restore the newest logs, or allow that what they held is lost"
	hintDamage  = "the database is damaged: restore another backup of it"
)

// jetMeaning is what is known of an error; the numbers are those of jethdr.w in the source of the engine that Microsoft has published.
func jetMeaning(e JETError) (m meaning, ok bool) {
	switch e {
	case -501:
		m = meaning{"a log is corrupt", hintLogs}
	case -513:
		m = meaning{"a log has another generation than its name", hintLogs}
	case -514:
		m = meaning{"the logs are of another version", hintVersion}
	case -515:
		m = meaning{"the logs do not follow one another", hintLogs}
	case -528:
		m = meaning{"a log is missing", hintLogs}
	case -530:
		m = meaning{"a log is of another series", hintLogs}
	case -531:
		m = meaning{"the database is not the one of the logs", hintLogs}
	case -532:
		m = meaning{"the checkpoint is of another series", "move the checkpoint file away: recovery then begins with the first log"}
	case -533:
		m = meaning{"the checkpoint is damaged", "move the checkpoint file away: recovery then begins with the first log"}
	case -541:
		m = meaning{"a log has another size", hintLogs}
	case -543:
		m = meaning{"logs that the database requires are missing", hintLogs}
	case -550:
		m = meaning{"the database was not shut down cleanly", "recover it with its logs first"}
	case -582:
		m = meaning{"committed logs are missing", hintLoss}
	case -590:
		m = meaning{"the logs do not follow one another by their checksums", hintLogs}
	case -1018:
		m = meaning{"a page has a wrong checksum", hintDamage}
	case -1206:
		m = meaning{"the database is corrupt", hintDamage}
	case -1213:
		m = meaning{"the database has another page size", hintVersion}
	case -1812:
		m = meaning{"a file is of another type", "look at what lies in the folders of the logs and of the checkpoint"}
	}
	return m, m.what != ""
}

var jetNumber = regexp.MustCompile(`(?i)\berror (-\d{3,5})\b`)

// saidJET is the last error that a tool printed, or the one that its exit code is.
func saidJET(e ended) JETError {
	all := jetNumber.FindAllStringSubmatch(e.output, -1)
	if len(all) > 0 {
		n, _ := strconv.Atoi(all[len(all)-1][1])
		return JETError(n)
	}
	if _, known := jetMeaning(JETError(int32(uint32(e.code)))); known { //nolint:gosec // an exit code of Windows is 32 bits, of which the highest may be a sign
		return JETError(int32(uint32(e.code))) //nolint:gosec // as said
	}
	return 0
}
