package mssqlsim

import (
	"crypto/sha1" //nolint:gosec // the thumbprint of a certificate is its SHA-1
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/tds"
)

// Right is what a login may do.
type Right int

// The rights a login can have.
const (
	// SysAdmin may do everything.
	SysAdmin Right = iota
	// BackupOperator is in db_backupoperator of every database, and nothing else.
	BackupOperator
	// Creator is in dbcreator: it creates, alters, restores and drops databases.
	Creator
	// NoRight may only connect to master.
	NoRight
)

func (in *Instance) right(s *tds.Session) Right {
	for name, r := range in.config.Rights {
		if strings.EqualFold(name, s.Login.User) {
			return r
		}
	}
	return SysAdmin
}

// Certificate is one of master, which encrypts backups or databases.
type Certificate struct {
	Name string
	// Thumbprint is made from the name when it is nil. Put the same one into another instance to move a certificate there.
	Thumbprint []byte
	// Expires defaults to ten years from now, KeyBackedUp to never.
	Expires, KeyBackedUp time.Time
	// Asymmetric makes it an asymmetric key instead, which has no dates.
	Asymmetric bool
}

// AddCertificate puts a certificate or an asymmetric key into master and returns it with what was left to the instance.
func (in *Instance) AddCertificate(c Certificate) Certificate {
	in.mu.Lock()
	defer in.mu.Unlock()
	if c.Thumbprint == nil {
		sum := sha1.Sum([]byte(in.config.Name + "/" + c.Name)) //nolint:gosec // as above
		c.Thumbprint = sum[:]
	}
	if c.Expires.IsZero() {
		c.Expires = in.config.Now().AddDate(10, 0, 0)
	}
	in.certificates = append(in.certificates, c)
	return c
}

// RemoveCertificate takes a certificate out of master.
func (in *Instance) RemoveCertificate(name string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.certificates = slices.DeleteFunc(in.certificates, func(c Certificate) bool { return strings.EqualFold(c.Name, name) })
}

func (in *Instance) certificate(name string, asymmetric bool) (Certificate, bool) {
	i := slices.IndexFunc(in.certificates, func(c Certificate) bool { return strings.EqualFold(c.Name, name) && c.Asymmetric == asymmetric })
	if i < 0 {
		return Certificate{}, false
	}
	return in.certificates[i], true
}

func (in *Instance) holdsKey(thumbprint []byte) bool {
	return len(thumbprint) == 0 || slices.ContainsFunc(in.certificates, func(c Certificate) bool { return slices.Equal(c.Thumbprint, thumbprint) })
}

// Encrypt turns transparent data encryption of a database on, with a certificate of master.
func (in *Instance) Encrypt(name, certificate string) error {
	return in.change(name, func(d *database) error {
		if _, ok := in.certificate(certificate, false); !ok {
			return fmt.Errorf("mssqlsim: no certificate %q", certificate)
		}
		d.certificate = certificate
		return nil
	})
}

// Replica is the part a database has in an availability group here.
type Replica struct {
	Group    string
	Primary  bool
	Readable bool // a secondary that answers queries
	// Preferred is what sys.fn_hadr_backup_is_preferred_replica says.
	Preferred bool
	// NotSynchronizing: a secondary that is neither SYNCHRONIZED nor SYNCHRONIZING.
	NotSynchronizing bool

	group, replica, database tds.GUID
}

// JoinGroup makes a database part of an availability group, or changes its part. The log of the other replicas is not simulated.
func (in *Instance) JoinGroup(name string, r Replica) error {
	r.group, r.replica, r.database = newGUID(), newGUID(), newGUID()
	return in.change(name, func(d *database) error { d.replica = &r; return nil })
}

// LeaveGroup takes a database out of its availability group.
func (in *Instance) LeaveGroup(name string) error {
	return in.change(name, func(d *database) error { d.replica = nil; return nil })
}

// AddFile gives a database another data file or container. Its ID is set by the instance.
func (in *Instance) AddFile(name string, f File) error {
	return in.change(name, func(d *database) error {
		for _, other := range d.files {
			f.ID = max(f.ID, other.ID)
		}
		f.ID++
		d.files = append(d.files, f)
		return nil
	})
}

// LeaveFile puts a file that belongs to no database where one could be restored to.
func (in *Instance) LeaveFile(path string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.foreign[plainPath(path)] = true
}

// SetState puts a database into a state, as failures and operators do. Restoring means that a restore was begun and not ended.
func (in *Instance) SetState(name string, s State) error {
	return in.change(name, func(d *database) error {
		if !slices.Contains([]State{Online, Restoring, RecoveryPending, Suspect, Emergency, Offline}, s) {
			return fmt.Errorf("mssqlsim: there is no state %q", s)
		}
		d.state = s
		return nil
	})
}

// SetReadOnly makes a database read-only or not.
func (in *Instance) SetReadOnly(name string, yes bool) error {
	return in.change(name, func(d *database) error { d.readOnly = yes; return nil })
}

// Corrupt makes one page of a database unreadable: DBCC CHECKDB and BACKUP WITH CHECKSUM find it, BACKUP without does not look.
func (in *Instance) Corrupt(name string) error {
	return in.change(name, func(d *database) error { d.damaged = true; return nil })
}

// LoseData destroys the data files of a database. Its log is still there: only BACKUP LOG with NO_TRUNCATE or CONTINUE_AFTER_ERROR can save it.
func (in *Instance) LoseData(name string) error {
	return in.change(name, func(d *database) error { d.lost, d.state = true, RecoveryPending; return nil })
}

// Capture turns change data capture, and replication of a database on.
func (in *Instance) Capture(name string) error {
	return in.change(name, func(d *database) error { d.captured, d.published = true, true; return nil })
}

// Snapshot makes a database snapshot.
func (in *Instance) Snapshot(of, name string) error {
	if err := in.CreateDatabase(name, Simple); err != nil {
		return err
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	d, source := in.find(name), in.find(of)
	if source == nil {
		return fmt.Errorf("mssqlsim: no database %q", of)
	}
	d.snapshotOf, d.readOnly, d.records = source, true, slices.Clone(source.records)
	return nil
}

func (in *Instance) change(name string, f func(*database) error) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	d := in.find(name)
	if d == nil {
		return fmt.Errorf("mssqlsim: no database %q", name)
	}
	return f(d)
}

// Restart starts the server again, after a restore of master stopped it or as an operator does. All sessions end.
func (in *Instance) Restart(single bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.stopped, in.single = false, single
	for _, p := range in.sessions {
		p.killed = true
	}
	for s := range in.sessions {
		delete(in.sessions, s)
	}
}

// createDatabase is CREATE DATABASE name.
func (in *Instance) createDatabase(s *tds.Session, st createStatement) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case in.right(s) != SysAdmin && in.right(s) != Creator:
		return denied("CREATE DATABASE", "master")
	case in.find(st.database) != nil:
		return failure(1801, "Database '%s' already exists. Choose a different database name.", st.database)
	}
	in.create(st.database, Full)
	return nil
}

// drop is DROP DATABASE.
func (in *Instance) drop(s *tds.Session, st dropStatement) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, name := range st.databases {
		d := in.find(name)
		if d == nil && st.ifExists {
			continue
		}
		if d == nil || in.right(s) != SysAdmin && in.right(s) != Creator {
			m := failure(3701, "Cannot drop the database '%s', because it does not exist or you do not have permission.", name)
			m.Class = 11
			return m
		}
		if err := in.droppable(s, d); err != nil {
			return err
		}
		in.databases = slices.DeleteFunc(in.databases, func(other *database) bool { return other == d })
	}
	return nil
}

func (in *Instance) droppable(s *tds.Session, d *database) error {
	switch {
	case d.system():
		return failure(3708, "Cannot drop the database '%s' because it is a system database.", d.name)
	case in.occupied(d, nil) || d.busy:
		return failure(3702, "Cannot drop database \"%s\" because it is currently in use.", d.name)
	case d.replica != nil:
		return failure(3752, "The database '%s' is currently joined to an availability group.  Before you can drop the database, you need to remove it from the availability group.", d.name)
	}
	return nil
}

func (d *database) system() bool {
	return slices.Contains([]string{"master", "tempdb", "model", "msdb"}, strings.ToLower(d.name))
}

// alter is ALTER DATABASE .. SET. What it cannot do is said in one message and given up in another.
func (in *Instance) alter(s *tds.Session, st alterStatement, a *tds.Answer) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	d := in.find(st.database)
	if d == nil {
		return noDatabase(st.database)
	}
	err := in.set(s, d, st)
	var m tds.Message
	if errors.As(err, &m) && m.Number != 5052 && m.Number != 50000 {
		return errors.Join(a.Message(m), failure(5069, "ALTER DATABASE statement failed."))
	}
	return err
}

func (in *Instance) set(s *tds.Session, d *database, st alterStatement) error {
	switch {
	case in.right(s) != SysAdmin && in.right(s) != Creator:
		m := failure(5011, "User does not have permission to alter database '%s', the database does not exist, or the database is not in a state that allows access checks.", d.name)
		m.Class = 14
		return m
	case d.state == Restoring:
		return failure(5052, "ALTER DATABASE is not permitted while a database is in the Restoring state.")
	case d.access == singleUser && in.occupied(d, s):
		return failure(5064, "Changes to the state or options of database '%s' cannot be made at this time. "+
			"The database is in single-user mode, and a user is currently connected to it.", d.name)
	case st.recovery != "":
		if st.recovery == Simple {
			d.logStart = 0
		}
		d.model = st.recovery
		return nil
	}
	alone := st.access == singleUser || st.access == restrictedUser || st.state == Offline || st.state == Emergency
	if alone && in.occupied(d, s) {
		switch st.termination {
		case "NO_WAIT":
			return failure(5070, "Database state cannot be changed while other users are using the database '%s'", d.name)
		case "":
			// The server would wait for the other sessions to leave; here nobody would end the wait.
			return unknown("ALTER DATABASE that waits for other sessions")
		}
		in.expel(s, d)
	}
	if st.access != "" {
		d.access = st.access
		return nil
	}
	if st.state == Online && d.lost {
		return failure(945, "Database '%s' cannot be opened due to inaccessible files or insufficient memory or disk space. See the SQL Server errorlog for details.", d.name)
	}
	d.state = st.state
	return nil
}

// expel ends the sessions in a database but for one.
func (in *Instance) expel(but *tds.Session, d *database) {
	for other, p := range in.sessions {
		if other != but && strings.EqualFold(p.database, d.name) {
			p.killed, p.database = true, ""
		}
	}
}

// credential is an S3 key by the URL it is for.
type credential struct {
	name, identity, secret string
	created                time.Time
}

// credential is CREATE, ALTER and DROP CREDENTIAL.
func (in *Instance) credential(s *tds.Session, st credentialStatement) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	i := slices.IndexFunc(in.credentials, func(c credential) bool { return strings.EqualFold(c.name, st.name) })
	switch {
	case in.right(s) != SysAdmin:
		m := failure(15247, "User does not have permission to perform this action.")
		return m
	case st.verb == "CREATE" && i >= 0:
		return failure(15530, "The credential with name \"%s\" already exists.", st.name)
	case st.verb != "CREATE" && i < 0:
		return failure(15151, "Cannot %s the credential '%s', because it does not exist or you do not have permission.", strings.ToLower(st.verb), st.name)
	case st.verb == "DROP":
		in.credentials = slices.Delete(in.credentials, i, i+1)
		return nil
	}
	c := credential{name: st.name, identity: st.identity, secret: st.secret, created: in.config.Now()}
	if st.verb == "ALTER" {
		in.credentials[i] = c
	} else {
		in.credentials = append(in.credentials, c)
	}
	return nil
}
