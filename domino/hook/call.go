package hook

import (
	"errors"
	"fmt"
	"strings"
)

// Op is what is called for.
type Op string

const (
	// Backup: a file is to be taken.
	Backup Op = "backup"
	// Restore: a file is to be brought.
	Restore Op = "restore"
	// Done: Domino is through with its backup, or with a restore.
	Done Op = "done"
)

// Call is one call of Domino, by its positional parameters [ADM Native OS commands].
type Call struct {
	Op Op `json:"op"`
	// File is the physical file, Name its name as Domino knows it, with the separators of the system.
	File string `json:"file,omitempty"`
	Name string `json:"name,omitempty"`
	// Reference is the DBIID of a database or the LogID of a log extent, as text in a form that is not documented: it is compared and never read.
	Reference string `json:"reference,omitempty"`
	// Node is the server, BackupName the name of the configuration.
	Node       string `json:"node,omitempty"`
	BackupName string `json:"backup_name,omitempty"`
	// Mode is one of FULL, SNAP, TRANSLOG, INCR, DELTA, SELECT.
	Mode string `json:"mode,omitempty"`
	// Start is the same for all files of one backup.
	Start     string `json:"start,omitempty"`
	TargetDir string `json:"target_dir,omitempty"`
	// Retention is how many days a backup is to be kept.
	Retention string `json:"retention,omitempty"`
	// To is the file to restore to, Ref the reference that was printed when it was backed up.
	To  string `json:"to,omitempty"`
	Ref string `json:"ref,omitempty"`
}

// ErrCall is a call that Domino does not make like that.
var ErrCall = errors.New("not a call of Domino's backup")

// parameters are how many there are on a restore.
const parameters = 10

// Parse reads the arguments of the command.
func Parse(args []string) (Call, error) {
	var c Call
	if len(args) > 0 {
		if op := Op(strings.ToLower(args[0])); op == Backup || op == Restore || op == Done {
			c.Op, args = op, args[1:]
		}
	}
	if len(args) > parameters {
		return c, fmt.Errorf("%w: it has %d parameters, and %d are documented", ErrCall, len(args), parameters)
	}
	for _, a := range args {
		if strings.ContainsAny(a, "\x00\r\n") {
			return c, fmt.Errorf("%w: parameter %q has a line break", ErrCall, a)
		}
	}
	var p [parameters]string
	copy(p[:], args)
	c.File, c.Name, c.Reference, c.Node, c.BackupName, c.Mode, c.Start, c.TargetDir = p[0], p[1], p[2], p[3], p[4], strings.ToUpper(p[5]), p[6], p[7]
	if c.Op == "" {
		c.Op = Backup
		if p[9] != "" {
			c.Op = Restore
		}
	}
	switch c.Op {
	case Backup:
		c.Retention = p[8]
	case Restore:
		c.To, c.Ref = p[8], p[9]
	}
	return c, c.whole()
}

// whole refuses a call that lacks what an agent needs.
func (c Call) whole() error {
	switch {
	case c.Op == Backup && (c.File == "" || c.Name == ""):
		return fmt.Errorf("%w: a backup needs the physical file and its name, parameters 1 and 2", ErrCall)
	case c.Op == Restore && (c.Name == "" || c.To == ""):
		return fmt.Errorf("%w: a restore needs the name and the file to restore to, parameters 2 and 9", ErrCall)
	case c.Op != Backup && c.Op != Restore && c.Op != Done:
		return fmt.Errorf("%w: %q is neither backup, restore nor done", ErrCall, c.Op)
	}
	return nil
}
