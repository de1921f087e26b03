package exchange

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Names of the writers of Exchange. The first serves active copies, the second the passive copies of a database availability group of Exchange 2010.
const (
	storeWriter       = "Microsoft Exchange Writer"
	storeWriterID     = "{76fe1ac4-15f7-4bcd-987e-8e1acb462fb7}"
	replicaWriter     = "Microsoft Exchange Replica Writer"
	componentsOf      = `Microsoft Exchange Server\Microsoft Information Store`
	majorOfComponents = 14 // the components of older versions have other names, which are not known here
)

// otherWriters are writers that have no part in a backup of Exchange. A full session of diskshadow would tell them too that their data are backed up, after which SQL Server for one counts its differential backups from there.
// They are those that Microsoft's own test of Exchange backups leaves out (CSS-Exchange, VSSTester).
var otherWriters = [...]string{
	"{e8132975-6f93-4464-a53e-1050253ae220}", "{2a40fd15-dfca-4aa8-a654-1f8c654603f6}", "{35e81631-13e1-48db-97fc-d5bc721bb18a}", "{be000cbe-11fe-4426-9c58-531aa6355fc4}",
	"{4969d978-be47-48b0-b100-f328f07ac1e0}", "{a6ad56c2-b509-4e6c-bb19-49d8f43532f0}", "{afbab4a2-367d-4d15-a586-71dbb18f8485}", "{59b1f0cf-90ef-465f-9609-6ca8b2938366}",
	"{542da469-d3e1-473c-9f4f-7847f01fc64f}", "{4dc3bdd4-ab48-4d07-adb0-3bee2926fd7f}", "{41e12264-35d8-479b-8e5c-9b23d1dad37e}", "{12ce4370-5bb7-4c58-a76a-e5d5097e3674}",
	"{cd3f2362-8bef-46c7-9181-d62844cdc062}", "{dd846aaa-a1b6-42a8-aaf8-03dcb6114bfd}", "{b2014c9e-8711-4c5c-a5a9-3cf384484757}", "{be9ac81e-3619-421f-920f-4c6fea9e93ad}",
	"{f08c1483-8407-4a26-8c26-6c267a629741}", "{6f5b15b5-da24-4d88-b737-63063e3a1f86}", "{368753ec-572e-4fc7-b4b9-ccd9bdc624cb}", "{5382579c-98df-47a7-ac6c-98a6d7106e09}",
	"{d61d61c8-d73a-4eee-8cdd-f6f9786b7124}", "{75dfb225-e2e4-4d39-9ac9-ffaff65ddf06}", "{0bada1de-01a9-4625-8278-69e735f39dd2}", "{a65faa63-5ea8-4ebc-9dbd-a0c4db26912a}",
}

// script is the text for diskshadow that makes a snapshot, waits at the gate and ends the backup. Nothing is deleted in it: when it ends well the backup has ended, and nothing else that could fail comes between.
func (n *shadowNote) script(r ShadowRequest, server string) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\r\n", args...) }
	line("set verbose on")
	line("set context persistent") // only such a shadow copy can be exposed
	line("set metadata %s", scriptPath(n.metadata()))
	for _, id := range otherWriters {
		line("writer exclude %s", id)
	}
	for _, w := range verified(r, server) {
		line("writer verify %s", w)
	}
	for _, g := range r.Exclude {
		for _, d := range g.Databases {
			line(`writer exclude "%s"`, component(g, d, server))
		}
	}
	if !r.Copy { // without a session it is a copy, after which no log is truncated ("diskshadow" of the Windows commands)
		line("begin backup")
	}
	for _, v := range n.Volumes {
		line("add volume %s alias %s", v.Volume, v.Alias)
	}
	line("create")
	for _, v := range n.Volumes {
		line("expose %%%s%% %s", v.Alias, scriptPath(v.Exposed))
	}
	line("exec %s", scriptPath(n.path(gateFile)))
	if !r.Copy {
		line("end backup")
	}
	line("exit")
	return b.String()
}

// verified are the writers that must take part, else diskshadow fails.
func verified(r ShadowRequest, server string) []string {
	var out []string
	passive := 0
	for _, g := range r.Include {
		if r.Major == majorOfComponents && !g.activeOn(server) {
			passive++
		}
	}
	if passive < max(len(r.Include), 1) {
		out = append(out, storeWriterID)
	}
	if passive > 0 {
		out = append(out, `"`+replicaWriter+`"`)
	}
	return out
}

// component is the full name of the component of a database (CSS-Exchange, VSSTester).
func component(g Group, d Database, server string) string {
	if g.activeOn(server) {
		return storeWriter + `:\` + componentsOf + `\` + server + `\` + d.GUID
	}
	return replicaWriter + `:\` + componentsOf + `\Replica\` + server + `\` + d.GUID
}

// activeOn reports whether the copy of a server is the active one. A database without copies is.
func (g Group) activeOn(server string) bool {
	for _, d := range g.Databases {
		for _, c := range d.Copies {
			if strings.EqualFold(c.Server, server) && !c.Active {
				return false
			}
		}
	}
	return true
}

// deletion is a script that deletes what is exposed in a folder.
func deletion(exposed string) string {
	return fmt.Sprintf("delete shadows exposed %s\r\nexit\r\n", scriptPath(exposed))
}

// deletionByAlias is a script that deletes what was created and never exposed: the metadata know the alias ("add alias" of the Windows commands).
func deletionByAlias(metadata, alias string) string {
	return fmt.Sprintf("load metadata %s\r\ndelete shadows id %%%s%%\r\nexit\r\n", scriptPath(metadata), alias)
}

// scriptPath puts a path with blanks in quotes.
func scriptPath(path string) string {
	if strings.Contains(path, " ") {
		return `"` + path + `"`
	}
	return path
}

// scriptable tells whether a path can stand in a script: how diskshadow reads other characters is written nowhere.
func scriptable(path string) error {
	for _, c := range path {
		if c < ' ' || c > '~' || strings.ContainsRune(`"%<>|*?`, c) {
			return fmt.Errorf("%q has the character %q, which cannot stand in a script for diskshadow", path, c)
		}
	}
	return nil
}

// vssError is a number that VSS answers with. Numbers are the same in all languages of Windows.
type vssError struct{ number, name, advice string }

// vssErrors are from the VSS documentation (vsserror.h).
var vssErrors = [...]vssError{
	{"0x80042301", "VSS_E_BAD_STATE", "look for another backup program that uses VSS at the same time"},
	{"0x80042308", "VSS_E_OBJECT_NOT_FOUND", ""},
	{"0x8004230c", "VSS_E_VOLUME_NOT_SUPPORTED", "the volume cannot have shadow copies: it must be NTFS or ReFS and local"},
	{"0x80042313", "VSS_E_FLUSH_WRITES_TIMEOUT", "the disks were too busy: move the backup to a quieter time"},
	{"0x80042314", "VSS_E_HOLD_WRITES_TIMEOUT", "the disks were too busy: move the backup to a quieter time"},
	{"0x80042316", "VSS_E_SNAPSHOT_SET_IN_PROGRESS", "another program makes a shadow copy: try again when it has ended"},
	{"0x80042317", "VSS_E_MAXIMUM_NUMBER_OF_SNAPSHOTS_REACHED", "the volume has as many shadow copies as it can: delete old ones, see vssadmin list shadows"},
	{"0x8004231f", "VSS_E_INSUFFICIENT_STORAGE", "give shadow copies more room: vssadmin resize shadowstorage"},
	{"0x80042336", "VSS_E_WRITERERROR_PARTIAL_FAILURE", "see the application log of Windows for the database that failed"},
	{"0x800423f0", "VSS_E_WRITERERROR_INCONSISTENTSNAPSHOT", "the shadow copy lacks volumes that the writer needs"},
	{"0x800423f1", "VSS_E_WRITERERROR_OUTOFRESOURCES", "the writer is short of memory or other resources: see the application log of Windows"},
	{"0x800423f2", "VSS_E_WRITERERROR_TIMEOUT", "the writer could not freeze in time: move the backup to a quieter time"},
	{"0x800423f3", "VSS_E_WRITERERROR_RETRYABLE", "vssadmin list writers shows the writer; try again, and restart its service if that does not help"},
	{"0x800423f4", "VSS_E_WRITERERROR_NONRETRYABLE", "vssadmin list writers shows the writer; see the application log of Windows, and restart its service"},
}

var vssNumber = regexp.MustCompile(`(?i)0x8004[0-9a-f]{4}`)

// vssIn finds the first known number in what diskshadow printed.
func vssIn(output string) (vssError, bool) {
	for _, n := range vssNumber.FindAllString(output, -1) {
		if i := slices.IndexFunc(vssErrors[:], func(e vssError) bool { return strings.EqualFold(e.number, n) }); i >= 0 {
			return vssErrors[i], true
		}
	}
	return vssError{}, false
}
