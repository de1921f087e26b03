package mssql

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestStatements(t *testing.T) {
	t.Parallel()
	two := []device{{Path: `S:\it's\a.bak`}, {URL: true, Path: "s3://host/b/k"}}
	for want, o := range map[string]backupOptions{
		`BACKUP DATABASE [a]]b] TO DISK = N'S:\it''s\a.bak', URL = N's3://host/b/k' WITH FORMAT, INIT, SKIP, CHECKSUM, STATS = 5`: {},
		`BACKUP DATABASE [a]]b] TO DISK = N'S:\it''s\a.bak', URL = N's3://host/b/k' WITH DIFFERENTIAL, FORMAT, INIT, SKIP, NO_CHECKSUM, COMPRESSION, ` +
			`ENCRYPTION (ALGORITHM = AES_256, SERVER CERTIFICATE = [c]), NAME = N'it''s', BLOCKSIZE = 512, BUFFERCOUNT = 7, MAXTRANSFERSIZE = 65536, STATS = 5`: {
			differential: true, noChecksum: true, compression: "COMPRESSION", encryption: &Encryption{Algorithm: "AES_256", Certificate: "c"},
			name: "it's", blockSize: 512, bufferCount: 7, maxTransferSize: 65536},
		`BACKUP LOG [a]]b] TO DISK = N'S:\it''s\a.bak', URL = N's3://host/b/k' WITH NORECOVERY, FORMAT, INIT, SKIP, CHECKSUM, ENCRYPTION (ALGORITHM = AES_128, SERVER ASYMMETRIC KEY = [k]), STATS = 5`: {
			log: true, tail: TailNoRecovery, encryption: &Encryption{Algorithm: "AES_128", AsymmetricKey: "k"}},
		`BACKUP LOG [a]]b] TO DISK = N'S:\it''s\a.bak', URL = N's3://host/b/k' WITH COPY_ONLY, FORMAT, INIT, SKIP, CHECKSUM, STATS = 5`: {log: true, copyOnly: true},
	} {
		assert.Equal(t, want, backupStatement("a]b", two, o).SQL)
	}
	assert.Equal(t, "RESTORE VERIFYONLY FROM DISK = N'x' WITH FILE = 2, CHECKSUM, STATS = 5", verifyStatement([]device{{Path: "x"}}, 2, true).SQL)
	assert.Equal(t, "ab", cut("abc", 2))
	assert.Equal(t, "a", cut("a😀", 2), "a character of two units is not cut in half")
}

func TestFilter(t *testing.T) {
	t.Parallel()
	f, err := newFilter([]string{"Sales*", "h?", "x"}, []string{"*_old"})
	require.NoError(t, err)
	for name, want := range map[string]bool{"sales": true, "SALES_EU": true, "sales_old": false, "hr": true, "hrm": false, "master": false, "x": true} {
		assert.Equal(t, want, f.takes(name), name)
	}
	assert.Equal(t, []string{"x"}, f.missing([]string{"sales"}))
	assert.Empty(t, f.missing([]string{"X"}))
	assert.True(t, f.names("X"))
	assert.False(t, f.names("sales"))
	assert.True(t, filter{}.takes("anything"))
	_, err = newFilter(nil, []string{""})
	require.Error(t, err)
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	_, err := New("sqlserver://h", &Options{Databases: -1, Stripes: 65, MaxTransferSize: 1000, BufferCount: -1, BlockSize: 600, Compression: "zip", VerifyOnly: "x",
		Encryption: &Encryption{Algorithm: "ROT13"}, BusyAttempts: -1, Include: []string{""}})
	require.Error(t, err)
	for _, part := range []string{"databases -1", "stripes 65", "max transfer size 1000", "buffer count -1", "block size 600", `compression "zip"`, `verify only "x"`, "certificate or an asymmetric",
		"ROT13", "busy", "pattern"} {
		assert.Contains(t, err.Error(), part)
	}
	src, err := New("sqlserver://h", &Options{MaxTransferSize: 4 << 20, BlockSize: 65536, Encryption: &Encryption{Certificate: "c"}})
	require.NoError(t, err)
	require.NoError(t, src.Close())
	assert.Equal(t, "AES_256", src.opt.Encryption.Algorithm)
}

func TestArtifactNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, database := range []string{"sales", ".", "..", "a/b", `a\b`, "a%2Fb", "  ", "日本", strings.Repeat("x", 128)} {
		for _, a := range artifacts(database, choice{kind: "log"}, 2) {
			assert.Equal(t, 1, strings.Count(a.Name, "/"), a.Name)
			assert.False(t, seen[a.Name], a.Name)
			assert.False(t, strings.HasPrefix(a.Name, "."), a.Name)
			seen[a.Name] = true
		}
	}
}

func TestServerDifferences(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		v                    server
		compresses, transfer bool
	}{
		{server{major: 16, engine: 3}, true, false},
		{server{major: 16, engine: 4, edition: "Express Edition"}, false, false},
		{server{major: 15, build: 2000, engine: 2, edition: "Web Edition (64-bit)"}, false, true},
		{server{major: 10, minor: 0, engine: 2}, false, false},
		{server{major: 10, minor: 0, engine: 3}, true, false},
		{server{major: 10, minor: 50, engine: 2}, true, false},
		{server{major: 15, build: 4033, engine: 3}, true, true},
		{server{major: 15, build: 4043, engine: 3}, true, false},
		{server{major: 9, engine: 3}, false, false},
	} {
		assert.Equal(t, c.compresses, c.v.compresses(), c.v)
		assert.Equal(t, c.transfer, c.v.tdeNeedsTransfer(), c.v)
	}
}
