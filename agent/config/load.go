package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/sink"
)

// Options says what a file may refer to.
type Options struct {
	// Registry has the applications jobs may name.
	Registry Registry
	// LookupEnv finds the variables of secrets; nil means os.LookupEnv.
	LookupEnv func(string) (string, bool)
	// ReadFile reads the file itself, the files of secrets and those of keys; nil means os.ReadFile.
	ReadFile func(string) ([]byte, error)
	// Sink tunes the buckets that Build opens; see sink.Open. Nil means all defaults.
	Sink *sink.Options
}

func (o Options) withDefaults() Options {
	if o.LookupEnv == nil {
		o.LookupEnv = os.LookupEnv
	}
	if o.ReadFile == nil {
		o.ReadFile = os.ReadFile
	}
	return o
}

// document is the file as it is written.
type document struct {
	Config   `yaml:",inline"`
	Defaults Care `yaml:"defaults"`
}

// origin is what Build needs to know of where a Config came from.
type origin struct {
	file  string
	where map[string]position
	o     Options
}

// Load reads the file at path; see Parse. On systems with Unix permissions a file with secrets in it that everybody can read is warned of.
func Load(path string, o Options) (*Config, error) {
	o = o.withDefaults()
	text, err := o.ReadFile(path)
	if err != nil {
		return nil, &backup.Error{Op: "read configuration", Err: err, Advice: "name the file, or create it"}
	}
	c, b, err := parse(path, text, o)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(path); err == nil && runtime.GOOS != "windows" && b.plainSecrets && info.Mode()&0o004 != 0 {
		b.warn(position{1, 1}, "", fmt.Sprintf("the file holds secrets and everybody on this machine can read it (mode %04o)", info.Mode().Perm()),
			"chmod 600, or move the secrets out by {env: NAME} or {file: path}")
	}
	c.Warnings = tidy(b.warnings)
	return c, nil
}

// Parse reads a configuration. name is what problems call it; relative paths stand in its directory. The error is a *Problems with everything
// that is wrong. Parse reads the files of secrets and keys; it makes no contact with targets or applications.
func Parse(name string, text []byte, o Options) (*Config, error) {
	c, _, err := parse(name, text, o.withDefaults())
	return c, err
}

func parse(name string, text []byte, o Options) (*Config, *binder, error) {
	dir := filepath.Dir(name)
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	b := &binder{file: name, dir: dir, o: o, registry: o.Registry, where: map[string]position{}}
	var d document
	fill(reflect.ValueOf(&d).Elem())
	if root := b.read(text); root != nil {
		b.defaults, b.transfer = lookup(root, "defaults"), lookup(root, "transfer")
		b.bindStruct("", place{value: root}, reflect.ValueOf(&d).Elem(), nil)
		c := &d.Config
		c.from = &origin{name, b.where, o}
		b.check(c)
	}
	if len(b.problems) > 0 {
		return nil, b, &Problems{tidy(b.problems)}
	}
	c := &d.Config
	c.Warnings = tidy(b.warnings)
	return c, b, nil
}

// Problem makes a Problem of what a program finds wrong with a key after loading, such as notify[0].url; it stands where the key, or the
// nearest section above it, is in the file.
func (c *Config) Problem(path string, err error) Problem {
	p := Problem{Line: 1, Column: 1, Path: path, Message: err.Error(), Hint: backup.Hint(err)}
	if c.from != nil {
		at := (&binder{where: c.from.where}).at(path)
		p.File, p.Line, p.Column = c.from.file, at.line, at.column
	}
	return p
}

// keys reads the keys of a seal. problems are about the keys as the file gives them; absent is set when the identity file cannot be read.
func (o Options) keys(s Seal) (keys sink.Keys, problems []error, absent error) {
	add := func(k sink.Keys, err error, key string) {
		if err != nil {
			problems = append(problems, &FieldError{Field: key, Err: err})
			return
		}
		keys = keys.With(k)
	}
	for i, r := range s.Recipients {
		k, err := sink.Recipients(r)
		if err == nil && len(k.Recipients) == 0 {
			err = errors.New("no recipient")
		}
		add(k, err, fmt.Sprintf("recipients[%d]", i))
	}
	if s.RecipientsFile != "" {
		text, err := o.ReadFile(string(s.RecipientsFile))
		var k sink.Keys
		if err == nil {
			k, err = sink.Recipients(string(text))
		}
		add(k, err, "recipients_file")
	}
	if s.IdentityFile != "" {
		text, err := o.ReadFile(string(s.IdentityFile))
		if err != nil {
			return keys, problems, err
		}
		k, err := sink.Identities(string(text))
		add(k, err, "identity_file")
	}
	return keys, problems, nil
}
