package mssql

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/mssql/chain"
	"github.com/quiesce-go/quiesce/mssql/mtf"
)

// Verify implements backup.Verifier: every file is walked to its end by package mtf, all data of backups WITH CHECKSUM is compared with its checksums, stripes are
// put together, and what the files say of themselves is compared with what was recorded when they were taken.
//
// Compressed and encrypted backups are in a format that only a server reads: for these the server of s is asked, by RESTORE VERIFYONLY on files in the
// job's stage, or from its endpoint. Without a server and one of the two the error does not wrap backup.ErrCorrupt: nothing is known of them then.
func (s *Source) Verify(ctx context.Context, set *backup.RestoreSet) error {
	v := &verifying{src: s, set: set, from: newOrigin(s, set, slog.New(slog.DiscardHandler))}
	defer v.close(ctx)
	var unknown error
	for _, step := range set.Steps() {
		err := v.step(ctx, step)
		if ctx.Err() != nil || errors.Is(err, backup.ErrCorrupt) {
			return err
		}
		if unknown == nil {
			unknown = err // damage of another backup says more
		}
	}
	return unknown
}

// verifying is one verification; it opens a session when the first file needs one.
type verifying struct {
	src     *Source
	set     *backup.RestoreSet
	session *session
	from    *origin
}

func (v *verifying) close(ctx context.Context) {
	v.session.close()
	v.from.close(ctx)
}

func (v *verifying) step(ctx context.Context, step *backup.RestoreStep) error {
	want, err := setOf(step.Item)
	if err != nil {
		return v.corrupt(step, step.Item.Name, err)
	}
	l := link{step: step, set: want, entries: stripesOf(step)}
	if len(l.entries) != max(1, want.Stripes) {
		return v.corrupt(step, step.Item.Name, fmt.Errorf("%d files are there of the %d it was written to", len(l.entries), want.Stripes))
	}
	media := make([]*mtf.Media, len(l.entries))
	wrapped := 0
	for i, e := range l.entries {
		if media[i], err = v.file(ctx, step, e); err != nil {
			return err
		}
		if media[i].Container == mtf.Wrapped {
			wrapped++
		}
	}
	switch wrapped {
	case 0:
		return v.plain(step, l, media)
	case len(media):
		return v.byServer(ctx, l)
	}
	return v.corrupt(step, step.Item.Name, fmt.Errorf("%d of its %d files are compressed or encrypted, the others are not", wrapped, len(media)))
}

// file reads one file to its end.
func (v *verifying) file(ctx context.Context, step *backup.RestoreStep, e backup.Entry) (*mtf.Media, error) {
	r, err := v.set.Open(ctx, step, e)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }() // it was read to its end, or its error is known
	m, err := mtf.Verify(ctx, r)
	if errors.Is(err, backup.ErrCorrupt) {
		return nil, v.corrupt(step, e.Name, err)
	}
	if err != nil {
		return nil, v.src.fail(ctx, "verify", e.Name, err)
	}
	return m, nil
}

// plain judges files that were understood.
func (v *verifying) plain(step *backup.RestoreStep, l link, media []*mtf.Media) error {
	sets := mtf.Group(media...)
	if len(sets) != 1 {
		return v.corrupt(step, step.Item.Name, fmt.Errorf("its files belong to %d media sets", len(sets)))
	}
	if err := sets[0].Check(); err != nil {
		return v.corrupt(step, step.Item.Name, err)
	}
	if len(sets[0].Surplus) > 0 {
		return v.corrupt(step, step.Item.Name, fmt.Errorf("%d of its files hold the same stripe", len(sets[0].Surplus)+1))
	}
	for i, m := range media {
		if l.set.Checksums && m.Depth < mtf.Summed {
			return v.corrupt(step, l.entries[i].Name, errors.New("it was taken WITH CHECKSUM, and its data carries no checksums"))
		}
		if n := max(1, l.set.Position); len(m.Sets) < n {
			return v.corrupt(step, l.entries[i].Name, fmt.Errorf("it holds %d backup sets, and the one recorded is number %d", len(m.Sets), n))
		}
		if differs := differences(l.set, fromFile(m.Sets[max(1, l.set.Position)-1])); differs != "" {
			return v.corrupt(step, l.entries[i].Name, fmt.Errorf("it is not the backup that was recorded: %s", differs))
		}
	}
	return nil
}

// fromFile are the facts that a file and a header share.
func fromFile(s *mtf.Set) chain.Set {
	return chain.Set{Type: s.Type, GUID: s.GUID, Database: s.Database, FirstLSN: s.FirstLSN, LastLSN: s.LastLSN, FamilyGUID: s.FamilyGUID, Fork: s.RecoveryForkID}
}

// differences tells in what a backup is not the one recorded. Nothing that one side does not know counts.
func differences(want, have chain.Set) string {
	var out []string
	differ := func(what string, a, b fmt.Stringer, known bool) {
		if known && a.String() != b.String() {
			out = append(out, fmt.Sprintf("its %s is %s, not %s", what, b, a))
		}
	}
	guid := func(what string, a, b mtf.GUID) { differ(what, a, b, !a.IsZero() && !b.IsZero()) }
	if want.Type != have.Type {
		out = append(out, fmt.Sprintf("it is a %s, not a %s", have.Type.Kind(), want.Type.Kind()))
	}
	if want.Database != have.Database {
		out = append(out, fmt.Sprintf("it is of %q, not of %q", have.Database, want.Database))
	}
	guid("backup set", want.GUID, have.GUID)
	guid("family", want.FamilyGUID, have.FamilyGUID)
	guid("recovery fork", want.Fork, have.Fork)
	differ("first LSN", want.FirstLSN, have.FirstLSN, true)
	differ("last LSN", want.LastLSN, have.LastLSN, true)
	return strings.Join(out, "; ")
}

// byServer has the server read what only it can.
func (v *verifying) byServer(ctx context.Context, l link) error {
	name := l.step.Item.Name
	unknown := func(err error, advice string) error {
		return &backup.Error{Op: "verify", App: application, Instance: v.src.instance, ID: l.step.ID, Artifact: name, Advice: advice,
			Err: fmt.Errorf("the backup is compressed or encrypted, which only a server reads: %w", err)}
	}
	if v.session == nil {
		c, err := v.src.open(ctx)
		if err != nil {
			return unknown(err, "verify where the server can be reached; rehearsals prove more")
		}
		v.session = c
	}
	devices, err := v.from.bring(ctx, l)
	if errors.Is(err, backup.ErrNoPath) {
		return unknown(err, "give the job a stage directory that the server can read")
	}
	if err != nil {
		return err
	}
	err = v.ask(ctx, devices, l)
	if err != nil {
		err = errors.Join(v.from.failure(l), err)
	}
	return errors.Join(err, v.from.release(l))
}

func (v *verifying) ask(ctx context.Context, devices []device, l link) error {
	c, name := v.session, l.step.Item.Name
	err := c.run(ctx, verifyStatement(devices, max(1, l.set.Position), l.set.Checksums), func(int) { v.set.Moved() })
	if damaged(err) {
		return v.corrupt(l.step, name, err)
	}
	if err != nil {
		return v.src.fail(ctx, "verify", name, err)
	}
	sets, err := c.headers(ctx, devices)
	if err != nil {
		return v.src.fail(ctx, "verify", name, err)
	}
	for _, set := range sets {
		if set.Position == max(1, l.set.Position) {
			if differs := differences(l.set, set); differs != "" {
				return v.corrupt(l.step, name, fmt.Errorf("it is not the backup that was recorded: %s", differs))
			}
			return nil
		}
	}
	return v.corrupt(l.step, name, fmt.Errorf("it holds %d backup sets, and the one recorded is number %d", len(sets), max(1, l.set.Position)))
}

// corrupt is damage found in an artifact.
func (v *verifying) corrupt(step *backup.RestoreStep, artifact string, err error) error {
	if !errors.Is(err, backup.ErrCorrupt) {
		err = fmt.Errorf("%w: %w", backup.ErrCorrupt, err)
	}
	return &backup.Error{Op: "verify", App: application, Instance: v.src.instance, ID: step.ID, Artifact: artifact, Advice: backup.Hint(err), Err: err}
}

var _ backup.Verifier = (*Source)(nil)
