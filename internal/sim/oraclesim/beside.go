package oraclesim

import "os"

// besideStatement is about files that a database has beside its own, and that the control file names: where changed blocks are tracked, and flashback logs, of which there is one here. [SQL] Switching them off
// deletes the file. An open instance writes to both.
func (a *act) besideStatement() (done bool, err error) {
	c := a.r
	switch {
	case c.take("ENABLE BLOCK CHANGE TRACKING USING FILE"):
		path, _ := c.text()
		return true, a.known(func() error { return a.beside(&a.ctl.Tracking, path) })
	case c.take("DISABLE BLOCK CHANGE TRACKING"):
		return true, a.known(func() error { return a.beside(&a.ctl.Tracking, "") })
	case c.take("FLASHBACK ON"):
		return true, a.known(func() error {
			return a.beside(&a.ctl.Flashback, a.params.get("db_recovery_file_dest")+"/o1_mf_log_.flb")
		})
	case c.take("FLASHBACK OFF"):
		return true, a.known(func() error { return a.beside(&a.ctl.Flashback, "") })
	}
	return false, nil
}

func (a *act) beside(which *string, path string) error {
	if err := a.atLeastMounted(); err != nil {
		return err
	}
	if *which != "" && path == "" {
		_ = os.Remove(*which) // it may be on another machine
	}
	*which = path
	if err := a.writeBeside(); err != nil {
		return err
	}
	return a.saveControl()
}

// writeBeside is what an open instance does to those files.
func (i *Instance) writeBeside() error {
	for _, path := range []string{i.ctl.Tracking, i.ctl.Flashback} {
		if path == "" || i.state != Open || i.readOnly {
			continue
		}
		if err := os.WriteFile(path, []byte("written by "+i.config.SID), 0o640); err != nil {
			return stack(fault(19751, "could not create the change tracking file"), fault(27040, "file create error, unable to create file"))
		}
	}
	return nil
}

func (a *act) besideView(name string) (view, bool) {
	switch name {
	case "V$BLOCK_CHANGE_TRACKING":
		return view{needsMount, "STATUS FILENAME BYTES CON_ID", func(a *act) []row {
			if a.ctl.Tracking == "" {
				return []row{{"STATUS": "DISABLED", "CON_ID": num(0)}}
			}
			return []row{{"STATUS": "ENABLED", "FILENAME": a.ctl.Tracking, "BYTES": num(11599872), "CON_ID": num(0)}}
		}}, true
	case "V$DATABASE_BLOCK_CORRUPTION":
		return view{needsMount, "FILE# BLOCK# BLOCKS CORRUPTION_CHANGE# CORRUPTION_TYPE CON_ID", func(a *act) []row { return a.corrupt }}, true
	}
	return view{}, false
}
