package exchange

import (
	"context"
	"fmt"
	"slices"

	"github.com/quiesce-go/quiesce/backup"
)

// NewConfigured is the management of a server whose layout is known beforehand, for one whose shell cannot be asked. What it has is l, with the state of each database: it is mounted when l says so, or when another process of this machine
// has its file open for writing, which only Windows tells. A database that is not may be overwritten by a restore, as far as this knows: the store itself asks again when it mounts one. It mounts and dismounts nothing: these are refused with the hint to do so by hand.
func NewConfigured(l Layout) Management { return configured{l} }

type configured struct{ layout Layout }

// Layout implements Management.
func (c configured) Layout(ctx context.Context) (Layout, error) {
	l := c.layout
	l.Groups = slices.Clone(l.Groups)
	for i, g := range l.Groups {
		g.Databases = slices.Clone(g.Databases)
		for j := range g.Databases {
			if err := context.Cause(ctx); err != nil {
				return Layout{}, err
			}
			d := &g.Databases[j]
			if !d.Mounted {
				open, err := openElsewhere(d.File)
				if err != nil {
					return Layout{}, fmt.Errorf("database %q: %w", d.Name, err)
				}
				d.Mounted = open
			}
			d.AllowRestore = d.AllowRestore || !d.Mounted
		}
		l.Groups[i] = g
	}
	return l, nil
}

// Mount implements Management.
func (c configured) Mount(_ context.Context, d Database) error { return byHand("mount", d) }

// Dismount implements Management.
func (c configured) Dismount(_ context.Context, d Database) error { return byHand("dismount", d) }

// AllowRestore implements Management.
func (c configured) AllowRestore(_ context.Context, d Database) error {
	return byHand("allow to overwrite", d)
}

func byHand(what string, d Database) error {
	return &backup.Error{Op: what, App: application, Artifact: d.Name, Err: fmt.Errorf("%w: the layout of the server is configured, and nothing administers it", backup.ErrRefused),
		Advice: what + " the database by hand, in the administration of Exchange"}
}

var _ Management = configured{}
