package exchange

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
)

// metaKind is what a file of a group is, in Artifact.Meta: one of the words below. metaSize and metaSum are its bytes as they came from the server, and their CRC-32C.
const (
	metaKind = "kind"
	metaSize = "size"
	metaSum  = "crc32c"

	fileDatabase   = "edb"
	fileStream     = "stm"
	fileLog        = "log"
	filePatch      = "pat"
	fileCheckpoint = "chk"
	fileNote       = "note"
	fileState      = "state"
)

// metaServer is the server, in Manifest.Meta.
const metaServer = "server"

// groupNote is the artifact <group>/group.json of every item: what the group was when it was taken.
type groupNote struct {
	Format int    `json:"format"`
	Way    Way    `json:"way"`
	Server string `json:"server,omitempty"`
	Major  int    `json:"major,omitempty"`
	Group  Group  `json:"group"`
	// Untaken are databases of the group that were not mounted, or left out.
	Untaken []string `json:"untaken,omitempty"`
}

const (
	noteFormat = 1
	noteName   = "group.json"
)

// groupNoteName is the name of that artifact.
func groupNoteName(item string) string { return element(item) + "/" + noteName }

func parseGroupNote(text []byte) (groupNote, error) {
	var n groupNote
	if err := json.Unmarshal(text, &n); err != nil {
		return n, damaged("%v", err)
	}
	if n.Format != noteFormat {
		return n, fmt.Errorf("format %d of %s is not known to this version", n.Format, noteName)
	}
	return n, nil
}

// artifactNames gives the files of a group names, each once, whatever their folders.
type artifactNames struct {
	group string
	used  map[string]bool
}

func namesFor(group string) *artifactNames {
	return &artifactNames{group: element(group), used: map[string]bool{noteName: true}}
}

// take is <group>/<base>, or <group>/<owner>/<base> where another file of the group has that name.
func (n *artifactNames) take(owner, path string) string {
	base := element(baseName(path))
	if n.used[strings.ToLower(base)] {
		base = element(owner) + "/" + base
	}
	for i := 2; n.used[strings.ToLower(base)]; i++ {
		base = fmt.Sprintf("%s (%d)/%s", element(owner), i, element(baseName(path)))
	}
	n.used[strings.ToLower(base)] = true
	return n.group + "/" + base
}

// element makes a name one element of the name of an artifact.
func element(name string) string {
	name = strings.ReplaceAll(name, "/", "_")
	if name == "" || name == "." || name == ".." {
		return "_" + name
	}
	return name
}

// roleOf is the role of a file of a group.
func roleOf(file string) backup.Role {
	switch file {
	case fileDatabase, fileStream:
		return backup.RoleData
	case fileLog, filePatch:
		return backup.RoleLog
	case fileState:
		return backup.RoleSystem
	}
	return backup.RoleControl
}
