package notes

import (
	"context"
	"errors"
	"fmt"
)

// The functions of the C API by their names there.
const (
	callInit           = "NotesInitThread"
	callTerm           = "NotesTermThread"
	callDataDirectory  = "OSGetDataDirectory"
	callEnvironment    = "OSGetEnvironmentString"
	callOpen           = "NSFDbOpen"
	callClose          = "NSFDbClose"
	callMode           = "NSFDbModeGet"
	callPath           = "NSFDbPathGet"
	callLogInfo        = "NSFDbGetLogInfo"
	callBackupStart    = "NSFBackupStart"
	callHighWater      = "NSFBackupSetHighWaterMark"
	callBackupStop     = "NSFBackupStop"
	callChangeInfoSize = "NSFBackupGetChangeInfoSize"
	callNextChangeInfo = "NSFBackupGetNextChangeInfo"
	callBackupEnd      = "NSFBackupEnd"
	callApplyStart     = "NSFBackupStartApplyChangeInfo"
	callApply          = "NSFBackupApplyNextChangeInfo"
	callApplyEnd       = "NSFBackupEndApplyChangeInfo"
	callLogStyle       = "NSFGetTransLogStyle"
	callArchivingBegin = "NSFBeginArchivingLogs"
	callArchivingEnd   = "NSFEndArchivingLogs"
	callFirstLog       = "NSFGetFirstLogToArchive"
	callNextLog        = "NSFGetNextLogToArchive"
	callLogDone        = "NSFDoneArchivingLog"
	callTakeOffline    = "NSFTakeDatabaseOffline"
	callBringOnline    = "NSFBringDatabaseOnline"
	callRecover        = "NSFRecoverDatabases"
)

// invoke makes the call that f asks for. The body it returns is valid until the next one.
func (w *worker) invoke(ctx context.Context, f *frame) (output, []byte, error) {
	if f.In == nil {
		return output{}, nil, errors.New("a call without its arguments")
	}
	for _, group := range [...]func(context.Context, string, *input) (output, bool, error){w.database, w.apply, w.log, w.recovery} {
		if out, known, err := group(ctx, f.Call, f.In); known {
			return out, nil, err
		}
	}
	switch f.Call {
	case callNextChangeInfo:
		return w.nextChangeInfo(ctx, f.In)
	case callApply:
		return output{}, nil, w.Apply(ctx, ApplyContext(f.In.Context), f.body)
	case callRecover:
		return w.recoverAll(ctx, f)
	}
	return output{}, nil, fmt.Errorf("the child does not know the function %q", f.Call)
}

// database is what is asked of an open database.
func (w *worker) database(ctx context.Context, call string, in *input) (out output, known bool, err error) {
	h, c := Handle(in.Handle), BackupContext(in.Context)
	switch call {
	case callDataDirectory:
		out.Text, err = w.DataDirectory(ctx)
	case callEnvironment:
		out.Text, out.Yes, err = w.Environment(ctx, in.Path)
	case callOpen:
		h, err = w.Open(ctx, in.Path)
		out.Handle = uint64(h)
	case callClose:
		err = w.Close(ctx, h)
	case callMode:
		out.Yes, err = w.IsDirectory(ctx, h)
	case callPath:
		out.Text, err = w.Path(ctx, h)
	case callLogInfo:
		var info LogInfo
		info, err = w.LogInfo(ctx, h)
		out.Info = &info
	case callBackupStart:
		c, out.Size, err = w.BackupStart(ctx, h)
		out.Context = uint64(c)
	case callHighWater:
		err = w.BackupHighWater(ctx, h, c, in.Size)
	case callBackupStop:
		err = w.BackupStop(ctx, h, c)
	case callChangeInfoSize:
		out.Size, err = w.ChangeInfoSize(ctx, h, c)
	case callBackupEnd:
		err = w.BackupEnd(ctx, h, c, in.Abort)
	default:
		return out, false, nil
	}
	return out, true, err
}

// apply is what is asked of a copy.
func (w *worker) apply(ctx context.Context, call string, in *input) (out output, known bool, err error) {
	switch call {
	case callApplyStart:
		var a ApplyContext
		a, err = w.ApplyStart(ctx, in.Path, in.Size)
		out.Context = uint64(a)
	case callApplyEnd:
		err = w.ApplyEnd(ctx, ApplyContext(in.Context), in.Abort)
	default:
		return out, false, nil
	}
	return out, true, err
}

// log is what is asked of the transaction log.
func (w *worker) log(ctx context.Context, call string, in *input) (out output, known bool, err error) {
	switch call {
	case callLogStyle:
		var s LogStyle
		s, err = w.LogStyle(ctx)
		out.Style = uint16(s)
	case callArchivingBegin:
		err = w.ArchivingBegin(ctx)
	case callArchivingEnd:
		err = w.ArchivingEnd(ctx)
	case callFirstLog:
		out.Extent, err = w.FirstLog(ctx)
	case callNextLog:
		out.Extent, err = w.NextLog(ctx)
	case callLogDone:
		err = w.LogDone(ctx, in.LogID, in.Number)
	default:
		return out, false, nil
	}
	return out, true, err
}

// recovery is what is asked about taking databases off and on.
func (w *worker) recovery(ctx context.Context, call string, in *input) (out output, known bool, err error) {
	switch call {
	case callTakeOffline:
		err = w.TakeOffline(ctx, in.Path, in.Wait)
	case callBringOnline:
		err = w.BringOnline(ctx, in.Path)
	default:
		return out, false, nil
	}
	return out, true, err
}

func (w *worker) nextChangeInfo(ctx context.Context, in *input) (output, []byte, error) {
	size := int(min(max(in.Size, 0), maxBody))
	if len(w.buf) < size {
		w.buf = make([]byte, size)
	}
	n, err := w.NextChangeInfo(ctx, Handle(in.Handle), BackupContext(in.Context), w.buf[:size])
	if n < 0 || n > size {
		return output{}, nil, fmt.Errorf("%s returned %d bytes of a buffer of %d", callNextChangeInfo, n, size)
	}
	return output{}, w.buf[:n], err
}

func (w *worker) recoverAll(ctx context.Context, f *frame) (output, []byte, error) {
	var put placer
	if f.In.Put {
		put = func(ctx context.Context, id UNID, number uint32, path string) error {
			return w.server.ask(ctx, f.ID, Extent{LogID: id, Number: number, Path: path})
		}
	}
	r, err := w.Recover(ctx, f.In.Paths, RecoverFlags(f.In.Flags), f.In.Until, put)
	return output{Result: &r}, nil, err
}
