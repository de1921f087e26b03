package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong in a file.
type Problem struct {
	// File is the name given to Load or Parse.
	File string `json:"file"`
	// Line and Column count from 1. A missing key is reported where it should be: at the section it belongs to.
	Line   int `json:"line"`
	Column int `json:"column"`
	// Path is the key, such as jobs.shop.schedule.full or jobs.shop.hooks.before[0]. Empty means the file as a whole.
	Path string `json:"path,omitempty"`
	// Message says what is wrong, Hint what to do about it. Neither repeats a secret.
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// String is one line: file, line, column, key, message and hint.
func (p Problem) String() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s:%d:%d: ", p.File, p.Line, p.Column)
	if p.Path != "" {
		s.WriteString(p.Path + ": ")
	}
	s.WriteString(p.Message)
	if p.Hint != "" {
		s.WriteString("; " + p.Hint)
	}
	return s.String()
}

// Problems is everything that is wrong in a file, in the order of its lines.
type Problems struct{ All []Problem }

// Error is one line per problem.
func (p *Problems) Error() string {
	lines := make([]string, len(p.All))
	for i, one := range p.All {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

// FieldError says which key of a section an error is about. Validate methods return one, or several joined by errors.Join.
type FieldError struct {
	// Field is the key as the file has it, with dots between the levels below the section: "dsn", "tls.ca".
	Field string
	Err   error
}

// Error implements error.
func (e *FieldError) Error() string { return e.Field + ": " + e.Err.Error() }

// Unwrap returns Err.
func (e *FieldError) Unwrap() error { return e.Err }

// field makes the FieldError of a rule that a section breaks.
func field(name, hint, format string, args ...any) error {
	return &FieldError{Field: name, Err: &advised{fmt.Sprintf(format, args...), hint}}
}

// advised is an error with a hint, found by backup.Hint.
type advised struct{ message, hint string }

func (e *advised) Error() string { return e.message }
func (e *advised) Hint() string  { return e.hint }

// eachError calls f for every error that errors.Join has joined into err.
func eachError(err error, f func(error)) {
	if err == nil {
		return
	}
	//nolint:errorlint // only what stands outermost is taken apart
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || errors.Join(joined.Unwrap()...).Error() != err.Error() {
		f(err)
		return
	}
	for _, e := range joined.Unwrap() {
		eachError(e, f)
	}
}

// tidy sorts problems by their place and leaves out what is said twice of one place, as it happens to what many jobs take from the defaults.
func tidy(all []Problem) []Problem {
	slices.SortStableFunc(all, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(ofJob(a), ofJob(b)))
	})
	type saying struct {
		line, column int
		message      string
	}
	seen := map[saying]bool{}
	return slices.DeleteFunc(all, func(p Problem) bool {
		s := saying{p.Line, p.Column, p.Message}
		twice := seen[s]
		seen[s] = true
		return twice
	})
}

// ofJob is 1 for what a job has, and 0 for the section it may come from.
func ofJob(p Problem) int {
	if strings.HasPrefix(p.Path, "jobs.") {
		return 1
	}
	return 0
}
