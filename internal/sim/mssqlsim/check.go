package mssqlsim

import (
	"context"
	"errors"

	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/tds"
)

// Where the page is that Corrupt damages.
const (
	damagedFile = 1
	damagedPage = 1480
)

// check is DBCC CHECKDB.
func (in *Instance) check(ctx context.Context, s *tds.Session, st checkStatement, a *tds.Answer, f *strike) error {
	d, err := in.beginCheck(s, st)
	if err != nil {
		return err
	}
	err = in.progress(ctx, s, d.name, 0, a, f, nothing)
	in.mu.Lock()
	defer in.mu.Unlock()
	delete(in.running, s.ID)
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return err
	}
	tail := "partition ID 72057594038779904, alloc unit ID 72057594039762944 (type In-row data)"
	errs := 0
	if d.damaged {
		errs = 2
		err = errors.Join(
			a.Message(failure(8939, "Table error: Object ID 565577053, index ID 0, %s, page (%d:%d). Test (IS_OFF (BUF_IOERR, pBUF->bstat)) failed. Values are 133129 and -4.",
				tail, damagedFile, damagedPage)),
			a.Message(failure(8928, "Object ID 565577053, index ID 0, %s: Page (%d:%d) could not be processed.  See other errors for details.", tail, damagedFile, damagedPage)),
			a.Message(info(8990, "CHECKDB found 0 allocation errors and %d consistency errors in table 'orders' (object ID 565577053).", errs)))
	}
	if !st.quiet || errs > 0 {
		err = errors.Join(err, a.Message(info(8989, "CHECKDB found 0 allocation errors and %d consistency errors in database '%s'.", errs, d.name)))
	}
	if errs > 0 {
		err = errors.Join(err, a.Message(info(8958, "repair_allow_data_loss is the minimum repair level for the errors found by DBCC CHECKDB (%s).", d.name)))
	}
	if !st.quiet {
		err = errors.Join(err, a.Message(info(2528, "DBCC execution completed. If DBCC printed error messages, contact your system administrator.")))
	}
	return err
}

func (in *Instance) beginCheck(s *tds.Session, st checkStatement) (*database, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	name := st.database
	if name == "" {
		name = in.sessions[s].database
	}
	d := in.find(name)
	if d == nil {
		return nil, failure(911, "Database '%s' does not exist. Make sure that the name is entered correctly.", name)
	}
	if err := in.enter(s, d); err != nil {
		return nil, err
	}
	if in.right(s) != SysAdmin {
		m := failure(7983, "User '%s' does not have permission to run DBCC checkdb for database '%s'.", s.Login.User, d.name)
		m.Class = 14
		return nil, m
	}
	in.running[s.ID] = &activity{command: "DBCC", database: d.id, since: in.config.Now()}
	return d, nil
}
