package exchange

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/exchange/esebcli"
)

// told is a session that notes what it is asked, and says which logs it would delete.
type told struct {
	esebcli.Session
	files []string
	calls []string
	fail  map[string]error
}

func (s *told) call(name string) error {
	s.calls = append(s.calls, name)
	return s.fail[name]
}

func (s *told) TruncateLogFiles(context.Context) ([]string, error) { return s.files, s.call("ask") }
func (s *told) TruncateLogs(context.Context) error                 { return s.call("truncate") }
func (s *told) End(context.Context) error                          { return s.call("end") }
func (s *told) EndInstance(_ context.Context, success bool) error {
	if success {
		return s.call("good")
	}
	return s.call("bad")
}

func TestTruncation(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	manifest := func(failed string) *backup.Manifest {
		return &backup.Manifest{Items: []backup.Item{{Name: "SG1", Kind: backup.Full, Error: failed}}}
	}
	for name, c := range map[string]struct {
		group    openGroup
		session  told
		manifest *backup.Manifest
		want     []string
		err      string
	}{
		"all":                 {openGroup{good: true, truncate: true}, told{files: []string{`E:\l\E0000000007.log`}}, manifest(""), []string{"ask", "truncate", "good", "end"}, ""},
		"nothing to delete":   {openGroup{good: true, truncate: true}, told{}, manifest(""), []string{"ask", "good", "end"}, ""},
		"kept":                {openGroup{good: true}, told{files: []string{"E0000000007.log"}}, manifest(""), []string{"good", "end"}, ""},
		"a newer log":         {openGroup{good: true, truncate: true}, told{files: []string{"E0000000007.log", "E0000000008.log"}}, manifest(""), []string{"ask", "good", "end"}, "E0000000008.log"},
		"no name of a log":    {openGroup{good: true, truncate: true}, told{files: []string{"priv1.edb"}}, manifest(""), []string{"ask", "good", "end"}, "priv1.edb"},
		"the current log":     {openGroup{good: true, truncate: true}, told{files: []string{"E00.log"}}, manifest(""), []string{"ask", "good", "end"}, "E00.log"},
		"cannot be asked":     {openGroup{good: true, truncate: true}, told{fail: map[string]error{"ask": broken}}, manifest(""), []string{"ask", "good", "end"}, "broken"},
		"not truncated":       {openGroup{good: true, truncate: true}, told{files: []string{"E0000000001.log"}, fail: map[string]error{"truncate": broken}}, manifest(""), []string{"ask", "truncate", "good", "end"}, "broken"},
		"the item failed":     {openGroup{good: true, truncate: true}, told{files: []string{"E0000000001.log"}}, manifest("lost"), []string{"bad", "end"}, ""},
		"not in the manifest": {openGroup{good: true, truncate: true}, told{}, &backup.Manifest{}, []string{"bad", "end"}, ""},
		"a copy":              {openGroup{}, told{}, manifest(""), []string{"bad", "end"}, ""},
		"the end fails":       {openGroup{good: true}, told{fail: map[string]error{"good": broken}}, manifest(""), []string{"good", "end"}, "broken"},
	} {
		s, err := New(&Options{StateDir: t.TempDir()})
		require.NoError(t, err)
		c.group.name, c.group.setup, c.group.last, c.group.session = "SG1", true, 7, &c.session
		p := &pending{s: s, job: "mail", sessions: []*openGroup{&c.group}}
		err = p.Commit(t.Context(), c.manifest)
		if c.err == "" {
			require.NoError(t, err, name)
		} else {
			require.ErrorContains(t, err, c.err, name)
		}
		require.NoError(t, p.Commit(t.Context(), c.manifest), "%s: again", name)
		require.NoError(t, p.Abort(t.Context()), "%s: again", name)
		assert.Equal(t, c.want, c.session.calls, name)
	}
}
