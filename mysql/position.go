package mysql

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// place is a position in the binary log.
type place struct {
	file string
	pos  uint64
	gtid string
}

// place reads the current position. It is zero on a server without a binary log.
func (c *session) place(ctx context.Context, srv *server) (place, error) {
	if !srv.binlog() {
		return place{}, nil
	}
	// log_status is one atomic look at all logs; the others are two values read one after the other, which is enough under a lock.
	if srv.atLeast(MySQL, 8, 0, 14) {
		if p, err := c.logStatus(ctx); err == nil {
			return p, nil
		} else if !denied(err) {
			return place{}, err
		}
	}
	q := "SHOW MASTER STATUS"
	if srv.atLeast(MySQL, 8, 2, 0) {
		q = "SHOW BINARY LOG STATUS"
	}
	r, ok, err := c.one(ctx, q)
	if err != nil || !ok {
		return place{}, err
	}
	p := place{file: r.get("file"), gtid: strings.ReplaceAll(r.get("executed_gtid_set"), "\n", "")}
	p.pos, _ = strconv.ParseUint(r.get("position"), 10, 64)
	if srv.flavour == MariaDB {
		if p.gtid, err = c.text(ctx, "SELECT @@global.gtid_binlog_pos"); err != nil {
			return place{}, err
		}
	}
	return p, nil
}

func (c *session) logStatus(ctx context.Context) (place, error) {
	s, err := c.text(ctx, "SELECT LOCAL FROM performance_schema.log_status")
	if err != nil {
		return place{}, err
	}
	var v struct {
		GTID string `json:"gtid_executed"`
		File string `json:"binary_log_file"`
		Pos  uint64 `json:"binary_log_position"`
	}
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		return place{}, fmt.Errorf("performance_schema.log_status: %w", err)
	}
	return place{v.File, v.Pos, strings.ReplaceAll(v.GTID, "\n", "")}, nil
}

// seen is the position that this session's snapshot stands at; only MariaDB tells.
func (c *session) seen(ctx context.Context) (place, error) {
	rs, err := c.rows(ctx, "SHOW STATUS LIKE 'binlog_snapshot_%'")
	if err != nil {
		return place{}, err
	}
	var p place
	for _, r := range rs {
		switch strings.ToLower(r.col(0)) {
		case "binlog_snapshot_file":
			p.file = r.col(1)
		case "binlog_snapshot_position":
			p.pos, _ = strconv.ParseUint(r.col(1), 10, 64)
		}
	}
	return p, nil
}

// position orders within one server: the log's base name, its sequence number and the offset, padded.
func (p place) position() backup.Position {
	if p.file == "" {
		return ""
	}
	base, seq := p.file, uint64(0)
	if n := strings.LastIndexByte(p.file, '.'); n >= 0 {
		if v, err := strconv.ParseUint(p.file[n+1:], 10, 64); err == nil {
			base, seq = p.file[:n], v
		}
	}
	return backup.Position(fmt.Sprintf("%s.%010d:%020d", base, seq, p.pos))
}

// now is the server's UTC clock.
func (c *session) now(ctx context.Context) (time.Time, error) {
	s, err := c.text(ctx, "SELECT UTC_TIMESTAMP(6)")
	if number(err) != 0 {
		s, err = c.text(ctx, "SELECT UTC_TIMESTAMP()")
	}
	if err != nil {
		return time.Time{}, err
	}
	t, err := time.Parse("2006-01-02 15:04:05", s)
	if err != nil {
		// A driver that parses times prints them so.
		if t, err = time.Parse(time.RFC3339Nano, s); err != nil {
			return time.Time{}, fmt.Errorf("the server's clock says %q: %w", s, err)
		}
	}
	return t.UTC(), nil
}

// checkpoint describes the server at p.
func (srv *server) checkpoint(p place, at time.Time, lock LockMode) Checkpoint {
	cp := Checkpoint{
		Flavour: srv.flavour, Version: srv.version, ServerID: srv.vars["server_id"], ServerUUID: srv.vars["server_uuid"],
		File: p.file, Pos: p.pos, GTID: p.gtid, LowerCase: srv.vars["lower_case_table_names"], Time: at, Lock: lock, Reduced: srv.reduced,
	}
	if cp.ServerUUID == "" {
		cp.ServerUUID = srv.vars["server_uid"]
	}
	if srv.binlog() {
		cp.LogFormat, cp.RowImage, cp.LogChecksum = srv.vars["binlog_format"], srv.vars["binlog_row_image"], srv.vars["binlog_checksum"]
	}
	return cp
}

// replica tells how far a replica has applied its source; nil for a server that is none or does not tell.
func (c *session) replica(ctx context.Context, srv *server) *ReplicaPosition {
	if srv.reduced {
		return nil
	}
	q := "SHOW REPLICA STATUS"
	if srv.flavour == MariaDB && !srv.atLeast(MariaDB, 10, 5, 1) || srv.flavour == MySQL && !srv.atLeast(MySQL, 8, 0, 22) {
		q = "SHOW SLAVE STATUS"
	}
	r, ok, err := c.one(ctx, q)
	if err != nil || !ok {
		return nil
	}
	first := func(names ...string) string {
		for _, n := range names {
			if v := r.get(n); v != "" {
				return v
			}
		}
		return ""
	}
	return &ReplicaPosition{
		Host: first("source_host", "master_host"), File: first("relay_source_log_file", "relay_master_log_file"),
		Pos: first("exec_source_log_pos", "exec_master_log_pos"), GTID: first("executed_gtid_set", "gtid_slave_pos", "gtid_io_pos"),
	}
}
