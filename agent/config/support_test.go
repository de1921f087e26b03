package config_test

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/agent/config"
	"github.com/quiesce-go/quiesce/backup"
)

// counterSettings are those of a tiny application.
type counterSettings struct {
	DSN  config.Secret `yaml:"dsn" config:"required"`
	Wait time.Duration `yaml:"wait"`
	TLS  struct {
		CA string `yaml:"ca"`
	} `yaml:"tls,omitempty"`
}

func (s *counterSettings) Defaults() { s.Wait = time.Minute }

func (s *counterSettings) Validate() error {
	var errs []error
	if s.Wait > time.Hour {
		errs = append(errs, &config.FieldError{Field: "wait", Err: errors.New("is longer than an hour")})
	}
	if s.TLS.CA == "none" {
		errs = append(errs, &config.FieldError{Field: "tls.ca", Err: &backup.Error{Op: "read CA", Err: fs.ErrNotExist, Advice: "name a file"}})
	}
	if s.DSN.Reveal() == "nowhere" {
		errs = append(errs, errors.New("leads nowhere"))
	}
	return errors.Join(errs...)
}

// counter is its source: it counts what it was opened with.
type counter struct{ dsn, to string }

func (c *counter) Describe() backup.Description {
	return backup.Description{Application: "counter", Instance: "test", Kinds: []backup.Kind{backup.Full}}
}

func (c *counter) Backup(ctx context.Context, _ backup.Request, st *backup.Stage) (backup.Result, error) {
	w, err := st.Create(ctx, backup.Artifact{Name: "count.txt", Item: "count", Role: backup.RoleData})
	if err != nil {
		return backup.Result{}, err
	}
	defer w.Close()
	if _, err := w.Write([]byte("42 " + c.dsn)); err != nil {
		return backup.Result{}, err
	}
	if err := w.Commit(); err != nil {
		return backup.Result{}, err
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return backup.Result{Items: []backup.Item{{Name: "count", Kind: backup.Full, Window: backup.Window{From: now, To: now}}}}, nil
}

func registry() config.Registry {
	return config.Registry{
		"counter": config.App(func(_ context.Context, s counterSettings, to string) (backup.Source, error) {
			return &counter{s.DSN.Reveal(), to}, nil
		}),
		"clock": config.App(func(context.Context, struct{}, string) (backup.Source, error) { return nil, errors.ErrUnsupported }),
	}
}

const password = "hunter2-in-the-clear"

// recipient and identity are two halves of a pair made for this run of the tests.
var recipient, identity = pair()

func pair() (string, string) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		panic(err)
	}
	return id.Recipient().String(), id.String()
}

// options know the variables and files that tests refer to.
func options(files map[string]string) config.Options {
	return config.Options{
		Registry: registry(),
		LookupEnv: func(name string) (string, bool) {
			v, ok := map[string]string{"SHOP_DSN": password, "OPS_WEBHOOK": "https://ops/" + password, "OPS_TOKEN": password, "EMPTY": ""}[name]
			return v, ok
		},
		ReadFile: func(path string) ([]byte, error) {
			path = filepath.ToSlash(strings.TrimPrefix(path, filepath.VolumeName(path)))
			text, ok := files[path]
			if !ok {
				return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
			}
			return []byte(text), nil
		},
	}
}

// problems parses a file that must be wrong.
func problems(t *testing.T, text string) []config.Problem {
	t.Helper()
	_, err := config.Parse("/etc/obm/obm.yaml", []byte(text), options(nil))
	var p *config.Problems
	require.ErrorAs(t, err, &p)
	return p.All
}

func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	c, err := config.Parse("/etc/obm/obm.yaml", []byte(text), options(nil))
	require.NoError(t, err)
	return c
}
