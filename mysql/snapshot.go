package mysql

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// snapshot is a set of sessions that all see the same moment of the server.
type snapshot struct {
	src      *Source
	srv      *server
	coord    *session // holds locks; reads definitions
	readers  []*session
	opened   int // how many they are, kept after they are closed
	lock     LockMode
	at       place
	time     time.Time
	replica  *ReplicaPosition
	stream   string // the history that at is in; empty without a position
	head     string // of the file that at is in
	unlock   string // statement that releases the snapshot's lock; empty when none is held
	instance bool   // LOCK INSTANCE FOR BACKUP is held
	warnings []string
	log      *slog.Logger
}

// whileLocked is called when the snapshots are open and the lock is still held.
type whileLocked func(ctx context.Context, sn *snapshot)

// takeSnapshot opens the readers. What it takes is released by close, on every path.
func (s *Source) takeSnapshot(ctx context.Context, coord *session, srv *server, log *slog.Logger, locked whileLocked) (*snapshot, error) {
	sn := &snapshot{src: s, srv: srv, coord: coord, log: log}
	sn.lockInstance(ctx)
	for i, mode := range s.modes(srv) {
		err := sn.try(ctx, mode, locked)
		if err == nil {
			sn.opened = len(sn.readers)
			return sn, nil
		}
		sn.drop(ctx)
		if ctx.Err() != nil || lost(err) || s.opt.Lock != LockAuto || i == len(s.modes(srv))-1 || !passable(err) {
			sn.close(ctx)
			return nil, s.fail(ctx, "take a snapshot ("+string(mode)+") of", "", err)
		}
		sn.warn(fmt.Sprintf("snapshot by %s not possible (%v)", mode, err))
	}
	sn.close(ctx)
	return nil, s.fail(ctx, "take a snapshot of", "", errors.New("no way left"))
}

// errMoved: the server was written to while the snapshots were opened, each time.
var errMoved = errors.New("the binary log moved between the snapshots, every time")

// errNoPosition: without a position snapshots cannot be compared.
var errNoPosition = errors.New("the position of the binary log cannot be read")

// passable reports whether another way may succeed after err.
func passable(err error) bool {
	return denied(err) || number(err) == erLockWait || errors.Is(err, errMoved) || errors.Is(err, errNoPosition)
}

// modes lists the ways to try, gentlest first.
func (s *Source) modes(srv *server) []LockMode {
	switch {
	case s.opt.Lock != LockAuto:
		return []LockMode{s.opt.Lock}
	case srv.reduced:
		return []LockMode{LockSingle}
	case srv.atLeast(MariaDB, 10, 4, 1):
		return []LockMode{LockStage, LockTables, LockNone, LockSingle}
	}
	return []LockMode{LockTables, LockNone, LockSingle}
}

// lockInstance keeps DDL out for the whole backup on MySQL 8 and later, where the right is there. A snapshot alone does not protect against
// DDL: reading a table that was altered since fails.
func (sn *snapshot) lockInstance(ctx context.Context) {
	if sn.srv.reduced || !sn.srv.atLeast(MySQL, 8, 0, 0) {
		return
	}
	wait := int(max(1, sn.src.opt.LockWait/time.Second))
	// Without it the server waits as long as its own default says.
	_ = sn.coord.exec(ctx, fmt.Sprintf("SET SESSION lock_wait_timeout=%d", wait))
	if err := sn.coord.exec(ctx, "LOCK INSTANCE FOR BACKUP"); err != nil {
		sn.warn(fmt.Sprintf("DDL is not kept out while the backup runs: %v", err))
		return
	}
	sn.instance = true
}

// try makes the snapshot in one way.
func (sn *snapshot) try(ctx context.Context, mode LockMode, locked whileLocked) error {
	sn.lock = mode
	switch mode {
	case LockStage:
		return sn.underLock(ctx, locked, "BACKUP STAGE END", "BACKUP STAGE START", "BACKUP STAGE BLOCK_COMMIT")
	case LockTables:
		// The first flush closes what is idle without stopping anybody, so that the second one, which does, is short.
		return sn.underLock(ctx, locked, "UNLOCK TABLES", "FLUSH NO_WRITE_TO_BINLOG TABLES", "FLUSH TABLES WITH READ LOCK")
	case LockNone:
		return sn.compare(ctx, sn.src.opt.Connections)
	}
	return sn.single(ctx)
}

func (sn *snapshot) underLock(ctx context.Context, locked whileLocked, unlock string, take ...string) error {
	opt := sn.src.opt
	wait := int(max(1, (opt.LockWait+time.Second-1)/time.Second))
	if err := sn.coord.exec(ctx, fmt.Sprintf("SET SESSION lock_wait_timeout=%d", wait)); err != nil {
		return err
	}
	// Connecting takes time that must not be spent under the lock.
	if err := sn.connect(ctx, opt.Connections); err != nil {
		return err
	}
	var err error
	for i := range opt.LockAttempts {
		if i > 0 {
			sn.log.Info("waiting for the lock again", "attempt", i+1, "err", err)
			if err := sleep(ctx, time.Second); err != nil {
				return err
			}
		}
		if err = sn.take(ctx, unlock, take); err == nil || number(err) != erLockWait {
			break
		}
	}
	if err != nil {
		return err
	}
	began := time.Now()
	if err := sn.begin(ctx); err != nil {
		return err
	}
	if sn.at, err = sn.coord.place(ctx, sn.srv); err != nil {
		if !denied(err) {
			return err
		}
		sn.warn(fmt.Sprintf("the position of the binary log is not recorded: %v", err))
	}
	if err := sn.stamp(ctx); err != nil {
		return err
	}
	locked(ctx, sn)
	if err := sn.release(ctx); err != nil {
		return err
	}
	sn.log.Info("snapshot taken", "lock", sn.lock, "held", time.Since(began).Round(time.Millisecond), "connections", len(sn.readers))
	return nil
}

// take runs the statements that take the lock and takes back what they got when one fails.
func (sn *snapshot) take(ctx context.Context, unlock string, stmts []string) error {
	sn.unlock = unlock
	for _, q := range stmts {
		if err := sn.coord.exec(ctx, q); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", q, err), sn.release(ctx))
		}
	}
	return nil
}

// release gives the snapshot's lock back, on a context of its own.
func (sn *snapshot) release(ctx context.Context) error {
	if sn.unlock == "" {
		return nil
	}
	q := sn.unlock
	sn.unlock = ""
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	if err := sn.coord.exec(ctx, q); err != nil {
		if number(err) != 0 && q == "BACKUP STAGE END" {
			return nil // the stage was never begun
		}
		// The lock goes with its session.
		sn.src.kill(ctx, sn.coord.id)
		return fmt.Errorf("%s: %w", q, err)
	}
	return nil
}

func (sn *snapshot) connect(ctx context.Context, n int) error {
	for len(sn.readers) < n {
		c, err := sn.src.open(ctx, readSettings())
		if err != nil {
			return err
		}
		sn.readers = append(sn.readers, c)
		// Without this level the snapshot clause is ignored, with a warning only.
		if err := c.exec(ctx, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"); err != nil {
			return err
		}
	}
	return nil
}

func (sn *snapshot) begin(ctx context.Context) error {
	for _, c := range sn.readers {
		if err := c.exec(ctx, "START TRANSACTION WITH CONSISTENT SNAPSHOT"); err != nil {
			return err
		}
	}
	return nil
}

// stamp reads the clock and the replica's position.
func (sn *snapshot) stamp(ctx context.Context) (err error) {
	if sn.time, err = sn.coord.now(ctx); err != nil {
		return err
	}
	sn.replica = sn.coord.replica(ctx, sn.srv)
	return nil
}

// compare opens n snapshots until all of them saw the same position in the log, which then are one snapshot.
func (sn *snapshot) compare(ctx context.Context, n int) error {
	if !sn.srv.binlog() {
		return fmt.Errorf("%w: the server writes no binary log", errNoPosition)
	}
	if err := sn.connect(ctx, n); err != nil {
		return err
	}
	for i := range 20 {
		if i > 0 {
			for _, c := range sn.readers {
				if err := c.exec(ctx, "ROLLBACK"); err != nil {
					return err
				}
			}
			if err := sleep(ctx, time.Duration(10+i*10)*time.Millisecond); err != nil {
				return err
			}
		}
		same, err := sn.compareOnce(ctx)
		if err != nil {
			return err
		}
		if same {
			return sn.stamp(ctx)
		}
	}
	return errMoved
}

func (sn *snapshot) compareOnce(ctx context.Context) (bool, error) {
	before, err := sn.coord.place(ctx, sn.srv)
	if err != nil {
		return false, err
	}
	if before.file == "" {
		return false, errNoPosition
	}
	if err := sn.begin(ctx); err != nil {
		return false, err
	}
	if sn.srv.flavour == MariaDB {
		// Every snapshot knows its own position, so writers in between do no harm when they hit no border.
		first, err := sn.readers[0].seen(ctx)
		if err != nil {
			return false, err
		}
		for _, c := range sn.readers[1:] {
			p, err := c.seen(ctx)
			if err != nil || p != first {
				return false, err
			}
		}
		if first.file != "" {
			sn.at = first
			sn.at.gtid, err = sn.coord.text(ctx, fmt.Sprintf("SELECT BINLOG_GTID_POS(%s,%d)", literal(first.file), first.pos))
			return true, err
		}
	}
	after, err := sn.coord.place(ctx, sn.srv)
	sn.at = after
	return before == after, err
}

// single opens one snapshot, which needs no other to agree with. Its position is known when nothing was written meanwhile.
func (sn *snapshot) single(ctx context.Context) error {
	if sn.srv.binlog() {
		err := sn.compare(ctx, 1)
		if err == nil || !passable(err) {
			return err
		}
		sn.warn(fmt.Sprintf("the position of the binary log is not recorded: %v", err))
		sn.drop(ctx)
	}
	if err := sn.connect(ctx, 1); err != nil {
		return err
	}
	sn.at = place{}
	if err := sn.begin(ctx); err != nil {
		return err
	}
	return sn.stamp(ctx)
}

func (sn *snapshot) warn(w string) {
	sn.warnings = append(sn.warnings, w)
	sn.log.Warn(w, "app", application, "instance", sn.src.instance)
}

// drop ends the readers and the snapshot's lock.
func (sn *snapshot) drop(ctx context.Context) {
	_ = sn.release(ctx) // a session that does not give it back is killed
	for _, c := range sn.readers {
		c.close()
	}
	sn.readers = nil
}

// close ends everything but the coordinator's session, which its owner closes.
func (sn *snapshot) close(ctx context.Context) {
	sn.drop(ctx)
	if !sn.instance {
		return
	}
	sn.instance = false
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	if err := sn.coord.exec(ctx, "UNLOCK INSTANCE"); err != nil {
		sn.src.kill(ctx, sn.coord.id)
	}
}

func (sn *snapshot) checkpoint() Checkpoint {
	cp := sn.srv.checkpoint(sn.at, sn.time, sn.lock)
	cp.Source, cp.Head = sn.replica, sn.head
	cp.Include, cp.Exclude = sn.src.opt.Include, sn.src.opt.Exclude
	return cp
}

// item is the record of the run's only item.
func (sn *snapshot) item() backup.Item {
	return backup.Item{
		Name: ItemName, Kind: backup.Full, Stream: sn.stream, End: sn.at.position(),
		Window: backup.Window{From: sn.time, To: sn.time},
	}
}

// identify says to which history the position belongs: to that of the last backup if the log has gone on since, else to a new one, in which positions begin again.
func (sn *snapshot) identify(ctx context.Context, r backup.Request) {
	if sn.at.file == "" {
		return
	}
	b, err := sn.src.compare(ctx, sn.coord, sn.srv, r.Anchors[ItemName], sn.at)
	if err != nil {
		sn.log.Info("whether the binary log continues that of the last backup cannot be told", "app", application, "instance", sn.src.instance, "error", err)
	}
	if sn.stream = sn.srv.checkpoint(sn.at, sn.time, sn.lock).identity() + ":" + string(r.ID); err == nil && b.same {
		sn.stream = b.link.Stream
	}
	// Without the right to follow the log, the next run compares names, sizes and GTIDs only.
	if sn.head, err = sn.src.head(ctx, sn.srv, sn.at.file); err != nil {
		sn.log.Info("the head of the binary log cannot be read", "app", application, "instance", sn.src.instance, "error", err)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
