package mysql

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

const (
	indexName   = "index.json"
	indexFormat = 1
)

// index is the content of index.json, the artifact written last. A backup without it, or with one that does not agree with the artifacts
// beside it, is cut short. FORMAT.md describes it.
type index struct {
	Format     int           `json:"format"`
	Server     Checkpoint    `json:"server"`
	Schemas    []schemaEntry `json:"schemas"`
	Accounts   *accountsFile `json:"accounts,omitempty"`
	Rows       int64         `json:"rows"`
	Bytes      int64         `json:"bytes"` // of all chunks
	Warnings   []string      `json:"warnings,omitempty"`
	Statements int           `json:"statements"` // CREATE statements in all artifacts
	// Artifacts lists every other artifact of the backup by name.
	Artifacts map[string]sum `json:"artifacts"`
	Complete  bool           `json:"complete"`
}

// sum is what an artifact must be.
type sum struct {
	Bytes int64 `json:"bytes"`
	// CRC is the CRC-32C of the content in hex. The pipeline's digests are stronger, but are taken of what arrived there; this
	// one is taken of what was read from the server.
	CRC string `json:"crc32c"`
}

// Checkpoint is where and what the server was at the snapshot. It is also the item's checkpoint in the manifest.
type Checkpoint struct {
	Flavour Flavour `json:"flavour"`
	Version string  `json:"version"`
	// ServerID and ServerUUID are the server's own identity; MariaDB calls the latter server_uid.
	ServerID   string `json:"server_id,omitempty"`
	ServerUUID string `json:"server_uuid,omitempty"`
	// File and Pos are the position in the binary log, GTID the set of all transactions in the snapshot in the flavour's own notation. Empty
	// when there is no binary log or no right to read it.
	File string `json:"binlog_file,omitempty"`
	Pos  uint64 `json:"binlog_pos,omitempty"`
	GTID string `json:"gtid,omitempty"`
	// Head tells the file from another of its name, which a reset makes. Empty when the account may not follow the log.
	Head string `json:"binlog_head,omitempty"`
	// Include and Exclude are the options of the run: the log holds everything, and a restore brings back what they select.
	Include []string `json:"include,omitempty"`
	Exclude []string `json:"exclude,omitempty"`
	// What decides how the log from here on can be replayed.
	LogFormat   string `json:"binlog_format,omitempty"`
	RowImage    string `json:"binlog_row_image,omitempty"`
	LogChecksum string `json:"binlog_checksum,omitempty"`
	// LowerCase is lower_case_table_names: 0 tells names apart by case, 1 and 2 do not.
	LowerCase string `json:"lower_case_table_names,omitempty"`
	// Time is the server's UTC clock at the snapshot.
	Time time.Time `json:"time"`
	// Lock is how the snapshot was made: backup-stage, read-lock, compare or single.
	Lock LockMode `json:"lock"`
	// Reduced: the server is only part of a MySQL, such as the embedded go-mysql-server; it promises no consistency.
	Reduced bool `json:"reduced,omitempty"`
	// Source is where this server stood as a replica: file, position and GTIDs of its source.
	Source *ReplicaPosition `json:"source,omitempty"`
}

// ReplicaPosition is how far a replica had applied its source's log.
type ReplicaPosition struct {
	Host string `json:"host,omitempty"`
	File string `json:"file,omitempty"`
	Pos  string `json:"pos,omitempty"`
	GTID string `json:"gtid,omitempty"`
}

// span is a range of bytes in an artifact: the statement itself, without what is around it for human readers.
type span struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

type schemaEntry struct {
	Name      string `json:"name"`
	Charset   string `json:"charset"`
	Collation string `json:"collation"`
	Artifact  string `json:"artifact"`
	Create    span   `json:"create"`

	Tables  []*tableEntry  `json:"tables,omitempty"`
	Objects []*objectEntry `json:"objects,omitempty"`
}

type tableEntry struct {
	Name     string        `json:"name"`
	Artifact string        `json:"artifact"`
	Create   span          `json:"create"`
	Engine   string        `json:"engine,omitempty"`
	Columns  []columnEntry `json:"columns"`
	Chunks   []chunkEntry  `json:"chunks,omitempty"`
	Rows     int64         `json:"rows"`
	Bytes    int64         `json:"bytes"`
	// Unlocked: a table without transactions that was read after the snapshot's lock.
	Unlocked bool `json:"unlocked,omitempty"`
	// Versioned: system versioning is on; the chunks hold the current rows only.
	Versioned bool `json:"versioned,omitempty"`
}

// columnEntry is a column in the chunks, in their order. Generated columns are not in them.
type columnEntry struct {
	Name string     `json:"name"`
	Type columnType `json:"type,omitempty"`
	cast string     // what the column is read as; it matters to a dump only
}

// columnType is how a column's text in a chunk is to be understood; empty is text or a number.
type columnType string

const (
	plainColumn  columnType = ""
	binaryColumn columnType = "binary" // raw bytes: BINARY, BLOB, geometry, vector, UUID, INET4, INET6
	bitColumn    columnType = "bit"    // raw bytes, highest first
	jsonColumn   columnType = "json"   // text of MySQL's own JSON type
	floatColumn  columnType = "float"  // read as a double, because its own text has six digits only
	yearColumn   columnType = "year"
)

type chunkEntry struct {
	Artifact string `json:"artifact"`
	Rows     int64  `json:"rows"`
	Bytes    int64  `json:"bytes"`
}

type objectKind string

const (
	viewObject        objectKind = "view"
	triggerObject     objectKind = "trigger"
	procedureObject   objectKind = "procedure"
	functionObject    objectKind = "function"
	packageObject     objectKind = "package"
	packageBodyObject objectKind = "package body"
	eventObject       objectKind = "event"
	sequenceObject    objectKind = "sequence"
)

type objectEntry struct {
	Kind     objectKind `json:"kind"`
	Name     string     `json:"name"`
	Table    string     `json:"table,omitempty"` // of a trigger
	Artifact string     `json:"artifact"`
	Create   span       `json:"create"`
	Session  settings   `json:"session,omitzero"`
	// Value and Round are a sequence's next value and cycle count.
	Value string `json:"value,omitempty"`
	Round string `json:"round,omitempty"`
	// Invalid: the view did not work on the server either.
	Invalid bool `json:"invalid,omitempty"`
}

// settings is the session an object's text must be read in: the text is stored in the charset of the client that wrote it, and sql_mode
// changes what it means.
type settings struct {
	SQLMode           string `json:"sql_mode"`
	Charset           string `json:"character_set_client,omitempty"`
	Collation         string `json:"collation_connection,omitempty"`
	DatabaseCollation string `json:"collation_database,omitempty"`
	TimeZone          string `json:"time_zone,omitempty"`
}

type accountsFile struct {
	Artifact string         `json:"artifact"`
	Accounts []accountEntry `json:"accounts"`
}

type accountEntry struct {
	User   string `json:"user"`
	Host   string `json:"host"`
	Role   bool   `json:"role,omitempty"`
	Create span   `json:"create"`
	Grants []span `json:"grants,omitempty"`
	// Default is the statement that makes granted roles the default ones.
	Default *span `json:"default,omitempty"`
}

// names lists every artifact that the entries refer to.
func (x *index) names() []string {
	var all []string
	for _, s := range x.Schemas {
		all = append(all, s.Artifact)
		for _, t := range s.Tables {
			all = append(all, t.Artifact)
			for _, c := range t.Chunks {
				all = append(all, c.Artifact)
			}
		}
		for _, o := range s.Objects {
			all = append(all, o.Artifact)
		}
	}
	if x.Accounts != nil {
		all = append(all, x.Accounts.Artifact)
	}
	return all
}

// statements counts what Statements holds.
func (x *index) statements() int {
	n := len(x.Schemas)
	for _, s := range x.Schemas {
		n += len(s.Tables) + len(s.Objects)
	}
	return n
}

func (x *index) schema(name string) *schemaEntry {
	for i := range x.Schemas {
		if x.Schemas[i].Name == name {
			return &x.Schemas[i]
		}
	}
	return nil
}

func (x *index) encode(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	e.SetEscapeHTML(false)
	return e.Encode(x)
}

func decodeIndex(r io.Reader) (*index, error) {
	x := &index{}
	d := json.NewDecoder(r)
	if err := d.Decode(x); err != nil {
		return nil, fmt.Errorf("%s: %w: %w", indexName, backup.ErrCorrupt, err)
	}
	switch {
	case x.Format < 1 || x.Format > indexFormat:
		return nil, fmt.Errorf("%s: format %d, this version reads up to %d", indexName, x.Format, indexFormat)
	case !x.Complete:
		return nil, fmt.Errorf("%s: not marked complete: %w", indexName, backup.ErrCorrupt)
	case x.Statements != x.statements():
		return nil, fmt.Errorf("%s: lists %d statements, its own count is %d: %w", indexName, x.statements(), x.Statements, backup.ErrCorrupt)
	}
	for _, name := range x.names() {
		if _, ok := x.Artifacts[name]; !ok {
			return nil, fmt.Errorf("%s: %s is referred to and not listed: %w", indexName, name, backup.ErrCorrupt)
		}
	}
	return x, nil
}
