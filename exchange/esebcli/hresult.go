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
	HrInvalidArgument    HRESULT = 0x80070057 // E_INVALIDARG
	HrFileNotFound       HRESULT = 0x80070002 // ERROR_FILE_NOT_FOUND
	HrPrivilegeNotHeld   HRESULT = 0x80070522 // ERROR_PRIVILEGE_NOT_HELD
	HrServerUnavailable  HRESULT = 0x800706BA // RPC_S_SERVER_UNAVAILABLE
	hrJET                HRESULT = 0xC8000000
	hrMaskJET            HRESULT = 0xFFFF0000
)

// FromJET is how the library answers with an error of the engine, which is negative: 0xC8000000 and its amount. The pattern is inferred from the numbers that are known.
func FromJET(code int) HRESULT { return hrJET | HRESULT(uint16(-code)) }

// JET is the error of the engine behind the answer, negative, or 0 if there is none.
func (h HRESULT) JET() int {
	if h&hrMaskJET != hrJET {
		return 0
	}
	return -int(h &^ hrMaskJET)
}

// Error reads "HRESULT 0xC8000230 (the engine: -560)".
func (h HRESULT) Error() string {
	if code := h.JET(); code != 0 {
		return fmt.Sprintf("HRESULT 0x%08X (the engine: %d)", uint32(h), code)
	}
	return fmt.Sprintf("HRESULT 0x%08X", uint32(h))
}
