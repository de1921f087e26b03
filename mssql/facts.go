package mssql

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/quiesce-go/quiesce/mssql/mtf"
)

// pageBytes is the size of a page, in which the server counts files.
const pageBytes = 8192

// server is what matters of an instance.
type server struct {
	name, version, edition string
	major, minor, build    int
	engine                 int // EngineEdition
	hadr                   bool
}

// Values of EngineEdition.
const (
	engineEnterprise = 3 // and Developer, Evaluation
	engineExpress    = 4
)

func (c *session) probe(ctx context.Context) (server, error) {
	r, ok, err := c.one(ctx, "SELECT @@SERVERNAME AS name, SERVERPROPERTY('ProductVersion') AS version, SERVERPROPERTY('Edition') AS edition, "+
		"SERVERPROPERTY('EngineEdition') AS engine, SERVERPROPERTY('IsHadrEnabled') AS hadr, SYSDATETIMEOFFSET() AS now")
	if err == nil && !ok {
		err = errors.New("the server does not tell its version")
	}
	if err != nil {
		return server{}, err
	}
	v := server{name: r.text("name"), version: r.text("version"), edition: r.text("edition"), engine: int(r.int("engine")), hadr: r.flag("hadr")}
	parts := strings.Split(v.version, ".")
	for i, n := range []*int{&v.major, &v.minor, &v.build} {
		if i >= len(parts) {
			return v, fmt.Errorf("version %q is not of the form 16.0.1000.6", v.version)
		}
		if *n, err = strconv.Atoi(parts[i]); err != nil {
			return v, fmt.Errorf("version %q is not of the form 16.0.1000.6", v.version)
		}
	}
	return v, nil
}

// compresses reports whether the edition can compress backups: Enterprise since 2008, Standard since 2008 R2, neither Web nor Express.
func (v server) compresses() bool {
	switch {
	case v.engine == engineExpress, strings.HasPrefix(v.edition, "Web"), v.major < 10:
		return false
	case v.major == 10 && v.minor < 50:
		return v.engine == engineEnterprise
	}
	return true
}

// tdeNeedsTransfer reports whether a compressed backup of an encrypted database compresses only with a MAXTRANSFERSIZE above 64 KiB, which the server does not choose by
// itself: 2016 up to 2019 CU4 (15.0.4033).
func (v server) tdeNeedsTransfer() bool {
	return v.major == 13 || v.major == 14 || v.major == 15 && v.build < 4043
}

// facts is what the server tells of a database before a backup.
type facts struct {
	name string
	id   int64
	// named: the run asked for it by its very name.
	named bool
	// state is state_desc; standby and readOnly as in sys.databases.
	state             string
	standby, readOnly bool
	model             string // SIMPLE, FULL or BULK_LOGGED
	encrypted         bool
	bytes             int64 // of its data files

	// known: the server told family, fork and log, which need rights.
	known        bool
	family, fork mtf.GUID
	// nextLog is where the next log backup begins; zero when none is possible.
	nextLog mtf.LSN
	// baseGUID is the full that the next differential builds on; zero when none is possible.
	baseGUID mtf.GUID

	// secondary: this replica of an availability group is not the primary. elsewhere: another replica should take the backup.
	secondary, elsewhere bool
}

const (
	master        = "master"
	simple        = "SIMPLE"
	online        = "ONLINE"
	typeRows      = 0 // of sys.master_files
	typeLog       = 1
	primaryFileID = 1
)

// databases lists what a run is about: everything that wanted takes but tempdb and snapshots.
func (c *session) databases(ctx context.Context, v server, wanted func(string) bool) ([]*facts, error) {
	rows, err := c.query(ctx, "SELECT * FROM sys.databases") // all columns: versions differ in them
	if err != nil {
		return nil, fmt.Errorf("list the databases: %w", err)
	}
	var all []*facts
	byID := map[int64]*facts{}
	replicas := map[*facts]mtf.GUID{}
	for _, r := range rows {
		f := &facts{name: r.text("name"), id: r.int("database_id"), state: r.text("state_desc"), standby: r.flag("is_in_standby"),
			readOnly: r.flag("is_read_only"), model: r.text("recovery_model_desc"), encrypted: r.flag("is_encrypted")}
		if f.name == "tempdb" || r.has("source_database_id") || !wanted(f.name) {
			continue
		}
		if replicas[f], err = r.guid("replica_id"); err != nil {
			return nil, fmt.Errorf("list the databases: %w", err)
		}
		all, byID[f.id] = append(all, f), f
	}
	if err := errors.Join(c.readLog(ctx, byID), c.readFileFacts(ctx, byID)); err != nil {
		return nil, err
	}
	if v.hadr {
		err = c.readReplicas(ctx, replicas)
	}
	return all, err
}

func (c *session) readLog(ctx context.Context, byID map[int64]*facts) error {
	rows, err := c.query(ctx, "SELECT database_id, family_guid, recovery_fork_guid, last_log_backup_lsn FROM sys.database_recovery_status")
	if err != nil {
		return fmt.Errorf("read the state of the logs: %w", err)
	}
	for _, r := range rows {
		f := byID[r.int("database_id")]
		if f == nil || !r.has("family_guid") {
			continue
		}
		var e1, e2, e3 error
		f.family, e1 = r.guid("family_guid")
		f.fork, e2 = r.guid("recovery_fork_guid")
		f.nextLog, e3 = r.lsn("last_log_backup_lsn")
		if err := errors.Join(e1, e2, e3); err != nil {
			return fmt.Errorf("read the state of the log of %q: %w", f.name, err)
		}
		f.known = true
	}
	return nil
}

func (c *session) readFileFacts(ctx context.Context, byID map[int64]*facts) error {
	rows, err := c.query(ctx, "SELECT database_id, file_id, type, size, differential_base_lsn, differential_base_guid FROM sys.master_files")
	if err != nil {
		return fmt.Errorf("list the files of the databases: %w", err)
	}
	for _, r := range rows {
		f := byID[r.int("database_id")]
		if f == nil {
			continue
		}
		if r.int("type") != typeLog {
			f.bytes += r.int("size") * pageBytes
		}
		if r.int("type") == typeRows && r.int("file_id") == primaryFileID {
			if f.baseGUID, err = r.guid("differential_base_guid"); err != nil {
				return fmt.Errorf("read the differential base of %q: %w", f.name, err)
			}
		}
	}
	return nil
}

// readReplicas asks, for databases of availability groups, what this replica is and whether it is the one to take backups.
func (c *session) readReplicas(ctx context.Context, replicas map[*facts]mtf.GUID) error {
	rows, err := c.query(ctx, "SELECT replica_id, role_desc FROM sys.dm_hadr_availability_replica_states WHERE is_local = 1")
	if err != nil {
		return fmt.Errorf("read the roles in availability groups: %w", err)
	}
	roles := map[mtf.GUID]string{}
	for _, r := range rows {
		id, err := r.guid("replica_id")
		if err != nil {
			return fmt.Errorf("read the roles in availability groups: %w", err)
		}
		roles[id] = r.text("role_desc")
	}
	for f, id := range replicas {
		if id.IsZero() {
			continue
		}
		f.secondary = roles[id] != "PRIMARY"
		r, ok, err := c.one(ctx, "SELECT sys.fn_hadr_backup_is_preferred_replica("+quoteText(f.name)+") AS preferred")
		if err != nil {
			return fmt.Errorf("ask for the preferred replica of %q: %w", f.name, err)
		}
		f.elsewhere = ok && !r.flag("preferred")
	}
	return nil
}
