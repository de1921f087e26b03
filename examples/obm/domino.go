package main

import (
	"context"
	"fmt"
	"time"

	"github.com/quiesce-go/quiesce/agent/config"
	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/domino"
	"github.com/quiesce-go/quiesce/domino/notes"
)

// dominoSettings is the section domino of a job. domino.Options and notes.Command say what the keys mean.
type dominoSettings struct {
	Program         config.Path     `yaml:"program" config:"required"`
	StateDir        config.Path     `yaml:"state_dir" config:"required"`
	NotesINI        config.Path     `yaml:"notes_ini,omitempty"`
	Child           config.Path     `yaml:"child,omitempty"`
	Library         config.Path     `yaml:"library,omitempty"`
	Instance        string          `yaml:"instance,omitempty"`
	Include         []string        `yaml:"include,omitempty"`
	Exclude         []string        `yaml:"exclude,omitempty"`
	SkipLinks       bool            `yaml:"skip_links,omitempty"`
	SkipFiles       bool            `yaml:"skip_files,omitempty"`
	SkipAttachments bool            `yaml:"skip_attachments,omitempty"`
	Parallel        int             `yaml:"parallel,omitempty"`
	OfflineWait     config.Duration `yaml:"offline_wait,omitempty"`
	EndTimeout      config.Duration `yaml:"end_timeout,omitempty"`
}

// Validate implements the rules of the agent itself, so that they are reported with their line.
func (s *dominoSettings) Validate() error {
	src, err := domino.New(s.command(), s.options())
	if err != nil {
		return err
	}
	return src.Close()
}

func (s *dominoSettings) command() notes.Command {
	return notes.Command{Path: string(s.Child), Program: string(s.Program), INI: string(s.NotesINI), Library: string(s.Library)}
}

func (s *dominoSettings) options() *domino.Options {
	return &domino.Options{Instance: s.Instance, StateDir: string(s.StateDir), NotesINI: string(s.NotesINI), Include: s.Include, Exclude: s.Exclude, SkipLinks: s.SkipLinks, SkipFiles: s.SkipFiles,
		SkipAttachments: s.SkipAttachments, Parallel: s.Parallel, OfflineWait: time.Duration(s.OfflineWait), EndTimeout: time.Duration(s.EndTimeout)}
}

// openDomino opens the server of a job. There is no other one to restore into than that of this machine.
func openDomino(_ context.Context, s dominoSettings, to string) (backup.Source, error) {
	if to != "" {
		return nil, &backup.Error{Op: "open", App: "domino", Instance: s.Instance, Err: fmt.Errorf("%w: to=%q: a Domino server is restored on its own machine", backup.ErrOption, to),
			Advice: "leave out --to; the options to=DIR and mode=server say where databases go"}
	}
	return domino.New(s.command(), s.options())
}
