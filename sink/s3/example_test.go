package s3_test

import (
	"context"
	"fmt"
	"time"

	_ "gocloud.dev/blob/s3blob"

	"github.com/quiesce-go/quiesce/sink"
	"github.com/quiesce-go/quiesce/sink/s3"
)

// Opening makes no contact, so this runs anywhere.
func Example() {
	target, err := sink.Open(context.Background(), "s3://backups?region=eu-west-1", &sink.Options{Tune: s3.Tune})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer target.Close()
	fmt.Println("ready")
	// Output: ready
}

// What a killed process left is removed once it cannot be running any more.
func ExampleSweep() {
	ctx := context.Background()
	target, err := sink.Open(ctx, "mem://", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer target.Close()
	_, err = s3.Sweep(ctx, target, "backups", "shop/", 24*time.Hour)
	fmt.Println(err)
	// Output: sweep uploads backups: not an S3 bucket: unsupported operation
}
