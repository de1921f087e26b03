package esebcli_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/exchange/esebcli"
)

// What a backup of all storage groups asks, in order. Streams and logs go to store; logs are truncated when it has them all.
func Example() {
	store := func(path string, size int64, read func(p []byte) (int, error)) error { return nil }
	full := func(ctx context.Context) error {
		lib, err := esebcli.Load("") // where the management tools of Exchange put it
		if err != nil {
			return err
		}
		s, groups, err := lib.Prepare(ctx, "", esebcli.InformationStore)
		if err != nil {
			return err
		}
		defer s.End(ctx) // gives a group that is still in backup up
		send := func(path string) error {
			f, size, err := s.OpenFile(ctx, path, 64<<10)
			if err != nil {
				return err
			}
			return errors.Join(store(path, size, func(p []byte) (int, error) { return f.Read(ctx, p) }), f.Close(ctx))
		}
		for _, g := range groups {
			if err := s.Setup(ctx, g.ID, esebcli.Full); err != nil {
				return err
			}
			for _, d := range g.Databases {
				for _, path := range d.Streams {
					if err := send(path); err != nil {
						return err
					}
				}
			}
			logs, err := s.LogFiles(ctx)
			if err != nil {
				return err
			}
			for _, path := range logs {
				if err := send(path); err != nil {
					return err
				}
			}
			if err := errors.Join(s.TruncateLogs(ctx), s.EndInstance(ctx, true)); err != nil {
				return err
			}
		}
		return nil
	}
	if err := full(context.Background()); errors.Is(err, errors.ErrUnsupported) {
		fmt.Println(backup.Hint(err))
	}
}

func ExampleHRESULT() {
	err := fmt.Errorf("set up the first storage group: %w", esebcli.HRESULT(0xC8000230))
	fmt.Println(err)
	fmt.Println(errors.Is(err, esebcli.HrMissingFullBackup), esebcli.HrMissingFullBackup.JET())
	fmt.Println(backup.Hint(err))
	// Output:
	// set up the first storage group: hrMissingFullBackup 0xC8000230 (JET -560): there is no full backup of every database by the same way
	// true -560
	// take a full backup of the storage group
}
