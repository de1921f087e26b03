package config

import (
	"fmt"
	"io"
	"log/slog"
	"strings"

	"go.yaml.in/yaml/v3"
)

const redacted = "[redacted]"

// Secret is text that is never shown. In the file it is one of
//
//	dsn: "backup:pa55@tcp(db1)/"    the text itself; keep the file to its owner then
//	dsn: {env: SHOP_DSN}            the content of an environment variable
//	dsn: {file: secrets/shop.dsn}   the content of a file, without the line break at its end
//
// However a Secret, or what holds one, is printed, logged or marshalled, the text does not appear; a name of a variable or file does in YAML.
type Secret struct{ s *secret }

// secret holds the text behind a second pointer: fmt looks into the unexported fields of others without asking any method, and follows one.
type secret struct {
	text      *string
	env, file string
}

// NewSecret makes a Secret of a text.
func NewSecret(text string) Secret { return Secret{&secret{text: &text}} }

// Reveal returns the text. It is empty for the zero Secret.
func (s Secret) Reveal() string {
	if s.s == nil {
		return ""
	}
	return *s.s.text
}

// IsZero reports whether no secret was given.
func (s Secret) IsZero() bool { return s.s == nil }

// String returns "[redacted]", or nothing when there is no secret.
func (s Secret) String() string {
	if s.s == nil {
		return ""
	}
	return redacted
}

// GoString is String.
func (s Secret) GoString() string { return s.String() }

// Format implements fmt.Formatter: every verb prints what String returns.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText implements encoding.TextMarshaler, and with it JSON and XML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalYAML keeps the reference to a variable or a file, and nothing of the text.
func (s Secret) MarshalYAML() (any, error) {
	switch {
	case s.s != nil && s.s.env != "":
		return map[string]string{"env": s.s.env}, nil
	case s.s != nil && s.s.file != "":
		return map[string]string{"file": s.s.file}, nil
	}
	return s.String(), nil
}

// secretSource is the mapping form of a Secret.
type secretSource struct {
	Env  string `yaml:"env"`
	File Path   `yaml:"file"`
}

const secretForms = "write the text, or {env: NAME}, or {file: path}"

func (s *Secret) bindNode(b *binder, path string, at place) {
	if at.value.Kind == yaml.MappingNode {
		s.bindSource(b, path, at)
		return
	}
	text, ok := b.word(path, at, "text, or a mapping with env or file")
	switch {
	case !ok:
	case text == redacted:
		b.add(at.position(), path, "the secret was removed from this text when it was printed", secretForms)
	case text == "":
		b.add(at.position(), path, "is empty", secretForms)
	default:
		b.plainSecrets = true
		*s = NewSecret(text)
	}
}

func (s *Secret) bindSource(b *binder, path string, at place) {
	var from secretSource
	before := len(b.problems)
	b.bind(path, at, valueOf(&from))
	if len(b.problems) > before {
		return
	}
	var text string
	switch {
	case (from.Env == "") == (from.File == ""):
		b.add(at.position(), path, "wants one of env and file", secretForms)
		return
	case from.Env != "":
		value, ok := b.o.LookupEnv(from.Env)
		if !ok {
			b.add(b.at(join(path, "env")), join(path, "env"), "the environment variable "+from.Env+" is not set", "set it where this program is started")
			return
		}
		text = value
	default:
		content, err := b.o.ReadFile(string(from.File))
		if err != nil {
			b.add(b.at(join(path, "file")), join(path, "file"), err.Error(), "the file must hold the secret and be readable by this program")
			return
		}
		text = strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r")
	}
	if text == "" {
		b.add(at.position(), path, "the secret is empty", "put it into the variable or the file")
		return
	}
	*s = Secret{&secret{text: &text, env: from.Env, file: string(from.File)}}
}
