package mssql

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/mssql/mtf"
)

// metaItem is the note on every committed artifact that holds its item as Backup would have returned it, so that a run that died later can be completed without a server.
const metaItem = "item"

// annotate notes what a Salvager needs to know.
func annotate(room target, it backup.Item) error {
	text, err := json.Marshal(it)
	if err != nil {
		return fmt.Errorf("encode the record of %q: %w", it.Name, err)
	}
	room.annotate(metaItem, string(text))
	return nil
}

// Salvage implements backup.Salvager. What was committed is whole and says itself what it is. A log backup whose run died before that is asked for its header and verified by the
// server, since the server has truncated the log it holds; other files that were not committed are worth nothing.
func (s *Source) Salvage(ctx context.Context, d *backup.DeadRun) (backup.Salvaged, error) {
	var out backup.Salvaged
	groups, names := map[string][]*backup.StagedArtifact{}, []string{}
	for _, a := range d.Artifacts {
		if groups[a.Item] == nil {
			names = append(names, a.Item)
		}
		groups[a.Item] = append(groups[a.Item], a)
	}
	for _, name := range names {
		it, found := committedItem(groups[name])
		if !found {
			var err error
			if it, found, err = s.loneLog(ctx, d, name, groups[name]); err != nil {
				return backup.Salvaged{}, err
			}
		}
		if !found {
			continue
		}
		out.Items = append(out.Items, it)
		set, err := setOf(it)
		if err != nil {
			return backup.Salvaged{}, s.fail(ctx, "salvage", name, err)
		}
		for _, a := range groups[name] {
			if a.Committed || slices.Contains(set.Devices, a.Name) {
				out.Artifacts = append(out.Artifacts, a.Artifact)
			}
		}
	}
	return out, nil
}

// committedItem is the newest item of which every stripe was committed.
func committedItem(all []*backup.StagedArtifact) (backup.Item, bool) {
	for _, a := range slices.Backward(all) {
		var it backup.Item
		if !a.Committed || a.Meta[metaItem] == "" || json.Unmarshal([]byte(a.Meta[metaItem]), &it) != nil {
			continue
		}
		set, err := setOf(it)
		whole := err == nil && !slices.ContainsFunc(set.Devices, func(name string) bool {
			return !slices.ContainsFunc(all, func(a *backup.StagedArtifact) bool { return a.Committed && a.Name == name })
		})
		if whole {
			return it, true
		}
	}
	return backup.Item{}, false
}

// loneLog looks into the files of a log backup that nobody committed.
func (s *Source) loneLog(ctx context.Context, d *backup.DeadRun, name string, all []*backup.StagedArtifact) (it backup.Item, found bool, err error) {
	var devices []device
	var artifacts []string
	for _, a := range all {
		if a.Role == backup.RoleLog && a.ServerPath != "" {
			devices, artifacts = append(devices, device{Path: a.ServerPath}), append(artifacts, a.Name)
		}
	}
	if len(devices) == 0 {
		return it, false, nil
	}
	later := func(err error) error {
		return s.fail(ctx, "salvage the log of", name, errors.Join(backup.ErrNotNow, err))
	}
	c, err := s.open(ctx)
	if err != nil {
		return it, false, later(err)
	}
	defer c.close()
	running, err := c.query(ctx, "SELECT session_id FROM sys.dm_exec_requests WHERE command = 'BACKUP LOG'")
	if err != nil && !unsupported(err) {
		return it, false, later(err)
	}
	if len(running) > 0 {
		return it, false, later(errors.New("a log backup is still at work on the server"))
	}
	sets, err := c.headers(ctx, devices)
	if err == nil && len(sets) == 1 {
		err = c.run(ctx, verifyStatement(devices, sets[0].Position, sets[0].Checksums), nil)
	}
	switch {
	case err != nil && (ctx.Err() != nil || lost(err)):
		return it, false, later(err) // the server did not answer
	case err != nil, len(sets) != 1, sets[0].Type != mtf.Log, sets[0].Stripes != len(devices):
		return it, false, nil // torn
	}
	set := sets[0]
	set.Devices = artifacts
	b, err := newBase(d.Anchors[name])
	if err != nil {
		b = base{}
	}
	// The clock that was read before the statement died with its reader. The header's start is to the second below it.
	it, err = choice{kind: backup.Log}.record(set, b, set.Started, set.Started)
	return it, err == nil, err
}

var _ backup.Salvager = (*Source)(nil)
