package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"
	_ "gocloud.dev/blob/azureblob" // azblob://
	_ "gocloud.dev/blob/gcsblob"   // gs://
	_ "gocloud.dev/blob/s3blob"    // s3://

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/sink"
	"github.com/quiesce-go/quiesce/sink/s3"
)

// safe is the target and the key to it.
type safe struct {
	job       string // prefix of all keys; new for each run, so that nothing of another run is seen or removed
	where     string // for people
	key       string // file that holds the identity
	recipient string
	target    sink.Target
	sealed    *sink.Sealer
}

// open makes a key in dir and opens the target: at url, or a directory in dir.
func (s *safe) open(ctx context.Context, url, dir string) error {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return fmt.Errorf("make a key: %w", err)
	}
	s.key, s.recipient = filepath.Join(dir, "key.txt"), id.Recipient().String()
	if err := os.WriteFile(s.key, []byte(id.String()+"\n"), 0o600); err != nil {
		return err
	}
	s.job = "quickstart-" + strings.ToLower(time.Now().UTC().Format("20060102T150405.000"))
	target, err := openTarget(ctx, url, dir)
	if err != nil {
		return err
	}
	s.where = filepath.Join(dir, "target")
	if url != "" {
		s.where, _, _ = strings.Cut(url, "?")
	}
	if err := s.reach(ctx, target); err != nil {
		return errors.Join(err, target.Close())
	}
	s.target = target
	// One process both writes and restores here. In earnest the protected machine has the recipient only, and the identity lies in a safe.
	s.sealed = sink.Seal(s.target, sink.Keys{Recipients: []age.Recipient{id.Recipient()}, Identities: []age.Identity{id}}, nil)
	return nil
}

// reach asks the target once, without the patience a backup has: a wrong region, bucket or credential is said now.
func (s *safe) reach(ctx context.Context, target sink.Target) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for _, err := range target.List(ctx, s.job+"/") {
		if err != nil {
			return &backup.Error{Op: "reach", Artifact: s.where, Err: err,
				Advice: "check bucket, region and credentials; doc: gocloud.dev/howto/blob"}
		}
	}
	return nil
}

func openTarget(ctx context.Context, url, dir string) (sink.Target, error) {
	if url == "" {
		return sink.OpenDir(filepath.Join(dir, "target"))
	}
	t, err := sink.Open(ctx, url, &sink.Options{Tune: s3.Tune})
	if err != nil {
		return nil, &usageError{err: err} // nothing was contacted yet: it is the URL
	}
	return t, nil
}

// close removes what this run stored, unless it is to be kept.
func (s *safe) close(ctx context.Context, keep bool) error {
	if s.target == nil {
		return nil
	}
	var errs []error
	if !keep {
		for o, err := range s.target.List(ctx, s.job+"/") {
			if err != nil {
				errs = append(errs, fmt.Errorf("clean up %s: %w", s.where, err))
				break
			}
			if err := s.target.Delete(ctx, o.Key); err != nil {
				errs = append(errs, fmt.Errorf("clean up %s: %w", s.where, err))
				break
			}
		}
	}
	return errors.Join(append(errs, s.target.Close())...)
}
