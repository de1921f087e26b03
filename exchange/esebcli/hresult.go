package esebcli

import "fmt"

// HRESULT is what the library answers. Every error of an API, Session, File, Restore or RestoreFile that is the library's own has one in its tree; 0 is success and never an error.
type HRESULT uint32

// What the library is known to answer [BAC], and what Windows answers in its place.
const (
	HrRestoreAtFileLevel HRESULT = 0xC7FF0FA5 // no failure: the caller writes the file
	HrErrorFromESECall   HRESULT = 0xC7FF1004
	HrDatabaseInUse      HRESULT = 0xC7FE1F41 // it is mounted, or may not be overwritten
	HrDatabaseNotFound   HRESULT = 0xC7FE1F42
	HrBackupInProgress   HRESULT = 0xC80001F9
	HrNoBackup           HRESULT = 0xC8000208 // JET_errNoBackup, by the pattern
	HrInvalidSequence    HRESULT = 0xC8000209 // JET_errInvalidBackupSequence, by the pattern
	HrMissingFullBackup  HRESULT = 0xC8000230
	HrLogBadSignature    HRESULT = 0xC8000262
	HrLogNotContiguous   HRESULT = 0xC8000263
	HrAccessDenied       HRESULT = 0x80070005 // E_ACCESSDENIED
	HrInvalidArgument    HRESULT = 0x80070057 // E_INVALIDARG
	HrFileNotFound       HRESULT = 0x80070002 // ERROR_FILE_NOT_FOUND
	HrPrivilegeNotHeld   HRESULT = 0x80070522 // ERROR_PRIVILEGE_NOT_HELD
	HrServerUnavailable  HRESULT = 0x800706BA // RPC_S_SERVER_UNAVAILABLE
	hrJET                HRESULT = 0xC8000000
	hrMaskFacility       HRESULT = 0xFFFF0000
	hrBackup             HRESULT = 0xC7FF0000
	hrCallback           HRESULT = 0xC7FE0000
)

// FromJET is how the library answers with an error of the engine, which is negative: 0xC8000000 and its amount. The pattern is inferred from the numbers that are known.
func FromJET(code int) HRESULT { return hrJET | HRESULT(uint16(-code)) }

// JET is the error of the engine behind the answer, negative, or 0 if there is none.
func (h HRESULT) JET() int {
	if h&hrMaskFacility != hrJET {
		return 0
	}
	return -int(h &^ hrMaskFacility)
}

// Error reads "hrMissingFullBackup 0xC8000230 (JET -560): there is no full backup of every database by the same way".
func (h HRESULT) Error() string {
	m := h.meaning()
	name := m.name
	if name == "" {
		name = "HRESULT"
	}
	s := fmt.Sprintf("%s 0x%08X", name, uint32(h))
	if code := h.JET(); code != 0 {
		s += fmt.Sprintf(" (JET %d)", code)
	}
	if m.text != "" {
		s += ": " + m.text
	}
	return s
}

// Hint says in one sentence what an operator can do, or is empty.
func (h HRESULT) Hint() string { return h.meaning().hint }

// meaning finds what is known about h.
func (h HRESULT) meaning() meaning {
	for _, m := range meanings {
		if m.code == h {
			return m
		}
	}
	return meaning{code: h}
}

// needsDetail reports whether GetLastError has the cause: the answer is hrErrorFromESECall, or hrErrorFromCallbackCall [SDK03], of which no number is known, so that any unknown answer of those two kinds is looked at.
func (h HRESULT) needsDetail() bool {
	if h == HrErrorFromESECall {
		return true
	}
	facility := h & hrMaskFacility
	return h.meaning().text == "" && (facility == hrBackup || facility == hrCallback)
}

// meaning is what is known about an answer: its name [BAC], what it says, and what to do.
type meaning struct {
	code             HRESULT
	name, text, hint string
}

// The answers of the library [BAC], those of the engine by the pattern [ESE], and those of Windows.
var meanings = [...]meaning{
	{HrRestoreAtFileLevel, "hrRestoreAtFileLevel", "the caller writes the file itself", ""},
	{HrErrorFromESECall, "hrErrorFromESECall", "the engine failed", "look for an event of the source ESE or ESE BACKUP in the application log of the server"},
	{HrDatabaseInUse, "hrCBDatabaseInUse", "the database is mounted, or may not be overwritten", "dismount the database and mark it as \"can be overwritten by a restore\""},
	{HrDatabaseNotFound, "hrCBDatabaseNotFound", "the server has no such database", "create the storage group and the database with the names they had, or name another target"},
	{HrBackupInProgress, "hrBackupInProgress", "another backup of this storage group is running", "wait until it has ended; one that hangs ends with the process that began it"},
	{HrMissingFullBackup, "hrMissingFullBackup", "there is no full backup of every database by the same way", "take a full backup of the storage group"},
	{HrLogBadSignature, "hrLogfileHasBadSignature", "a log is of another series", "keep only logs of one backup and its log backups in the restore path"},
	{HrLogNotContiguous, "hrLogfileNotContiguous", "a log is missing in the series", "restore every log backup since the full, none left out"},

	{FromJET(-501), "", "a log is corrupt", "restore the log again and compare its checksum"},
	{HrNoBackup, "", "no backup is in progress", ""},
	{HrInvalidSequence, "", "the call is out of order", ""},
	{FromJET(-513), "", "the generation in a log does not match its name", "do not rename logs"},
	{FromJET(-514), "", "the logs are of another version of the engine", "restore with the version of Exchange that was backed up"},
	{FromJET(-515), "", "the logs are no series", "keep only logs of one backup and its log backups in the restore path"},
	{FromJET(-523), "", "a backup is not allowed yet", "try again when the storage group has been mounted"},
	{FromJET(-526), "", "there is no backup of logs alone with circular logging", "turn circular logging off and take a full backup, or take full backups only"},
	{FromJET(-528), "", "a log is missing", "restore every log backup since the full, none left out"},
	{FromJET(-530), "", "a log is of another series", "keep only logs of one backup and its log backups in the restore path"},
	{FromJET(-531), "", "a database is not the one that the logs are about", "restore databases and logs of the same storage group"},
	{FromJET(-532), "", "the checkpoint is of another series of logs", "remove the checkpoint from the restore path"},
	{FromJET(-533), "", "the checkpoint is damaged", "remove the checkpoint from the restore path"},
	{FromJET(-541), "", "a log has another size than the storage group uses", "restore with the version of Exchange that was backed up"},
	{FromJET(-543), "", "logs are missing that the database needs", "restore the full with all logs that it came with"},
	{FromJET(-550), "", "the database was not shut down cleanly", "recover it with its logs"},
	{FromJET(-557), "", "logs of the backup are missing", "restore the full with all logs that it came with"},
	{FromJET(-582), "", "logs are missing that were committed", "restore every log backup since the full, none left out"},
	{FromJET(-590), "", "a log was changed after the next one began", "restore the log again and compare its checksum"},
	{FromJET(-1018), "", "a page has a wrong checksum", "restore the database: it is damaged; look at the disk first"},
	{FromJET(-1206), "", "the database is corrupt", "restore the database: it is damaged; look at the disk first"},
	{FromJET(-1213), "", "the database has another page size", "restore with the version of Exchange that was backed up"},
	{FromJET(-1812), "", "the file is of another type", ""},

	{HrAccessDenied, "E_ACCESSDENIED", "access is denied", "run under an account that is a member of Backup Operators on the server, or an administrator"},
	{HrInvalidArgument, "E_INVALIDARG", "an argument is wrong", ""},
	{HrFileNotFound, "ERROR_FILE_NOT_FOUND", "there is no such file", ""},
	{HrPrivilegeNotHeld, "ERROR_PRIVILEGE_NOT_HELD", "a privilege is not held", "give the account \"Back up files and directories\" and \"Restore files and directories\", and run it elevated"},
	{
		HrServerUnavailable, "RPC_S_SERVER_UNAVAILABLE", "the server does not answer",
		"start the service of the annotation; against another machine of Exchange 2007 SP1 set \"Enable Remote Streaming Backup\" to 1 at MSExchangeIS\\ParametersSystem",
	},
}
