package sink_test

import (
	"context"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"

	"github.com/quiesce-go/quiesce/sink"
)

// A machine that is backed up holds the recipient only. The identity lies in a safe.
func ExampleSeal() {
	ctx := context.Background()
	target, err := sink.Open(ctx, "mem://", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer target.Close()
	identity, err := age.GenerateX25519Identity() // age-keygen does this in a shell
	if err != nil {
		fmt.Println(err)
		return
	}

	writer, err := sink.Recipients(identity.Recipient().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	err = sink.Seal(target, writer, nil).Put(ctx, "shop/entries.json", strings.NewReader("{}"))
	if err != nil {
		fmt.Println(err)
		return
	}
	for o := range target.List(ctx, "") {
		fmt.Println(o.Key)
	}

	reader, err := sink.Identities(identity.String())
	if err != nil {
		fmt.Println(err)
		return
	}
	rc, err := sink.Seal(target, reader, nil).Get(ctx, "shop/entries.json")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer rc.Close()
	plain, err := io.ReadAll(rc)
	fmt.Println(string(plain), err)
	// Output:
	// shop/entries.json.zst.age
	// {} <nil>
}

// The office keeps most of its line from eight to six.
func ExampleThrottle() {
	limiter, err := sink.NewLimiter(sink.Profile{
		Windows: []sink.RateWindow{{From: 8 * 3600e9, To: 18 * 3600e9, Rate: sink.Rate{Up: 2 << 20}}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	target, err := sink.Open(context.Background(), "mem://", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer target.Close()
	s := sink.Throttle(target, limiter)
	fmt.Println(s.Put(context.Background(), "k", strings.NewReader("v")))
	// Output: <nil>
}
