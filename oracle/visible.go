package oracle

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// The views of a multitenant database show each account only the containers that its CONTAINER_DATA names, by default none but the root, and say nothing of the rest [REF:
// CON_ID; SQL: ALTER USER]. A backup of what is seen would be one without pluggable databases. This is what tells.
type visibility struct {
	// records is how many data file records of the control file are in use, those of dropped files too [REF V$CONTROLFILE_RECORD_SECTION]. Its row is of the database as a whole, which everybody sees.
	records int
	// attributes are the CONTAINER_DATA of the account, as far as they are for V$DATAFILE.
	attributes []containerData
}

// containerData is one row of DBA_CONTAINER_DATA.
type containerData struct {
	// ofView: it is for V$DATAFILE alone, and counts before the one that is for all views.
	ofView bool
	all    bool
}

const (
	seedContainer = 2 // PDB$SEED, which every multitenant database has [REF V$CONTAINERS]

	queryRecords    = "SELECT RECORDS_USED FROM V$CONTROLFILE_RECORD_SECTION WHERE TYPE = 'DATAFILE'"
	queryAttributes = "SELECT DEFAULT_ATTR, OBJECT_NAME, ALL_CONTAINERS FROM DBA_CONTAINER_DATA WHERE USERNAME = SYS_CONTEXT('USERENV', 'SESSION_USER')"
)

// askVisibility reads what tells whether the session sees all containers.
func (c *session) askVisibility(ctx context.Context, inv *Inventory) error {
	if !inv.CDB {
		return nil
	}
	if err := c.one(ctx, queryRecords, func(r row) { inv.visible.records = int(r.int("RECORDS_USED")) }); err != nil {
		return err
	}
	return c.each(ctx, queryAttributes, func(r row) {
		view := strings.ReplaceAll(r.text("OBJECT_NAME"), "_", "") // the view itself is SYS.V_$DATAFILE
		if view == "" || view == "V$DATAFILE" {
			inv.visible.attributes = append(inv.visible.attributes, containerData{ofView: view != "", all: strings.HasPrefix(r.text("ALL_CONTAINERS"), "Y")})
		}
	})
}

// partial reports whether the account was given some containers by name.
func (v visibility) partial() bool {
	of := slices.Clone(v.attributes)
	if slices.ContainsFunc(of, func(a containerData) bool { return a.ofView }) {
		of = slices.DeleteFunc(of, func(a containerData) bool { return !a.ofView })
	}
	return len(of) > 0 && !slices.ContainsFunc(of, func(a containerData) bool { return a.all })
}

// seesAll refuses a session that does not see everything of all containers. When it sees as many data files as there are records, none is hidden. When it sees fewer, the others
// may just have been dropped, so it is refused only for what would not be so if it saw everything.
func seesAll(inv *Inventory) error {
	if !inv.CDB {
		return nil
	}
	files := map[int]int{}
	for _, d := range inv.DataFiles {
		files[d.Container]++
		switch {
		case !slices.ContainsFunc(inv.Tablespaces, func(t Tablespace) bool { return t.Container == d.Container && t.Number == d.Tablespace }):
			return hidden(inv, "V$TABLESPACE does not show it the tablespace of data file %d", d.File)
		case d.Container > rootContainer && !slices.ContainsFunc(inv.Containers, func(p Container) bool { return p.ID == d.Container }):
			return hidden(inv, "V$PDBS does not show it container %d, of which data file %d is", d.Container, d.File)
		}
	}
	switch {
	case len(inv.DataFiles) == inv.visible.records:
		return nil
	case files[seedContainer] == 0:
		return hidden(inv, "PDB$SEED, which every multitenant database has, is not among them")
	case inv.visible.partial():
		return hidden(inv, "its CONTAINER_DATA is not ALL")
	}
	for _, p := range inv.Containers {
		if files[p.ID] == 0 {
			return hidden(inv, "none of them is of %s; when that is just being created, run again", p.Name)
		}
	}
	return nil
}

func hidden(inv *Inventory, format string, args ...any) error {
	return refuse("in the root: ALTER USER ... SET CONTAINER_DATA=ALL CONTAINER=CURRENT for the account of the backup; or log in AS SYSBACKUP",
		"the login does not see all containers: V$DATAFILE shows it %d data files, the control file has %d records of them; %s", len(inv.DataFiles), inv.visible.records, fmt.Sprintf(format, args...))
}
