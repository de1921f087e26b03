package backup_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
)

// harm is what can happen to an object at a target. other is the content of another one.
type harm struct {
	name   string
	change func(b, other []byte) []byte
}

var harms = []harm{
	{"first bit flipped", func(b, _ []byte) []byte { b[0] ^= 1; return b }},
	{"middle bit flipped", func(b, _ []byte) []byte { b[len(b)/2] ^= 0x20; return b }},
	{"last bit flipped", func(b, _ []byte) []byte { b[len(b)-1] ^= 0x80; return b }},
	{"last byte lost", func(b, _ []byte) []byte { return b[:len(b)-1] }},
	{"cut in half", func(b, _ []byte) []byte { return b[:len(b)/2] }},
	{"empty", func([]byte, []byte) []byte { return nil }},
	{"doubled", func(b, _ []byte) []byte { return append(b, b...) }},
	{"swapped for another object", func(_, other []byte) []byte { return other }},
	{"missing", nil},
}

// Every object of a backup is harmed in every way. The restore fails before it changes anything, Verify names the object, and from
// then on no plan uses the backup.
func TestDamageIsFoundAndNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	w.l = backuptest.NewLedger(&backuptest.LedgerOptions{Ballast: 150 << 10})
	m := w.backup(t, backup.Full)
	keys := w.mem.Keys(worldJob + "/runs/" + string(m.ID) + "/")
	require.Len(t, keys, m.Parts+2)
	for i, key := range append(keys, worldJob+"/manifests/"+string(m.ID)+".json") {
		for _, h := range harms {
			name := fmt.Sprintf("%s %s", key[strings.LastIndex(key, string(m.ID))+len(m.ID)+1:], h.name)
			t.Run(name, func(t *testing.T) {
				v := &world{l: w.l, mem: w.mem.Clone()}
				v.sink = backuptest.NewFaultySink(v.mem)
				other, _ := v.mem.Object(keys[(i+1)%len(keys)])
				v.harm(t, key, other, h)
				v.notices(t, m, key)
			})
		}
	}
}

// A header decides what a restore does. Whichever bit of it flips, the backup counts as damaged and no plan uses it.
func TestAnyBitOfAManifestMatters(t *testing.T) {
	t.Parallel()
	w := newWorld(t, false)
	m := w.backup(t, backup.Full)
	key := worldJob + "/manifests/" + string(m.ID) + ".json"
	body, ok := w.mem.Object(key)
	require.True(t, ok)
	p := w.pipeline(t)
	for i := range body {
		w.mem.Damage(key, func([]byte) []byte {
			flipped := bytes.Clone(body)
			flipped[i] ^= 1 << (i % 8)
			return flipped
		})
		h, err := p.History(t.Context())
		require.NoError(t, err)
		require.Len(t, h, 1)
		require.NotEmpty(t, h[0].Damaged, "byte %d", i)
		_, err = p.Plan(t.Context(), backup.Target{})
		require.ErrorIs(t, err, backup.ErrRefused, "byte %d", i)
	}
}

// The line of doc/format.md that checks a header with stock tools does.
func TestStockToolsCheckAManifest(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"sh", "sed", "sha256sum"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	doc, err := os.ReadFile("../doc/format.md")
	require.NoError(t, err)
	_, line, ok := strings.Cut(string(doc), "| `self` |")
	require.True(t, ok)
	line = line[strings.Index(line, "`sed")+1:]
	line = line[:strings.IndexByte(line, '`')]

	w := newWorld(t, false)
	m := w.backup(t, backup.Full)
	body, _ := w.mem.Object(worldJob + "/manifests/" + string(m.ID) + ".json")
	name := filepath.Join(t.TempDir(), "m.json")
	require.NoError(t, os.WriteFile(name, body, 0o600))
	line = strings.NewReplacer("<id>.json", name, `\|`, "|").Replace(line)
	out, err := exec.CommandContext(t.Context(), "sh", "-c", line).CombinedOutput()
	require.NoError(t, err, "%s: %s", line, out)
	require.Equal(t, m.Self.String(), strings.Fields(string(out))[0])
}

func (w *world) harm(t *testing.T, key string, other []byte, h harm) {
	if h.change == nil {
		require.NoError(t, w.mem.Delete(t.Context(), key))
		return
	}
	require.True(t, w.mem.Damage(key, func(b []byte) []byte {
		damaged := h.change(bytes.Clone(b), other)
		require.NotEqual(t, b, damaged)
		return damaged
	}))
}

func (w *world) notices(t *testing.T, m *backup.Manifest, key string) {
	ctx := t.Context()
	scratch := backuptest.NewLedger(&backuptest.LedgerOptions{Databases: []string{}})
	w.source = scratch.Source(nil)
	p := w.pipeline(t)
	object := strings.TrimPrefix(key, worldJob+"/runs/"+string(m.ID)+"/")

	plan, err := p.Plan(ctx, backup.Target{})
	if err == nil {
		err = p.Restore(ctx, plan, backup.RestoreOptions{})
		if err != nil {
			require.ErrorIs(t, err, backup.ErrCorrupt)
			require.Contains(t, err.Error(), string(m.ID))
			require.Contains(t, err.Error(), named(object))
		}
	}
	rep, verr := p.Verify(ctx, backup.VerifyOptions{})
	require.NoError(t, verr)
	if err == nil {
		// Only the list of digests is not needed to restore.
		require.Equal(t, "parts.sha256", object, "a restore did not notice")
		require.Empty(t, w.l.Current().Diff(scratch.Current()))
	} else {
		require.Empty(t, scratch.Current(), "a restore that failed left something behind")
	}
	if strings.Contains(key, "/manifests/") {
		require.ErrorIs(t, err, backup.ErrRefused)
		return
	}
	require.ErrorIs(t, rep.Err(), backup.ErrCorrupt)
	require.Equal(t, m.ID, rep.Bad[0].ID)
	require.Contains(t, rep.Bad[0].Part, named(object))
	_, err = p.Plan(ctx, backup.Target{})
	require.ErrorIs(t, err, backup.ErrRefused, "a backup known to be damaged is still planned with")
}

// named is what an error must contain to name an object: the artifact of a part, or the kind of listing.
func named(object string) string {
	if i := strings.LastIndexByte(object, '/'); i >= 0 {
		return object[:i]
	}
	name, _, _ := strings.Cut(object, ".")
	return name
}
