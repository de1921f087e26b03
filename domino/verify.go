package domino

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/domino/notes"
	"github.com/quiesce-go/quiesce/domino/nsf"
)

// Verify implements backup.Verifier, without a server. Every artifact is read to its end and compared with the size and checksum that were taken when Domino gave it; a database must have its change information, and
// a header that is that of a database; the extents of a log link must follow each other from where it begins to where it ends.
//
// Whether the pages of a database make sense to Domino, and whether an extent holds what its number says, only a recovery tells: neither format is published.
//
// A backup that another way made is compared by the rules of that way.
func (s *capiSource) Verify(ctx context.Context, set *backup.RestoreSet) error {
	return s.verify(ctx, set)
}

type verifying struct {
	src  *capiSource
	set  *backup.RestoreSet
	step *backup.RestoreStep
}

func (v *verifying) all(ctx context.Context) error {
	for _, e := range v.step.Entries {
		if err := v.copy(ctx, e, io.Discard); err != nil {
			return err
		}
	}
	name := v.step.Item.Name
	switch name {
	case itemFiles:
		return nil
	case itemAttachments:
		return v.lists()
	case itemLog:
		if err := v.extents(); err != nil {
			return v.corrupt(name, err)
		}
		return nil
	}
	if err := v.database(); err != nil {
		return v.corrupt(databasePrefix+name, err)
	}
	return nil
}

// copy reads an artifact to its end, into w, and compares it with what was noted of it.
func (v *verifying) copy(ctx context.Context, e backup.Entry, w io.Writer) error {
	in, err := v.set.Open(ctx, v.step, e)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // it was read to its end, or its error is known
	sum := newSum()
	var check io.Writer = sum
	var head nsf.Checker
	if shaped(e) {
		check = io.MultiWriter(sum, &head)
	}
	n, err := io.Copy(io.MultiWriter(check, w), in)
	if err != nil {
		return v.src.fail(ctx, "verify", e.Name, err)
	}
	if want, ok := e.Meta[metaSize]; ok && want != strconv.FormatInt(n, 10) {
		return v.corrupt(e.Name, fmt.Errorf("it has %d bytes, and had %s when Domino gave it", n, want))
	}
	if want := e.Meta[metaSum]; want != sumText(sum) {
		return v.corrupt(e.Name, fmt.Errorf("its checksum is %s, and was %q when Domino gave it", sumText(sum), want))
	}
	if shaped(e) {
		if _, err := head.Finish(n); err != nil {
			return v.corrupt(e.Name, err)
		}
	}
	return nil
}

// shaped reports whether an artifact must have the header of a database. Beside its change information a copy may have the header of a later moment than its other parts.
func shaped(e backup.Entry) bool {
	delta := e.Meta["delta"]
	return strings.HasPrefix(e.Name, databasePrefix) && !strings.HasSuffix(e.Name, deltaSuffix) && (delta == "" || delta == "0")
}

// database looks for the artifacts of a database.
func (v *verifying) database() error {
	e, ok := v.step.Find(databasePrefix + v.step.Item.Name)
	if !ok {
		return errors.New("the backup has no copy of it")
	}
	size, streamed := e.Meta["delta"]
	d, ok := v.step.Find(e.Name + deltaSuffix)
	switch {
	case streamed && !ok:
		return errors.New("its change information is missing, without which the copy is inconsistent")
	case streamed && strconv.FormatInt(d.Size, 10) != size:
		return fmt.Errorf("its change information has %d bytes, and had %s", d.Size, size)
	}
	return nil
}

// lists looks for the list of objects.
func (v *verifying) lists() error {
	e, ok := v.step.Find(attachmentList)
	if !ok {
		return v.corrupt(attachmentList, errors.New("the backup has none"))
	}
	if want := strconv.Itoa(len(v.step.Entries) - 1); e.Meta["objects"] != want {
		return v.corrupt(attachmentList, fmt.Errorf("the backup has %s objects, and lists %s", want, e.Meta["objects"]))
	}
	return nil
}

// extentOf reads what an artifact is an extent of.
func extentOf(e backup.Entry) (id notes.UNID, number uint32, partial bool, err error) {
	if id, err = notes.ParseUNID(e.Meta[metaLogID]); err != nil {
		return id, 0, false, err
	}
	n, err := strconv.ParseUint(e.Meta[metaNumber], 10, 32)
	if err != nil {
		return id, 0, false, fmt.Errorf("number of an extent: %w", err)
	}
	return id, uint32(n), e.Meta[metaPart] != "", nil
}

// extents goes along the log of a step.
func (v *verifying) extents() error {
	it := v.step.Item
	next, known := uint32(0), false
	for _, e := range v.step.Entries {
		if !strings.HasPrefix(e.Name, logPrefix) {
			continue
		}
		id, number, _, err := extentOf(e)
		switch {
		case err != nil:
			return err
		case id.String() != it.Stream:
			return fmt.Errorf("extent %d is of log %s, not of %s", number, id, it.Stream)
		case !known && position(number, time.Time{}) > it.Begin:
			return fmt.Errorf("it begins with extent %d, and should with %s", number, it.Begin)
		case known && number != next:
			return fmt.Errorf("extents %d to %d are missing", next, number-1)
		}
		next, known = number+1, true
	}
	if end, _, within := strings.Cut(string(it.End), "."); within && string(position(next, time.Time{})) < end {
		return fmt.Errorf("it ends before extent %d, and should reach into %s", next, end)
	}
	return nil
}

// corrupt is damage found in an artifact.
func (v *verifying) corrupt(artifact string, err error) error {
	if !errors.Is(err, backup.ErrCorrupt) {
		err = fmt.Errorf("%w: %w", backup.ErrCorrupt, err)
	}
	return &backup.Error{Op: "verify", App: application, Instance: v.src.opt.Instance, ID: v.step.ID, Artifact: artifact, Advice: backup.Hint(err), Err: err}
}
