package cli

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v4/disk"

	"github.com/quiesce-go/quiesce/backup"
)

// checkPatience is how long one contact with the target may take. The target's own patience, a quarter of an hour, is for backups.
const checkPatience = 30 * time.Second

// greeting is what a check writes; reading it back must give the same.
const greeting = "written by a check; it can be removed\n"

func newGreeting() io.Reader { return bytes.NewReader([]byte(greeting)) }

// target tries the target below all sealers and reports whether it can be used.
func (c *checker) target(ctx context.Context) bool {
	base := c.job.Config.Sink
	for {
		sealer, ok := base.(backup.Sealer)
		if !ok {
			break
		}
		base = sealer.Under()
	}
	ctx, cancel := context.WithTimeoutCause(ctx, checkPatience, fmt.Errorf("no answer within %s", checkPatience))
	defer cancel()
	const access = "see to the URL of the sink, the network, and the credentials in the environment"
	if !c.add("target: can be reached", because(ctx, firstOf(ctx, base, c.job.Name+"/")), access) {
		return false
	}
	key := c.job.Name + "/check/" + rand.Text()
	err := because(ctx, writeAndRead(ctx, base, key))
	switch {
	case errors.Is(err, backup.ErrReadOnly):
		c.add("target: is open for reading only, backups cannot be taken here", nil, "")
	case !c.add("target: can be written, read and deleted", err, "the account needs the rights to put, get, list and delete objects"):
		return false
	default:
		c.add("target: creates objects atomically", because(ctx, createsOnce(ctx, base, key)),
			"two machines on one job could outrun each other at this target: let only one machine use the job")
	}
	return c.add("target: nobody else holds the job", because(ctx, c.leaseFree(ctx, base)), "wait until the other run has ended")
}

// because puts the cause of a context that ended in place of what came of it.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}

// firstOf lists until the first object.
func firstOf(ctx context.Context, s backup.Sink, prefix string) error {
	for _, err := range s.List(ctx, prefix) {
		return err
	}
	return nil
}

func writeAndRead(ctx context.Context, s backup.Sink, key string) (err error) {
	if err := s.Put(ctx, key, newGreeting()); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	defer func() {
		if derr := s.Delete(context.WithoutCancel(ctx), key); derr != nil {
			err = errors.Join(err, fmt.Errorf("delete: %w", derr))
		}
	}()
	r, err := s.Get(ctx, key)
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	if string(got) != greeting {
		return fmt.Errorf("read back %d bytes that are not what was written: %w", len(got), backup.ErrCorrupt)
	}
	return nil
}

// createsOnce creates an object twice; the second time must find it taken.
func createsOnce(ctx context.Context, s backup.Sink, key string) (err error) {
	creator, ok := s.(backup.PutIfAbsenter)
	if !ok {
		return fmt.Errorf("the target cannot create an object only if it is absent: %w", errors.ErrUnsupported)
	}
	if err := creator.PutIfAbsent(ctx, key, newGreeting()); err != nil {
		return fmt.Errorf("create: %w", err)
	}
	defer func() { err = errors.Join(err, s.Delete(context.WithoutCancel(ctx), key)) }()
	switch err := creator.PutIfAbsent(ctx, key, strings.NewReader("another")); {
	case err == nil:
		return errors.New("an object was created twice")
	case !errors.Is(err, fs.ErrExist):
		return fmt.Errorf("create again: %w", err)
	}
	return nil
}

// leaseFree looks at the job's lease, which doc/format.md describes.
func (c *checker) leaseFree(ctx context.Context, s backup.Sink) error {
	prefix := c.job.Name + "/lease/"
	var keys []string
	for o, err := range s.List(ctx, prefix) {
		if err != nil {
			return err
		}
		keys = append(keys, o.Key)
	}
	if len(keys) == 0 {
		return nil
	}
	r, err := s.Get(ctx, slices.Max(keys)) // numbers have leading zeros
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it was given back between the two calls
	}
	if err != nil {
		return err
	}
	defer r.Close()
	var lease struct {
		Holder   string    `json:"holder"`
		Expires  time.Time `json:"expires"`
		Released bool      `json:"released"`
	}
	if err := json.NewDecoder(r).Decode(&lease); err != nil {
		return fmt.Errorf("lease of the job: %w: %w", backup.ErrCorrupt, err)
	}
	if lease.Released || c.o.in.now().After(lease.Expires) {
		return nil
	}
	return &backup.Error{Op: "take the lease of job", Artifact: c.job.Name, Err: fmt.Errorf("%w: %s until %s", backup.ErrBusy, lease.Holder, moment(lease.Expires)),
		Advice: "wait for that run, or until its lease has expired if it died"}
}

// stage makes a stage as a run does. It returns the zero StageDir where the job streams; ok is false when the stage cannot be used.
func (c *checker) stage(ctx context.Context) (dir backup.StageDir, ok bool) {
	stager := c.job.Config.Stager
	if stager == nil {
		return dir, c.add("stage: none, artifacts are streamed", nil, "")
	}
	const advice = "see to stage.dir in the configuration: it must be writable for this account"
	dir, err := stager.Stage(ctx, c.job.Name, backup.NewID(c.o.in.now(), ""))
	if err == nil && dir.Path != "" {
		name := filepath.Join(dir.Path, "check")
		if err = os.WriteFile(name, []byte(greeting), 0o600); err == nil {
			err = os.Remove(name)
		}
	}
	return dir, c.add("stage: can be written", err, advice)
}

// room compares what a full needs with what the stage has.
func (c *checker) room(dir backup.StageDir, need int64) {
	u, err := disk.Usage(dir.Path)
	if err != nil {
		c.add("stage: has room", err, "see to stage.dir in the configuration")
		return
	}
	free := int64(min(u.Free, 1<<62))
	what := fmt.Sprintf("stage: has room, %s free", size(free))
	if dir.Quota > 0 { // writers wait for shipped parts to leave
		need = min(need, dir.Quota)
		what += fmt.Sprintf(", at most %s used", size(dir.Quota))
	}
	if free < need {
		err = fmt.Errorf("a full may need %s: %w", size(need), backup.ErrStageFull)
	}
	c.add(what, err, "free space there, name a larger disk in stage.dir, set stage.max, or take stage out to stream")
}
