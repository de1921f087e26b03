package esebcli

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/quiesce-go/quiesce/backup"
)

func TestHRESULT(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "hrMissingFullBackup 0xC8000230 (JET -560): there is no full backup of every database by the same way", HrMissingFullBackup.Error())
	assert.Equal(t, "HRESULT 0xC80001F5 (JET -501): a log is corrupt", FromJET(-501).Error())
	assert.Equal(t, "HRESULT 0x12345678", HRESULT(0x12345678).Error())
	assert.Equal(t, -560, HrMissingFullBackup.JET())
	assert.Equal(t, HrMissingFullBackup, FromJET(-560))
	assert.Equal(t, HrBackupInProgress, FromJET(-505))
	assert.Zero(t, HrErrorFromESECall.JET())
	err := fmt.Errorf("set up: %w", HrMissingFullBackup)
	assert.Contains(t, backup.Hint(err), "full backup")
	var hr HRESULT
	assert.True(t, errors.As(err, &hr))
}

func TestMeanings(t *testing.T) {
	t.Parallel()
	seen := map[HRESULT]bool{}
	for _, m := range meanings {
		assert.False(t, seen[m.code], "%08X twice", uint32(m.code))
		seen[m.code] = true
		assert.NotEmpty(t, m.text)
		assert.Equal(t, m.code.JET() != 0 || m.name != "", true, "%08X has no name", uint32(m.code))
		assert.False(t, strings.HasSuffix(m.text+m.hint, "."))
	}
}

func TestDetailIsAskedFor(t *testing.T) {
	t.Parallel()
	for hr, want := range map[HRESULT]bool{HrErrorFromESECall: true, 0xC7FF1005: true, 0xC7FE0001: true, HrDatabaseInUse: false, HrRestoreAtFileLevel: false, HrMissingFullBackup: false, HrAccessDenied: false} {
		assert.Equal(t, want, hr.needsDetail(), "%08X", uint32(hr))
	}
}
