package oraclesim

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// parameters are those of an instance that have no default value, as text.
type parameters map[string]string

const recoveryDest = "USE_DB_RECOVERY_FILE_DEST"

func (p parameters) get(name string) string { return p[name] }

// list is a parameter with several values.
func (p parameters) list(name string) (all []string) {
	for _, v := range strings.Split(p[name], ",") {
		if v = strings.Trim(strings.TrimSpace(v), "'"); v != "" {
			all = append(all, v)
		}
	}
	return all
}

func (p parameters) text() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(p)) {
		value := p[name]
		if !strings.HasPrefix(value, "'") {
			value = "'" + value + "'"
		}
		fmt.Fprintf(&b, "*.%s=%s\n", name, value)
	}
	return b.String()
}

func parseParameters(text string) (parameters, error) {
	p := parameters{}
	for _, l := range strings.Split(text, "\n") {
		l = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(l), "*."))
		if l == "" || strings.HasPrefix(l, "#") {
			continue
		}
		name, value, ok := strings.Cut(l, "=")
		if !ok {
			return nil, stack(fault(1078, "failure in processing system parameters"), lrm("LRM-00110: syntax error at "+l))
		}
		value = strings.TrimSpace(value)
		if !strings.Contains(value, "','") {
			value = strings.Trim(value, "'")
		}
		p[strings.ToLower(strings.TrimSpace(name))] = value
	}
	return p, nil
}

func (i *Instance) spfilePath() string { return filepath.Join(i.home(), "spfile"+i.config.SID+".ora") }
func (i *Instance) pfilePath() string  { return filepath.Join(i.home(), "init"+i.config.SID+".ora") }

// PasswordFile is the path of the password file.
func (i *Instance) PasswordFile() string { return filepath.Join(i.home(), "orapw"+i.config.SID) }

func (i *Instance) createParameters() error {
	c := i.config
	controls := "'" + i.oradata("control01.ctl") + "','" + filepath.Join(c.Dir, "fra", "control02.ctl") + "'"
	i.params = parameters{
		"db_name": c.Name, "control_files": controls, "log_archive_format": c.ArchiveFormat, "compatible": "19.0.0", "undo_tablespace": "UNDOTBS1",
		"db_recovery_file_dest": filepath.Join(c.Dir, "fra"), "db_recovery_file_dest_size": "10737418240", "db_block_size": fmt.Sprint(c.BlockSizeBytes),
	}
	for n, d := range c.ArchiveDests {
		value := "LOCATION=" + d
		i.params[fmt.Sprintf("log_archive_dest_%d", n+1)] = value
	}
	if c.PDBs != nil {
		i.params["enable_pluggable_database"] = "TRUE"
	}
	path := i.spfilePath()
	if c.NoSPFile {
		path = i.pfilePath()
	} else {
		i.spfile = path
	}
	if err := i.writeParameters(path); err != nil {
		return err
	}
	return os.WriteFile(i.PasswordFile(), []byte("\x00\x00\x00\x00ORACLE Remote Password file\x00"+c.SID), 0o640)
}

// spfileMark begins a server parameter file, which is binary.
const spfileMark = "\x43\x22\x00\x00SPFILE\x00\n"

func (i *Instance) writeParameters(path string) error {
	text := i.params.text()
	if strings.HasPrefix(filepath.Base(path), "spfile") {
		text = spfileMark + text
	}
	return os.WriteFile(path, []byte(text), 0o640)
}

func readParameters(path string) (parameters, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, stack(fault(1078, "failure in processing system parameters"), lrm("LRM-00109: could not open parameter file '"+path+"'"))
	}
	return parseParameters(strings.TrimPrefix(string(b), spfileMark))
}

// createPfile is CREATE PFILE, or CREATE SPFILE.
func (i *Instance) createPfile(path, from string, server bool) error {
	p := i.params
	switch {
	case from == "MEMORY":
		if i.state == Down {
			return fault(1034, "ORACLE not available")
		}
	case from == "" && server:
		from = i.pfilePath()
	case from == "":
		if from = i.spfile; i.state == Down {
			from = i.spfilePath()
		}
		if from == "" {
			return fault(1565, "error in identifying file '?=/dbs/spfile@.ora'")
		}
	}
	if from != "MEMORY" {
		var err error
		if p, err = readParameters(from); err != nil {
			return stack(fault(1565, "error in identifying file '%s'", from), fault(27037, "unable to obtain file status"))
		}
	}
	if path == "" {
		if path = i.pfilePath(); server {
			path = i.spfilePath()
		}
	}
	if err := creatable(path, true); err != nil {
		return err
	}
	text := p.text()
	if server {
		if path == i.spfile {
			return fault(32002, "cannot create SPFILE already being used by the instance")
		}
		text = spfileMark + text
	}
	return os.WriteFile(path, []byte(text), 0o640)
}

// archiveDest is LOG_ARCHIVE_DEST_n.
type archiveDest struct {
	Dir   string
	FRA   bool
	State string // VALID, DEFERRED
	Error string
}

// dests are the destinations by number.
func (i *Instance) dests() (all []*archiveDest) {
	for n := 1; n <= 31; n++ {
		d := i.dest(n)
		if d.Dir == "" && n > len(i.config.ArchiveDests) {
			return all
		}
		all = append(all, d)
	}
	return all
}

func (i *Instance) dest(n int) *archiveDest {
	if d := i.destStates[n]; d != nil {
		return d
	}
	value := strings.TrimPrefix(i.params.get(fmt.Sprintf("log_archive_dest_%d", n)), "LOCATION=")
	d := &archiveDest{Dir: value, State: "VALID"}
	if value == recoveryDest {
		d.Dir, d.FRA = i.params.get("db_recovery_file_dest"), true
	}
	if value == "" {
		d.State = "INACTIVE"
	}
	i.destStates[n] = d
	return d
}

// DeferDest makes the archiver leave out a destination, or use it again.
func (i *Instance) DeferDest(n int, deferred bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.dest(n).State = "VALID"
	if deferred {
		i.dest(n).State = "DEFERRED"
	}
}
