package config

import (
	"context"
	"fmt"
	"reflect"

	"github.com/quiesce-go/quiesce/backup"
)

// Registry tells which applications a program knows, by the name used in the file.
type Registry map[string]Application

// Application turns the settings of a job into a way to open its source. App makes one of a struct and a function.
type Application interface {
	// Configure reads s, the section of the job that carries the application's name, and reports what is wrong with it on s. It does no I/O. What
	// it returns is not used when there was a problem.
	Configure(s *Section) Open
}

// Open makes a source. to, when not empty, is another place to restore into than the configured one, in the form the
// application documents: a DSN, a directory.
type Open func(ctx context.Context, to string) (backup.Source, error)

// App makes an Application of open, whose settings are bound to an S, a struct with yaml tags; see Section.Bind.
//
//	config.Registry{"mysql": config.App(openMySQL)}
func App[S any](open func(ctx context.Context, settings S, to string) (backup.Source, error)) Application {
	return app[S]{open}
}

type app[S any] struct {
	open func(ctx context.Context, settings S, to string) (backup.Source, error)
}

func (a app[S]) Configure(s *Section) Open {
	var settings S
	if !s.Bind(&settings) {
		return nil
	}
	return func(ctx context.Context, to string) (backup.Source, error) { return a.open(ctx, settings, to) }
}

// Section is a mapping in the file that belongs to somebody else: an application's settings. When the file has none it is empty.
type Section struct {
	b               *binder
	job, name, path string
	at              place
	bound           []any
}

// Job is the name of the job the section is in.
func (s *Section) Job() string { return s.job }

// Name is the application's name, which is the section's.
func (s *Section) Name() string { return s.name }

// Position is where the section begins in the file, counted from 1.
func (s *Section) Position() (file string, line, column int) {
	p := s.at.position()
	return s.b.file, p.line, p.column
}

// Has reports whether the file gives the key.
func (s *Section) Has(key string) bool { return lookup(s.at.value, key) != nil }

// Bind carries the section into a pointer to a struct and reports everything that does not fit; it returns whether all did.
//
// Keys are the fields' yaml tags, as package yaml has them, inline included; a field with the tag `config:"required"` must be
// given. Fields may be text, numbers, booleans, structs, pointers, slices, maps by text, time.Duration, the types of this package
// (Secret, Size, Duration, Path, ...) and any encoding.TextUnmarshaler, whose errors are shown and must not repeat a secret.
//
// A struct with a method Defaults() on its pointer, here or further in, is given its defaults first. One with Validate() error is
// asked when all of its keys fitted; what it returns is reported at the field a FieldError names, else at the section. Errors joined
// by errors.Join are reported singly, hints (see backup.Hint) are shown.
//
// What was bound is what Config.Print shows; a field that holds a secret is therefore a Secret, or has a MarshalYAML that hides it.
func (s *Section) Bind(into any) bool {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		s.Problemf("", "this program binds it to a %T, which is not a pointer to a struct", into)
		return false
	}
	before := len(s.b.problems)
	fill(v.Elem())
	s.b.bind(s.path, s.at, v.Elem())
	s.bound = append(s.bound, into)
	return len(s.b.problems) == before
}

// Problemf reports what is wrong with a key of the section, or with the section when key is empty. Levels below it are joined by dots.
func (s *Section) Problemf(key, format string, args ...any) {
	path := s.path
	if key != "" {
		path = join(path, key)
	}
	at, ok := s.b.where[path]
	if !ok {
		at = s.at.position()
	}
	s.b.add(at, path, fmt.Sprintf(format, args...), "")
}
