package backuptest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
)

// hasty stores what it has when its reader fails, as naive code around a storage client does.
type hasty struct{ backup.Sink }

func (h hasty) Put(ctx context.Context, key string, r io.Reader) error {
	body, err := io.ReadAll(r)
	return errors.Join(h.Sink.Put(ctx, key, strings.NewReader(string(body))), err)
}

func ExampleCheckSink() {
	fresh := func() backup.Sink { return hasty{backuptest.NewMemSink()} }
	results := backuptest.CheckSink(context.Background(), fresh, backuptest.SinkOptions{Big: 1 << 20, Many: 10})
	for _, r := range results {
		if r.Broken() {
			fmt.Println(r.Rule)
		}
	}
	// Output:
	// put-whole-or-absent
	// put-failed-keeps-old
}
