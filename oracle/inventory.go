package oracle

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// InventoryName is the artifact that holds the Inventory of a backup, in every full and log.
const InventoryName = "inventory.json"

// Inventory is a database as its server described it, and what a backup holds of it: all that a restore needs to know besides the files. It is the content of the artifact inventory.json.
type Inventory struct {
	// Format is 1.
	Format int `json:"format"`
	// DBID tells databases apart for ever; Name is the DB_NAME.
	DBID       uint64 `json:"dbid"`
	Name       string `json:"name"`
	UniqueName string `json:"unique_name"`
	// Version is that of the instance, such as 19.0.0.0.0, and Platform its PLATFORM_NAME.
	Version  string `json:"version"`
	Platform string `json:"platform"`
	// InstanceName and Host are of the instance that was asked; Thread is its redo thread.
	InstanceName string `json:"instance_name"`
	Host         string `json:"host"`
	Thread       int    `json:"thread"`
	Status       string `json:"status"`
	// CDB: the database is multitenant. ContainerID is where the session was: 1 is the root.
	CDB         bool        `json:"cdb"`
	ContainerID int         `json:"container_id,omitempty"`
	Containers  []Container `json:"containers,omitempty"`

	LogMode  string `json:"log_mode"`
	OpenMode string `json:"open_mode"`
	Role     string `json:"role"`
	// ControlFileType is CURRENT while nobody mounted a backup of it.
	ControlFileType string `json:"control_file_type"`
	// ResetlogsSCN and ResetlogsID name the incarnation.
	ResetlogsSCN  SCN    `json:"resetlogs_scn"`
	ResetlogsID   uint64 `json:"resetlogs_id"`
	CheckpointSCN SCN    `json:"checkpoint_scn"`
	CurrentSCN    SCN    `json:"current_scn"`
	// Taken is when this was read by the server's clock, in the server's own zone: RECOVER UNTIL TIME wants that zone.
	Taken time.Time `json:"taken"`

	Tablespaces []Tablespace `json:"tablespaces"`
	DataFiles   []DataFile   `json:"data_files"`
	TempFiles   []TempFile   `json:"temp_files"`
	// ControlFiles are the names of all copies of the control file.
	ControlFiles []string      `json:"control_files"`
	OnlineLogs   []OnlineLog   `json:"online_logs"`
	Threads      []Thread      `json:"threads"`
	Destinations []Destination `json:"destinations"`
	// Parameters are those that are not at their default.
	Parameters []Parameter `json:"parameters"`
	// PasswordFile is its name on the server, if it is known. Keystores are the encryption keystores, which no backup holds.
	PasswordFile string     `json:"password_file,omitempty"`
	Keystores    []Keystore `json:"keystores,omitempty"`

	Backup Contents `json:"backup"`

	// visible is what tells whether the session saw all containers. It is nothing to keep.
	visible visibility
}

// Contents is what one backup holds.
type Contents struct {
	// Kind is full, differential or log.
	Kind string `json:"kind"`
	// From is where the redo of this backup begins, and End where the backup does: a full must be recovered to End at least, a log covers From to End.
	From SCN `json:"from"`
	End  SCN `json:"end"`
	// At is the moment of End by the server's clock, in the server's zone.
	At time.Time `json:"at"`
	// Logs are the archived logs, by thread and sequence.
	Logs []ArchivedLog `json:"logs"`
	// Files are the artifacts of everything else by what they are: control_file, control_trace, server_pfile, pfile, password_file, temp_files.
	Files map[string]string `json:"files"`
	// Doubts are what is not right with copies that were kept all the same, by artifact.
	Doubts map[string]string `json:"doubts,omitempty"`
	// RMAN is what RMAN made; nil in other modes.
	RMAN *RMANContents `json:"rman,omitempty"`
}

// Container is a pluggable database.
type Container struct {
	ID       int    `json:"id"`
	Name     string `json:"name"`
	OpenMode string `json:"open_mode"`
}

// Tablespace is one of a container.
type Tablespace struct {
	Number    int    `json:"number"`
	Name      string `json:"name"`
	Bigfile   bool   `json:"bigfile,omitempty"`
	Container int    `json:"container,omitempty"`
	// Contents is PERMANENT, TEMPORARY or UNDO, and Status ONLINE, OFFLINE or READ ONLY; both are known of the root and of databases that are not multitenant.
	Contents string `json:"contents,omitempty"`
	Status   string `json:"status,omitempty"`
}

// DataFile is a data file as V$DATAFILE has it.
type DataFile struct {
	File       int `json:"file"`
	Tablespace int `json:"tablespace"`
	Relative   int `json:"relative"`
	Container  int `json:"container,omitempty"`
	// TablespaceName is that of Tablespace.
	TablespaceName string `json:"tablespace_name"`
	// Status is ONLINE, OFFLINE, SYSTEM, SYSOFF or RECOVER, and Enabled READ WRITE, READ ONLY, DISABLED or UNKNOWN.
	Status  string `json:"status"`
	Enabled string `json:"enabled"`
	// CreationSCN is when it came to be; UnrecoverableSCN the last change that no log holds.
	CreationSCN      SCN `json:"creation_scn"`
	CheckpointSCN    SCN `json:"checkpoint_scn"`
	UnrecoverableSCN SCN `json:"unrecoverable_scn,omitempty"`
	// The file has Bytes + Block1Offset bytes.
	Bytes        int64  `json:"bytes"`
	BlockSize    int    `json:"block_size"`
	Block1Offset int64  `json:"block1_offset"`
	Name         string `json:"name"`

	// Artifact is the copy of it in this backup; empty when there is none, as in logs.
	Artifact string `json:"artifact,omitempty"`
	// BackupSCN is where redo for the copy begins when it was taken in backup mode; else 0, and the file did not change meanwhile.
	BackupSCN SCN `json:"backup_scn,omitempty"`
}

// TempFile is a temporary file. Its content is worth nothing; a restore makes it anew.
type TempFile struct {
	File           int    `json:"file"`
	Tablespace     int    `json:"tablespace"`
	Container      int    `json:"container,omitempty"`
	TablespaceName string `json:"tablespace_name"`
	Status         string `json:"status"`
	Bytes          int64  `json:"bytes"`
	BlockSize      int    `json:"block_size"`
	Name           string `json:"name"`
}

// OnlineLog is a group of online redo logs. They are never backed up.
type OnlineLog struct {
	Group    int      `json:"group"`
	Thread   int      `json:"thread"`
	Sequence uint64   `json:"sequence"`
	Bytes    int64    `json:"bytes"`
	Status   string   `json:"status"`
	FirstSCN SCN      `json:"first_scn"`
	Members  []string `json:"members"`
}

// Thread is the redo of one instance.
type Thread struct {
	Thread int `json:"thread"`
	// Status is OPEN or CLOSED, and Enabled DISABLED, PRIVATE or PUBLIC.
	Status   string `json:"status"`
	Enabled  string `json:"enabled"`
	Instance string `json:"instance"`
	Sequence uint64 `json:"sequence"`
}

// Destination is where logs are archived to.
type Destination struct {
	ID     int    `json:"id"`
	Status string `json:"status"`
	Target string `json:"target"`
	Name   string `json:"name"`
}

// Parameter is an initialisation parameter as V$PARAMETER has it; one that is a list has commas.
type Parameter struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Keystore is where keys for encrypted data are.
type Keystore struct {
	Type   string `json:"type"`
	Place  string `json:"place"`
	Status string `json:"status"`
}

// since reports whether the server is of that version or later.
func (inv *Inventory) since(major, minor int) bool {
	a, rest, _ := strings.Cut(inv.Version, ".")
	b, _, _ := strings.Cut(rest, ".")
	have, err1 := strconv.Atoi(a)
	below, err2 := strconv.Atoi(b)
	if err1 != nil || err2 != nil {
		return false
	}
	return have > major || have == major && below >= minor
}

func (inv *Inventory) tablespace(container, number int) string {
	for _, t := range inv.Tablespaces {
		if t.Container == container && t.Number == number {
			return t.Name
		}
	}
	return fmt.Sprintf("TS#%d", number)
}

func (inv *Inventory) parameter(name string) string {
	for _, p := range inv.Parameters {
		if strings.EqualFold(p.Name, name) {
			return p.Value
		}
	}
	return ""
}

// Queries, each of one view [REF]. CON_ID is added where the database is multitenant; it does not exist before 12.1.
const (
	queryInstance = "SELECT INSTANCE_NAME, HOST_NAME, VERSION, STATUS, THREAD# FROM V$INSTANCE"
	queryDatabase = "SELECT DBID, NAME, DB_UNIQUE_NAME, LOG_MODE, OPEN_MODE, DATABASE_ROLE, RESETLOGS_CHANGE#, CHECKPOINT_CHANGE#, CURRENT_SCN, CONTROLFILE_TYPE, PLATFORM_NAME FROM V$DATABASE"
	queryCDB      = "SELECT CDB FROM V$DATABASE"
	queryWhere    = "SELECT SYS_CONTEXT('USERENV', 'CON_ID') AS CON_ID FROM DUAL"
	queryResetID  = "SELECT RESETLOGS_ID FROM V$DATABASE_INCARNATION WHERE STATUS = 'CURRENT'"
	queryClock    = "SELECT SYSTIMESTAMP AS NOW FROM DUAL"
	queryPDBs     = "SELECT CON_ID, NAME, OPEN_MODE FROM V$PDBS ORDER BY CON_ID"
	querySpaces   = "SELECT TS#, NAME, BIGFILE%s FROM V$TABLESPACE ORDER BY TS#"
	queryContents = "SELECT TABLESPACE_NAME, STATUS, CONTENTS FROM DBA_TABLESPACES ORDER BY TABLESPACE_NAME"
	queryFiles    = "SELECT FILE#, TS#, RFILE#, STATUS, ENABLED, CREATION_CHANGE#, CHECKPOINT_CHANGE#, UNRECOVERABLE_CHANGE#, BYTES, BLOCKS, BLOCK_SIZE, BLOCK1_OFFSET, NAME%s " +
		"FROM V$DATAFILE ORDER BY FILE#"
	queryTemps        = "SELECT FILE#, TS#, STATUS, BYTES, BLOCK_SIZE, NAME%s FROM V$TEMPFILE ORDER BY FILE#"
	queryControls     = "SELECT NAME FROM V$CONTROLFILE"
	queryMembers      = "SELECT GROUP#, TYPE, MEMBER FROM V$LOGFILE ORDER BY GROUP#"
	queryGroups       = "SELECT GROUP#, THREAD#, SEQUENCE#, BYTES, MEMBERS, STATUS, FIRST_CHANGE# FROM V$LOG ORDER BY GROUP#"
	queryThreads      = "SELECT THREAD#, STATUS, ENABLED, INSTANCE, SEQUENCE# FROM V$THREAD ORDER BY THREAD#"
	queryParameters   = "SELECT NAME, VALUE, ISDEFAULT FROM V$PARAMETER ORDER BY NAME"
	queryDestinations = "SELECT DEST_ID, STATUS, TARGET, DESTINATION FROM V$ARCHIVE_DEST ORDER BY DEST_ID"
	queryPassword     = "SELECT FILE_NAME FROM V$PASSWORDFILE_INFO"
	queryKeystores    = "SELECT WRL_TYPE, WRL_PARAMETER, STATUS FROM V$ENCRYPTION_WALLET"
)

// survey reads what the server says of its database. A database that is not open is surveyed as far as its own state, which decide refuses.
func (c *session) survey(ctx context.Context) (*Inventory, error) {
	inv := &Inventory{Format: 1}
	for _, ask := range []func(context.Context, *Inventory) error{c.askInstance, c.askDatabase, c.askContainers} {
		if err := ask(ctx, inv); err != nil {
			return nil, err
		}
	}
	if inv.OpenMode != openReadWrite {
		return inv, nil
	}
	for _, ask := range []func(context.Context, *Inventory) error{
		c.askTablespaces, c.askFiles, c.askVisibility, c.askTemps, c.askNames, c.askRedo, c.askParameters, c.askOptional,
	} {
		if err := ask(ctx, inv); err != nil {
			return nil, err
		}
	}
	return inv, nil
}

func (c *session) askInstance(ctx context.Context, inv *Inventory) error {
	return c.one(ctx, queryInstance, func(r row) {
		inv.InstanceName, inv.Host, inv.Version, inv.Status, inv.Thread = r.text("INSTANCE_NAME"), r.text("HOST_NAME"), r.text("VERSION"), r.text("STATUS"), int(r.int("THREAD#"))
	})
}

func (c *session) askDatabase(ctx context.Context, inv *Inventory) error {
	err := c.one(ctx, queryDatabase, func(r row) {
		inv.DBID, inv.Name, inv.UniqueName = r.uint("DBID"), r.text("NAME"), r.text("DB_UNIQUE_NAME")
		inv.LogMode, inv.OpenMode, inv.Role, inv.ControlFileType = r.text("LOG_MODE"), r.text("OPEN_MODE"), r.text("DATABASE_ROLE"), r.text("CONTROLFILE_TYPE")
		inv.ResetlogsSCN, inv.CheckpointSCN, inv.CurrentSCN, inv.Platform = r.scn("RESETLOGS_CHANGE#"), r.scn("CHECKPOINT_CHANGE#"), r.scn("CURRENT_SCN"), r.text("PLATFORM_NAME")
	})
	if err != nil {
		return err
	}
	if err := c.one(ctx, queryResetID, func(r row) { inv.ResetlogsID = r.uint("RESETLOGS_ID") }); err != nil {
		return err
	}
	inv.Taken, err = c.now(ctx)
	return err
}

// now is the server's clock, in the server's zone.
func (c *session) now(ctx context.Context) (now time.Time, err error) {
	err = c.one(ctx, queryClock, func(r row) { now = r.time("NOW") })
	return now, err
}

// scn is the newest SCN.
func (c *session) scn(ctx context.Context) (n SCN, err error) {
	err = c.one(ctx, "SELECT CURRENT_SCN FROM V$DATABASE", func(r row) { n = r.scn("CURRENT_SCN") })
	if err == nil && (n == 0 || n == NoSCN) {
		err = fmt.Errorf("the server tells no SCN: it says %d", n)
	}
	return n, err
}

func (c *session) askContainers(ctx context.Context, inv *Inventory) error {
	if !inv.since(12, 1) {
		return nil
	}
	if err := c.one(ctx, queryCDB, func(r row) { inv.CDB = r.yes("CDB") }); err != nil || !inv.CDB {
		return err
	}
	if err := c.one(ctx, queryWhere, func(r row) { inv.ContainerID = int(r.int("CON_ID")) }); err != nil {
		return err
	}
	return c.each(ctx, queryPDBs, func(r row) {
		inv.Containers = append(inv.Containers, Container{ID: int(r.int("CON_ID")), Name: r.text("NAME"), OpenMode: r.text("OPEN_MODE")})
	})
}

// withContainer completes a query of a view that has CON_ID since 12.1.
func (inv *Inventory) withContainer(query string) string {
	if inv.CDB {
		return fmt.Sprintf(query, ", CON_ID")
	}
	return fmt.Sprintf(query, "")
}

func (inv *Inventory) container(r row) int {
	if inv.CDB {
		return int(r.int("CON_ID"))
	}
	return 0
}

func (c *session) askTablespaces(ctx context.Context, inv *Inventory) error {
	err := c.each(ctx, inv.withContainer(querySpaces), func(r row) {
		inv.Tablespaces = append(inv.Tablespaces, Tablespace{Number: int(r.int("TS#")), Name: r.text("NAME"), Bigfile: r.yes("BIGFILE"), Container: inv.container(r)})
	})
	if err != nil {
		return err
	}
	return c.each(ctx, queryContents, func(r row) {
		for i, t := range inv.Tablespaces {
			if t.Name == r.text("TABLESPACE_NAME") && t.Container <= rootContainer {
				inv.Tablespaces[i].Status, inv.Tablespaces[i].Contents = r.text("STATUS"), r.text("CONTENTS")
			}
		}
	})
}

// askFiles lists the data files as they are now.
func (c *session) askFiles(ctx context.Context, inv *Inventory) error {
	inv.DataFiles = nil
	return c.each(ctx, inv.withContainer(queryFiles), func(r row) {
		f := DataFile{
			File: int(r.int("FILE#")), Tablespace: int(r.int("TS#")), Relative: int(r.int("RFILE#")), Container: inv.container(r), Status: r.text("STATUS"), Enabled: r.text("ENABLED"),
			CreationSCN: r.scn("CREATION_CHANGE#"), CheckpointSCN: r.scn("CHECKPOINT_CHANGE#"), UnrecoverableSCN: r.scn("UNRECOVERABLE_CHANGE#"),
			Bytes: r.int("BYTES"), BlockSize: int(r.int("BLOCK_SIZE")), Block1Offset: r.int("BLOCK1_OFFSET"), Name: r.text("NAME"),
		}
		f.TablespaceName = inv.tablespace(f.Container, f.Tablespace)
		inv.DataFiles = append(inv.DataFiles, f)
	})
}

func (c *session) askTemps(ctx context.Context, inv *Inventory) error {
	return c.each(ctx, inv.withContainer(queryTemps), func(r row) {
		f := TempFile{
			File: int(r.int("FILE#")), Tablespace: int(r.int("TS#")), Container: inv.container(r), Status: r.text("STATUS"), Bytes: r.int("BYTES"), BlockSize: int(r.int("BLOCK_SIZE")), Name: r.text("NAME"),
		}
		f.TablespaceName = inv.tablespace(f.Container, f.Tablespace)
		inv.TempFiles = append(inv.TempFiles, f)
	})
}

func (c *session) askNames(ctx context.Context, inv *Inventory) error {
	err := c.each(ctx, queryControls, func(r row) { inv.ControlFiles = append(inv.ControlFiles, r.text("NAME")) })
	if err != nil {
		return err
	}
	return c.each(ctx, queryDestinations, func(r row) {
		inv.Destinations = append(inv.Destinations, Destination{ID: int(r.int("DEST_ID")), Status: r.text("STATUS"), Target: r.text("TARGET"), Name: r.text("DESTINATION")})
	})
}

func (c *session) askRedo(ctx context.Context, inv *Inventory) error {
	err := c.each(ctx, queryGroups, func(r row) {
		inv.OnlineLogs = append(inv.OnlineLogs, OnlineLog{
			Group: int(r.int("GROUP#")), Thread: int(r.int("THREAD#")), Sequence: r.uint("SEQUENCE#"), Bytes: r.int("BYTES"), Status: r.text("STATUS"), FirstSCN: r.scn("FIRST_CHANGE#"),
		})
	})
	if err != nil {
		return err
	}
	err = c.each(ctx, queryMembers, func(r row) {
		for i := range inv.OnlineLogs {
			if inv.OnlineLogs[i].Group == int(r.int("GROUP#")) && r.text("TYPE") == "ONLINE" {
				inv.OnlineLogs[i].Members = append(inv.OnlineLogs[i].Members, r.text("MEMBER"))
			}
		}
	})
	if err != nil {
		return err
	}
	inv.Threads, err = c.threads(ctx)
	return err
}

func (c *session) threads(ctx context.Context) (out []Thread, err error) {
	err = c.each(ctx, queryThreads, func(r row) {
		out = append(out, Thread{Thread: int(r.int("THREAD#")), Status: r.text("STATUS"), Enabled: r.text("ENABLED"), Instance: r.text("INSTANCE"), Sequence: r.uint("SEQUENCE#")})
	})
	return out, err
}

func (c *session) askParameters(ctx context.Context, inv *Inventory) error {
	return c.each(ctx, queryParameters, func(r row) {
		if r.text("ISDEFAULT") == "FALSE" {
			inv.Parameters = append(inv.Parameters, Parameter{Name: r.text("NAME"), Value: r.text("VALUE")})
		}
	})
}

// askOptional reads what older versions, or accounts with fewer rights, do not tell.
func (c *session) askOptional(ctx context.Context, inv *Inventory) error {
	if inv.since(12, 2) {
		err := c.each(ctx, queryPassword, func(r row) { inv.PasswordFile = r.text("FILE_NAME") })
		if err != nil && !unsupported(err) {
			return err
		}
	}
	err := c.each(ctx, queryKeystores, func(r row) {
		if k := (Keystore{Type: r.text("WRL_TYPE"), Place: r.text("WRL_PARAMETER"), Status: r.text("STATUS")}); k.Status != "NOT_AVAILABLE" {
			inv.Keystores = append(inv.Keystores, k)
		}
	})
	if err != nil && !unsupported(err) {
		return err
	}
	return nil
}

// backupState is what V$BACKUP says of one file.
type backupState struct {
	status string
	change SCN
	at     time.Time
}

func (b backupState) active() bool { return b.status == "ACTIVE" }

// inBackup asks which files are in backup mode.
func (c *session) inBackup(ctx context.Context) (map[int]backupState, error) {
	out := map[int]backupState{}
	err := c.each(ctx, "SELECT FILE#, STATUS, CHANGE#, TIME FROM V$BACKUP ORDER BY FILE#", func(r row) {
		out[int(r.int("FILE#"))] = backupState{status: r.text("STATUS"), change: r.scn("CHANGE#"), at: r.time("TIME")}
	})
	return out, err
}
