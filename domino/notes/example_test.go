package notes_test

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/quiesce-go/quiesce/domino/notes"
)

// A child serves any API; here a model of one, at the other end of a pipe. An agent calls notes.Start instead of Connect.
func Example() {
	near, far := net.Pipe()
	go func() { _ = notes.Serve(context.Background(), far, &fake{}) }()

	ctx := context.Background()
	api, err := notes.Connect(ctx, near)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer api.Close()
	thread, err := api.Thread(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = thread.NextLog(ctx)
	fmt.Println(errors.Is(err, notes.StatusNoTransLogsToArchive))
	fmt.Println(err)
	// Output:
	// true
	// NSFGetNextLogToArchive: no full log extent is waiting (ERR_NO_TRANSLOGS_TO_ARCHIVE, 0x13DE): "Es gibt keine"
}
