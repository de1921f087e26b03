package mssql

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim"
	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/tds"
)

func TestAvailabilityGroup(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	require.NoError(t, s.CreateDatabase("sales", mssqlsim.Full))
	require.NoError(t, s.CreateDatabase("hr", mssqlsim.Full))
	p := s.pipeline(s.source(&Options{Include: []string{"sales", "hr"}}))

	require.NoError(t, s.JoinGroup("sales", mssqlsim.Replica{Group: "ag", Primary: true}))
	m := s.take(p, backup.Full)
	require.Len(t, m.Items, 1)
	assert.Equal(t, "hr", m.Items[0].Name)
	assert.Equal(t, "sales", m.Meta["left_to_another_replica"])
	assert.Empty(t, m.Warnings, "that another replica takes it is no trouble")

	require.NoError(t, s.JoinGroup("sales", mssqlsim.Replica{Group: "ag", Primary: true, Preferred: true}))
	full := s.take(p, backup.Full)
	require.NoError(t, s.Insert("sales", "one"))

	// The backups move to a secondary.
	require.NoError(t, s.JoinGroup("sales", mssqlsim.Replica{Group: "ag", Readable: true, Preferred: true}))
	log := s.item(s.take(p, backup.Log), "sales")
	assert.Equal(t, backup.Log, log.Kind, log.Reason)
	assert.Equal(t, full.ID, log.Parent)
	m = s.take(p, backup.Full)
	data := s.item(m, "sales")
	set, err := setOf(data)
	require.NoError(t, err)
	assert.True(t, set.CopyOnly, "a secondary takes no other")
	assert.False(t, data.CopyOnly, "logs continue it")
	log = s.item(s.take(p, backup.Log), "sales")
	assert.Equal(t, backup.Log, log.Kind, log.Reason)
	assert.Equal(t, m.ID, log.Parent)
	instead := s.item(s.take(p, backup.Differential), "sales")
	assert.Equal(t, backup.Full, instead.Kind)
	assert.Contains(t, instead.Reason, "no differentials")

	// And back to the primary, where a differential has its base still.
	require.NoError(t, s.JoinGroup("sales", mssqlsim.Replica{Group: "ag", Primary: true, Preferred: true}))
	instead = s.item(s.take(p, backup.Differential), "sales")
	assert.Equal(t, backup.Full, instead.Kind)
	assert.Contains(t, instead.Reason, "copy-only")
	assert.Equal(t, backup.Differential, s.item(s.take(p, backup.Differential), "sales").Kind)
}

func TestDatabasesInOtherStates(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for name, state := range map[string]mssqlsim.State{"off": mssqlsim.Offline, "bad": mssqlsim.Suspect, "half": mssqlsim.Restoring, "fine": mssqlsim.Online} {
		require.NoError(t, s.CreateDatabase(name, mssqlsim.Full))
		require.NoError(t, s.SetState(name, state))
	}
	require.NoError(t, s.Snapshot("fine", "fine_snapshot"))
	m, err := s.try(s.pipeline(s.source(&Options{Exclude: []string{"m*"}})), backup.Full)
	require.ErrorIs(t, err, backup.ErrPartial)
	require.Len(t, m.Items, 2)
	assert.Contains(t, s.item(m, "bad").Error, "SUSPECT")
	assert.False(t, s.item(m, "fine").Failed())
	assert.Equal(t, []string{"half was left out: it is RESTORING", "off was left out: it is OFFLINE"}, m.Warnings)
	m, err = s.try(s.pipeline(s.source(&Options{Include: []string{"off", "fine"}})), backup.Full)
	require.ErrorIs(t, err, backup.ErrPartial)
	assert.Contains(t, s.item(m, "off").Error, "OFFLINE", "it was asked for by its name")
}

func TestTailOfADamagedDatabase(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	require.NoError(t, s.CreateDatabase("sales", mssqlsim.Full))
	p := s.pipeline(s.source(nil))
	s.take(p, backup.Full)
	require.NoError(t, s.Insert("sales", "last words"))
	require.NoError(t, s.LoseData("sales"))
	m, err := s.try(p, backup.Log)
	require.ErrorIs(t, err, backup.ErrPartial)
	assert.Contains(t, s.item(m, "sales").Error, "RECOVERY_PENDING")
	it := s.item(s.take(p, backup.Log, "tail", "no_truncate", "databases", "sales"), "sales")
	assert.Equal(t, backup.Log, it.Kind)
	assert.NotEmpty(t, it.Parent)
}

func TestEncryption(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *mssqlsim.Config) { c.Version = tds.Version{Major: 14, Build: 1000} })
	c := s.AddCertificate(mssqlsim.Certificate{Name: "vault"})
	kept := s.AddCertificate(mssqlsim.Certificate{Name: "kept", KeyBackedUp: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)})
	require.NoError(t, s.CreateDatabase("sales", mssqlsim.Full))
	require.NoError(t, s.Encrypt("sales", "vault"))
	only := []string{"sales", "model"}
	m := s.take(s.pipeline(s.source(&Options{Include: only, Encryption: &Encryption{Certificate: "kept"}})), backup.Full)
	require.Len(t, m.Warnings, 1)
	assert.Contains(t, m.Warnings[0], `"vault" with thumbprint `+strings.ToUpper(hex.EncodeToString(c.Thumbprint))+" is needed to restore sales,")
	set, err := setOf(s.item(m, "sales"))
	require.NoError(t, err)
	assert.Equal(t, "aes_256", strings.ToLower(set.KeyAlgorithm))
	assert.Equal(t, hex.EncodeToString(kept.Thumbprint), set.EncryptorThumbprint)
	assert.Equal(t, hex.EncodeToString(c.Thumbprint), set.TDEThumbprint)
	assert.Contains(t, s.statements("BACKUP DATABASE [sales]")[0], "MAXTRANSFERSIZE = 131072", "2017 compresses encrypted pages with more than 64 KiB only")
	assert.NotContains(t, s.statements("BACKUP DATABASE [model] TO DISK")[1], "MAXTRANSFERSIZE")
	m = s.take(s.pipeline(s.source(&Options{Include: only, KnownCertificates: []string{"0x" + hex.EncodeToString(c.Thumbprint)}})), backup.Full)
	assert.Empty(t, m.Warnings)
}

func TestEditionWithoutCompression(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *mssqlsim.Config) { c.Edition = "Express Edition (64-bit)" })
	m := s.take(s.pipeline(s.source(&Options{Include: []string{"model"}})), backup.Full)
	set, err := setOf(s.item(m, "model"))
	require.NoError(t, err)
	assert.False(t, set.Compressed)
	_, err = s.try(s.pipeline(s.source(&Options{Include: []string{"model"}, Compression: CompressionOn})), backup.Full)
	require.ErrorContains(t, err, "does not compress", "the check before the run says so")
}

func TestRights(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *mssqlsim.Config) { c.Rights = map[string]mssqlsim.Right{"sa": mssqlsim.NoRight} })
	var failed []string
	for _, f := range s.source(nil).Check(t.Context(), backup.StageDir{Path: s.dir, ServerPath: `S:\stage`}) {
		if f.Err != nil {
			failed = append(failed, f.What)
			assert.NotEmpty(t, f.Hint, f.What)
		}
	}
	assert.NotEmpty(t, failed)
	assert.Empty(t, s.staged())
}
