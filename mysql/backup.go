package mysql

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/quiesce-go/quiesce/backup"
)

// Backup implements backup.Source. A full is of the whole server, or of what Options.Include selects. A log is the binary log since the last link, of the whole server; when it does not continue that link, a full is taken,
// and the item's Reason says why. On every path out, locks are released and sessions ended.
func (s *Source) Backup(ctx context.Context, r backup.Request, st *backup.Stage) (backup.Result, error) {
	reason := ""
	if r.Kind == backup.Log {
		it, warnings, err := s.log(ctx, r, pipelineStage{st})
		why, gap := gapOf(err)
		if !gap {
			if err = s.fail(ctx, "back up the binary log of", "", err); err != nil {
				return backup.Result{}, because(ctx, err)
			}
			return backup.Result{Items: []backup.Item{it}, Meta: logMeta(it), Warnings: warnings}, nil
		}
		r.Log.Warn("a full is taken instead of a log", "app", application, "instance", s.instance, "reason", why)
		reason = why
	}
	done, err := s.dump(ctx, pipelineStage{st}, r)
	if err != nil {
		return backup.Result{}, s.fail(ctx, "back up", "", err)
	}
	it, err := done.item()
	if err != nil {
		return backup.Result{}, err
	}
	it.Reason = reason
	return backup.Result{Items: []backup.Item{it}, Meta: done.meta(), Warnings: done.idx.Warnings}, nil
}

func (r *run) item() (backup.Item, error) {
	it := r.sn.item()
	cp, err := json.Marshal(r.idx.Server)
	if err != nil {
		return it, r.s.fail(context.Background(), "encode the checkpoint of", "", err)
	}
	it.Checkpoint = cp
	for _, s := range r.idx.Schemas {
		it.Objects = append(it.Objects, s.Name)
	}
	return it, nil
}

// logMeta is what an operator sees with a backup of binary log.
func logMeta(it backup.Item) map[string]string {
	return map[string]string{"binlog": fmt.Sprintf("%s to %s", it.Begin, it.End)}
}

// meta is what an operator sees with the backup.
func (r *run) meta() map[string]string {
	cp := r.idx.Server
	tables := 0
	for _, s := range r.idx.Schemas {
		tables += len(s.Tables)
	}
	m := map[string]string{
		"flavour": string(cp.Flavour), "version": cp.Version, "lock": string(cp.Lock), "schemas": strconv.Itoa(len(r.idx.Schemas)),
		"tables": strconv.Itoa(tables), "rows": strconv.FormatInt(r.idx.Rows, 10), "connections": strconv.Itoa(r.sn.opened),
	}
	if cp.File != "" {
		m["binlog"] = fmt.Sprintf("%s:%d", cp.File, cp.Pos)
	}
	if cp.GTID != "" {
		m["gtid"] = cp.GTID
	}
	if r.srv.reduced {
		m["mode"] = "reduced: the server has no locks or positions to offer"
	}
	return m
}

// Estimate implements backup.Estimator: the server's own figure of what the tables hold.
func (s *Source) Estimate(ctx context.Context, _ backup.Request) (int64, error) {
	c, err := s.open(ctx, readSettings())
	if err != nil {
		return 0, err
	}
	defer c.close()
	srv, err := probe(ctx, c)
	if err != nil {
		return 0, err
	}
	var sum int64
	for _, schema := range srv.userSchemas() {
		if !s.filter.schema(schema) {
			continue
		}
		cat, err := c.listTables(ctx, srv, schema, s.filter)
		if err != nil {
			return 0, err
		}
		for _, t := range cat.tables {
			sum += t.bytes
		}
	}
	return sum, nil
}
