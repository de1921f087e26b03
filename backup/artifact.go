package backup

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Role says what an artifact is for. Agents may define roles of their own; these are shared.
type Role string

const (
	RoleData    Role = "data"    // content of the application: a data file, a table chunk, a .bak
	RoleLog     Role = "log"     // transaction log
	RoleSchema  Role = "schema"  // definitions: DDL, accounts
	RoleConfig  Role = "config"  // init file, NOTES.INI, parameter file
	RoleControl Role = "control" // what the agent itself needs to restore: an index, a control file
	RoleSystem  Role = "system"  // system state
	RoleOther   Role = "other"   // anything else
)

// Artifact names one file or stream of a backup.
type Artifact struct {
	// Name is unique in its run: slash-separated, UTF-8, without empty, "." or ".." elements. It may hold any other character.
	Name string `json:"name"`
	// Item is the item the artifact belongs to. When the item fails, its artifacts are discarded.
	Item string `json:"item"`
	Role Role   `json:"role,omitempty"`
	// Meta is the agent's own note: row counts, header facts. It is sealed with the entries.
	Meta map[string]string `json:"meta,omitempty"`
}

// maxName bounds an artifact's name. 1024 bytes is the longest key S3 takes ("Object key naming guidelines"), which
// must also hold job, run and part.
const maxName = 700

func (a Artifact) validate() error {
	switch {
	case a.Name == "":
		return fmt.Errorf("artifact without a name")
	case len(a.Name) > maxName:
		return fmt.Errorf("artifact name of %d bytes: at most %d", len(a.Name), maxName)
	case !utf8.ValidString(a.Name):
		return fmt.Errorf("artifact name %q is not UTF-8", a.Name)
	case a.Item == "":
		return fmt.Errorf("artifact %q belongs to no item", a.Name)
	}
	for e := range strings.SplitSeq(a.Name, "/") {
		if e == "" || e == "." || e == ".." {
			return fmt.Errorf("artifact name %q has an element %q", a.Name, e)
		}
	}
	return nil
}
