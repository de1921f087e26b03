package keeper

import (
	"context"
	"database/sql"
	"os"
)

// hold is a read transaction. While it lasts, SQLite keeps every commit after its beginning in the log; it may begin the log anew once,
// when all that was in it at the beginning is in the database.
type hold struct {
	tx   *sql.Tx
	at   mark        // the end of the log when it began
	file os.FileInfo // of the database
}

// rehold moves the hold to at, the end of the log, which is in the journal. Nobody can commit meanwhile.
func (k *Keeper) rehold(ctx context.Context, at mark) error {
	k.release()
	if at.frame >= k.o.Checkpoint {
		if _, err := k.app.ExecContext(ctx, "PRAGMA wal_checkpoint(PASSIVE)"); err != nil {
			return err
		}
	}
	file, err := os.Stat(k.path)
	if err != nil {
		return err
	}
	tx, err := snapshot(ctx, k.app)
	if err == nil {
		k.hold = &hold{tx, at, file}
	}
	return err
}

func (k *Keeper) release() {
	if k.hold != nil {
		_ = k.hold.tx.Rollback() // it only read
		k.hold = nil
	}
}

// leads reports whether next can only be what followed last: the log ended at last when the hold began, and was begun anew at most once.
func (h *hold) leads(path string, last, next mark) bool {
	if h == nil || h.at != last {
		return false
	}
	file, err := os.Stat(path)
	return err == nil && os.SameFile(file, h.file) && (last == mark{} || next.salt() == last.salt()+1)
}
