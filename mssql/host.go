package mssql

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/quiesce-go/quiesce/mssql/mtf"
)

// host is what a restore asks a server before it touches anything.
type host struct {
	server          string
	version         [3]int // major, minor, build
	singleUser      bool   // started with -m: only there can master be restored
	dataDir, logDir string
	databases       []*hostDatabase
	keys            map[string]bool // thumbprints of certificates and asymmetric keys in master; nil when they cannot be listed
	volumes         []volume
}

// hostDatabase is a database that exists.
type hostDatabase struct {
	id                         int64
	name, state, model, access string
	source                     int64 // of a snapshot: the database it is of
	inGroup                    bool  // of an availability group
	standby                    bool
	family                     mtf.GUID
	hasChain                   bool // its log is kept for a log backup
	// base is the full the database was restored from or last backed up by; redo is where a restoring one goes on.
	base  mtf.GUID
	redo  mtf.LSN
	files []hostFile
}

type hostFile struct {
	logical, physical string
	bytes             int64
}

// volume is a disk as the server sees it.
type volume struct {
	mount string
	free  int64
}

// waiting reports whether the database can take more backups.
func (d *hostDatabase) waiting() bool { return d.state == "RESTORING" || d.standby }

// find returns the database of that name, in any case: whether case matters is the server's collation, and two names that differ in nothing else are too close.
func (h *host) find(name string) *hostDatabase {
	for _, d := range h.databases {
		if strings.EqualFold(d.name, name) {
			return d
		}
	}
	return nil
}

// host asks the server.
func (c *session) host(ctx context.Context) (*host, error) {
	h := &host{}
	steps := []func(context.Context, *host) error{c.hostOfServer, c.hostOfDatabases, c.hostOfFiles, c.hostOfHistory, c.hostOfKeys, c.hostOfVolumes}
	for _, step := range steps {
		if err := step(ctx, h); err != nil {
			return nil, err
		}
	}
	return h, nil
}

func (c *session) hostOfServer(ctx context.Context, h *host) error {
	v, err := c.probe(ctx)
	if err != nil {
		return fmt.Errorf("ask for the version: %w", err)
	}
	h.server, h.version = v.name, [3]int{v.major, v.minor, v.build}
	r, _, err := c.one(ctx, "SELECT SERVERPROPERTY('IsSingleUser') AS single, SERVERPROPERTY('InstanceDefaultDataPath') AS data_dir, "+
		"SERVERPROPERTY('InstanceDefaultLogPath') AS log_dir")
	if err != nil {
		return fmt.Errorf("ask for the default directories: %w", err)
	}
	h.singleUser, h.dataDir, h.logDir = r.flag("single"), r.text("data_dir"), r.text("log_dir")
	return nil
}

// hostOfDatabases asks for all columns, since those for groups and for replicas are not on every version.
func (c *session) hostOfDatabases(ctx context.Context, h *host) error {
	rows, err := c.query(ctx, "SELECT * FROM sys.databases")
	if err != nil {
		return fmt.Errorf("list the databases: %w", err)
	}
	for _, r := range rows {
		h.databases = append(h.databases, &hostDatabase{id: r.int("database_id"), name: r.text("name"), state: r.text("state_desc"), model: r.text("recovery_model_desc"),
			access: r.text("user_access_desc"), source: r.int("source_database_id"), inGroup: r.has("replica_id"), standby: r.flag("is_in_standby")})
	}
	return nil
}

func (h *host) byID(id int64) *hostDatabase {
	for _, d := range h.databases {
		if d.id == id {
			return d
		}
	}
	return nil
}

func (c *session) hostOfFiles(ctx context.Context, h *host) error {
	rows, err := c.query(ctx, "SELECT * FROM sys.master_files")
	if err != nil {
		return fmt.Errorf("list the files of the databases: %w", err)
	}
	for _, r := range rows {
		d := h.byID(r.int("database_id"))
		if d == nil {
			continue
		}
		d.files = append(d.files, hostFile{r.text("name"), r.text("physical_name"), r.int("size") * pageBytes})
		redo, err := r.lsn("redo_start_lsn")
		if err != nil {
			return err
		}
		if redo.Compare(d.redo) > 0 {
			d.redo = redo
		}
		if r.int("type") == 0 && r.int("file_id") == 1 {
			if d.base, err = r.guid("differential_base_guid"); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *session) hostOfHistory(ctx context.Context, h *host) error {
	rows, err := c.query(ctx, "SELECT * FROM sys.database_recovery_status")
	if unsupported(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the recovery status: %w", err)
	}
	for _, r := range rows {
		if d := h.byID(r.int("database_id")); d != nil {
			d.hasChain = r.has("last_log_backup_lsn")
			if d.family, err = r.guid("family_guid"); err != nil {
				return err
			}
		}
	}
	return nil
}

// hostOfKeys lists what opens encrypted databases and backups.
func (c *session) hostOfKeys(ctx context.Context, h *host) error {
	keys := map[string]bool{}
	for _, view := range []string{"master.sys.certificates", "master.sys.asymmetric_keys"} {
		rows, err := c.query(ctx, "SELECT name, thumbprint FROM "+view)
		if number(err) != 0 {
			return nil // without the list the server still refuses a restore whose key is missing
		}
		if err != nil {
			return fmt.Errorf("list the certificates: %w", err)
		}
		for _, r := range rows {
			keys[hex.EncodeToString(r.bytes("thumbprint"))] = true
		}
	}
	h.keys = keys
	return nil
}

// hostOfVolumes asks how much room there is, which needs VIEW SERVER STATE; without, the server finds out by itself.
func (c *session) hostOfVolumes(ctx context.Context, h *host) error {
	rows, err := c.query(ctx, "SELECT DISTINCT volume_mount_point, available_bytes FROM sys.master_files CROSS APPLY sys.dm_os_volume_stats(database_id, file_id)")
	if number(err) != 0 {
		return nil // as said above
	}
	if err != nil {
		return fmt.Errorf("ask for free space: %w", err)
	}
	for _, r := range rows {
		h.volumes = append(h.volumes, volume{r.text("volume_mount_point"), r.int("available_bytes")})
	}
	return nil
}

// volumeOf is the volume a path lies on: that with the longest mount point the path begins with.
func (h *host) volumeOf(path string) (volume, bool) {
	var best volume
	path = foldPath(path)
	for _, v := range h.volumes {
		if strings.HasPrefix(path, foldPath(v.mount)) && len(v.mount) > len(best.mount) {
			best = v
		}
	}
	return best, best.mount != ""
}
