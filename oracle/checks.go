package oracle

import (
	"context"
	"fmt"
	"io"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/oracle/blockfile"
)

// wrong is damage: a file is not the one that it should be.
func wrong(format string, args ...any) error {
	return fmt.Errorf("%w: %s", backup.ErrCorrupt, fmt.Sprintf(format, args...))
}

// checkOf is how an artifact is checked against what is recorded of it; nil when its content may be anything.
func (inv *Inventory) checkOf(name string) func(ctx context.Context, in io.Reader) error {
	if m := inv.Backup.RMAN; m != nil {
		for _, p := range m.Pieces {
			if p.Artifact == name && !p.Copy {
				return func(_ context.Context, in io.Reader) error { return checkLength(in, p.Bytes) }
			}
		}
	}
	for i := range inv.DataFiles {
		if d := &inv.DataFiles[i]; d.Artifact == name {
			return func(ctx context.Context, in io.Reader) error {
				_, err := inv.checkData(ctx, in, d)
				return err
			}
		}
	}
	for _, l := range inv.Backup.Logs {
		if l.Artifact == name {
			return func(ctx context.Context, in io.Reader) error { return inv.checkLog(ctx, in, l) }
		}
	}
	if name == inv.Backup.Files[fileControl] || inv.Backup.RMAN.controlCopy(name) {
		return inv.checkControl
	}
	return nil
}

// checkData reads a data file to its end, and compares what it says of itself with what the server says of it.
func (inv *Inventory) checkData(ctx context.Context, in io.Reader, d *DataFile) (*blockfile.DataFile, error) {
	hot := d.BackupSCN != 0
	have, err := blockfile.VerifyData(ctx, in, blockfile.Options{Hot: hot})
	if err != nil {
		return have, err
	}
	size := d.Bytes + d.Block1Offset
	switch {
	case d.Container <= rootContainer && uint64(have.DBID) != inv.DBID:
		err = wrong("it is of database %d, not of %d", have.DBID, inv.DBID)
	case int(have.File) != d.File:
		err = wrong("it says that it is data file %d, not %d", have.File, d.File)
	case have.TablespaceName != d.TablespaceName:
		err = wrong("it is of tablespace %s, not of %s", have.TablespaceName, d.TablespaceName)
	case have.BlockSizeBytes != d.BlockSize:
		err = wrong("its blocks have %d bytes, not %d", have.BlockSizeBytes, d.BlockSize)
	case have.SizeBytes < size || !hot && have.SizeBytes != size:
		err = wrong("it has %d bytes, and V$DATAFILE says %d", have.SizeBytes, size)
	case hot && !have.InBackup():
		err = wrong("its header says that it was not in backup mode")
	case hot && SCN(have.CheckpointSCN) < d.BackupSCN:
		err = wrong("its checkpoint is SCN %d, and BEGIN BACKUP was at %d: it is an older copy of the file", have.CheckpointSCN, d.BackupSCN)
	}
	return have, err
}

// checkLog does so with an archived log.
func (inv *Inventory) checkLog(ctx context.Context, in io.Reader, l ArchivedLog) error {
	have, err := blockfile.VerifyRedo(ctx, in)
	if err != nil {
		return err
	}
	switch {
	case uint64(have.DBID) != inv.DBID:
		return wrong("it is of database %d, not of %d", have.DBID, inv.DBID)
	case int(have.Thread) != l.Thread || uint64(have.Sequence) != l.Sequence:
		return wrong("it is thread %d sequence %d, not %s", have.Thread, have.Sequence, l)
	case SCN(have.FirstSCN) != l.FirstSCN || SCN(have.NextSCN) != l.NextSCN:
		return wrong("it holds SCN %d to %d, and V$ARCHIVED_LOG says %d to %d", have.FirstSCN, have.NextSCN, l.FirstSCN, l.NextSCN)
	}
	return nil
}

// checkLength reads a backup piece to its end. What is inside is Oracle's own.
func checkLength(in io.Reader, want int64) error {
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{in}, make([]byte, readBuffer))
	if err == nil && n != want {
		err = wrong("it has %d bytes, not %d", n, want)
	}
	return err
}

// checkControl does so with a control file.
func (inv *Inventory) checkControl(ctx context.Context, in io.Reader) error {
	have, err := blockfile.VerifyControl(ctx, in)
	if err == nil && uint64(have.DBID) != inv.DBID {
		err = wrong("it is of database %d, not of %d", have.DBID, inv.DBID)
	}
	return err
}
