package mssqlsim

import (
	"fmt"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/tds"
)

const collation = "SQL_Latin1_General_CP1_CI_AS"

// databaseVersion is the internal number of the format of databases.
func databaseVersion(v tds.Version) int {
	switch v.Major {
	case 10:
		return 661
	case 11:
		return 706
	case 12:
		return 782
	case 13:
		return 852
	case 14:
		return 869
	case 15:
		return 904
	case 16:
		return 957
	default:
		return 998
	}
}

func versionText(v tds.Version) string { return fmt.Sprintf("%d.%02d.%04d", v.Major, v.Minor, v.Build) }

// machine is the computer of a server: what stands before the instance.
func machine(server string) string {
	name, _, _ := strings.Cut(server, `\`)
	return name
}

// global is an expression like @@SPID.
func global(name string) expression {
	return func(s *scope) (field, error) {
		c := s.in.config
		switch strings.ToUpper(name) {
		case "@@SPID":
			return field{typ: tds.SmallInt(), value: int(s.session.ID)}, nil
		case "@@SERVERNAME":
			return text(c.Name), nil
		case "@@VERSION":
			v := c.Version
			return text(fmt.Sprintf("Microsoft SQL Server (simulated) - %d.%d.%d.0 (X64)", v.Major, v.Minor, v.Build)), nil
		}
		return field{}, unknown("SELECT " + name)
	}
}

func text(v any) field { return field{typ: tds.NVarChar(300), value: v} }

func whole(v any) field { return field{typ: tds.Int(), value: v} }

// function computes the value of a call.
type function func(*scope, []any) (field, error)

// functions are those that SELECT knows.
func functions() map[string]function {
	clock := func(typ tds.Type, zone *time.Location) function {
		return func(s *scope, _ []any) (field, error) {
			now := s.in.config.Now()
			if zone != nil {
				now = now.In(zone)
			}
			return field{typ: typ, value: now}, nil
		}
	}
	return map[string]function{
		"DB_NAME":           dbName,
		"DB_ID":             dbID,
		"ISNULL":            coalesce,
		"COALESCE":          coalesce,
		"SERVERPROPERTY":    property,
		"SUSER_SNAME":       login,
		"ORIGINAL_LOGIN":    login,
		"SYSDATETIMEOFFSET": clock(tds.DateTimeOffset(), nil),
		"SYSDATETIME":       clock(tds.DateTime2(), nil),
		"GETDATE":           clock(tds.DateTime(), nil),
		"SYSUTCDATETIME":    clock(tds.DateTime2(), time.UTC),
		"GETUTCDATE":        clock(tds.DateTime(), time.UTC),
		"IS_SRVROLEMEMBER":  inRole,
		"HAS_PERMS_BY_NAME": hasPermission,
		"SYS.FN_HADR_BACKUP_IS_PREFERRED_REPLICA":        preferred,
		"MASTER.SYS.FN_HADR_BACKUP_IS_PREFERRED_REPLICA": preferred,
	}
}

func login(s *scope, _ []any) (field, error) { return text(s.session.Login.User), nil }

func coalesce(_ *scope, args []any) (field, error) {
	for _, v := range args {
		if v != nil {
			return field{typ: typeOf(v), value: v}, nil
		}
	}
	return text(nil), nil
}

func dbName(s *scope, args []any) (field, error) {
	if len(args) == 0 {
		return text(s.session.Database()), nil
	}
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	for _, d := range s.in.databases {
		if args[0] != nil && compare(args[0], d.id) == 0 {
			return text(d.name), nil
		}
	}
	return text(nil), nil
}

func dbID(s *scope, args []any) (field, error) {
	name := any(s.session.Database())
	if len(args) > 0 {
		name = args[0]
	}
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	if d := s.in.find(plain(name)); d != nil && name != nil {
		return field{typ: tds.SmallInt(), value: d.id}, nil
	}
	return field{typ: tds.SmallInt()}, nil
}

// property answers SERVERPROPERTY, in the type the value has; the real one is wrapped in sql_variant. An unknown property is NULL, as on a server.
func property(s *scope, args []any) (field, error) {
	if len(args) != 1 || args[0] == nil {
		return text(nil), nil
	}
	c, v := s.in.config, s.in.config.Version
	engine := 3
	switch {
	case strings.HasPrefix(c.Edition, "Express"):
		engine = 4
	case strings.HasPrefix(c.Edition, "Standard"), strings.HasPrefix(c.Edition, "Web"):
		engine = 2
	}
	_, instance, named := strings.Cut(c.Name, `\`)
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	single, hadr := 0, 0
	if s.in.single {
		single = 1
	}
	for _, d := range s.in.databases {
		if d.replica != nil {
			hadr = 1
		}
	}
	values := map[string]field{
		"servername": text(c.Name), "machinename": text(machine(c.Name)), "edition": text(c.Edition), "collation": text(collation),
		"productversion":          text(fmt.Sprintf("%d.%d.%d.0", v.Major, v.Minor, v.Build)),
		"productlevel":            text("RTM"),
		"instancedefaultdatapath": text(c.DataPath), "instancedefaultlogpath": text(c.LogPath), "instancedefaultbackuppath": text(`S:\backup\`),
		"instancename": text(nil), "productmajorversion": text(fmt.Sprint(v.Major)), "productminorversion": text(fmt.Sprint(v.Minor)),
		"engineedition": whole(engine), "ishadrenabled": whole(hadr), "issingleuser": whole(single), "isclustered": whole(0),
		"processid": whole(4321),
	}
	if named {
		values["instancename"] = text(instance)
	}
	if f, ok := values[strings.ToLower(plain(args[0]))]; ok {
		return f, nil
	}
	return text(nil), nil
}

// inRole answers IS_SRVROLEMEMBER: 1, 0, or NULL for a role that does not exist. sysadmin is in every role.
func inRole(s *scope, args []any) (field, error) {
	if len(args) != 1 {
		return field{}, unknown("IS_SRVROLEMEMBER of another login")
	}
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	r := s.in.right(s.session)
	member := r == SysAdmin
	switch strings.ToLower(plain(args[0])) {
	case "sysadmin", "serveradmin", "securityadmin", "processadmin", "setupadmin", "bulkadmin", "diskadmin":
	case "dbcreator":
		member = member || r == Creator
	case "public":
		member = true
	default:
		return whole(nil), nil
	}
	if member {
		return whole(1), nil
	}
	return whole(0), nil
}

// hasPermission answers HAS_PERMS_BY_NAME for the server and for databases.
func hasPermission(s *scope, args []any) (field, error) {
	if len(args) != 3 {
		return field{}, unknown("HAS_PERMS_BY_NAME with other than three arguments")
	}
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	r := s.in.right(s.session)
	permission := strings.ToUpper(plain(args[2]))
	has := r == SysAdmin
	switch {
	case args[0] == nil && args[1] == nil:
		switch permission {
		case "VIEW SERVER STATE", "VIEW ANY DEFINITION", "ALTER ANY CREDENTIAL", "CONTROL SERVER", "VIEW SERVER PERFORMANCE STATE", "VIEW SERVER SECURITY STATE":
		case "CREATE ANY DATABASE", "ALTER ANY DATABASE":
			has = has || r == Creator
		case "VIEW ANY DATABASE", "CONNECT SQL":
			has = true
		default:
			return whole(nil), nil
		}
	case args[0] != nil && strings.EqualFold(plain(args[1]), "DATABASE"):
		name := plain(args[0])
		if strings.HasPrefix(name, "[") && strings.HasSuffix(name, "]") {
			name = strings.ReplaceAll(name[1:len(name)-1], "]]", "]")
		}
		if s.in.find(name) == nil {
			return whole(nil), nil
		}
		switch permission {
		case "BACKUP DATABASE", "BACKUP LOG":
			has = has || r == BackupOperator
		case "CREATE DATABASE", "ALTER":
			has = has || r == Creator
		case "CONTROL":
		case "CONNECT":
			has = has || r != NoRight
		default:
			return whole(nil), nil
		}
	default:
		return field{}, unknown("HAS_PERMS_BY_NAME of a " + plain(args[1]))
	}
	if has {
		return whole(1), nil
	}
	return whole(0), nil
}

// preferred answers sys.fn_hadr_backup_is_preferred_replica: 1 as well for a database in no availability group.
func preferred(s *scope, args []any) (field, error) {
	if len(args) != 1 || args[0] == nil {
		return field{typ: tds.Bit()}, nil
	}
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	d := s.in.find(plain(args[0]))
	if d == nil {
		return field{typ: tds.Bit(), value: false}, nil
	}
	return field{typ: tds.Bit(), value: d.replica == nil || d.replica.Preferred}, nil
}
