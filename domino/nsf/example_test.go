package nsf_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log"

	"github.com/quiesce-go/quiesce/domino/nsf"
)

func ExampleVerify() {
	file := bytes.NewReader(made(55)) // or an *os.File
	f, err := nsf.Verify(context.Background(), file, file.Size())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s %q, replica %s, ODS %d, log %s, %s\n", f.Class, f.Title, f.ReplicaID, f.ODS, f.LogID, f.Depth)

	f, err = nsf.Verify(context.Background(), bytes.NewReader(made(55)[:9000]), -1)
	fmt.Printf("%q: %v\n", f.Title, err)
	// Output:
	// database "Orders über☺", replica 852566B90055AB21, ODS 55, log 10101010101010101010101010101010, measured
	// "Orders über☺": byte 9000: the file ends here; its header gives it 18432 bytes
	// byte 9000: the file ends here, and its length is not a multiple of 256
	// byte 568: superblock 2 is bytes 6144 to 10239; the file has 9000
}

func ExampleChecker() {
	var c nsf.Checker
	if _, err := io.Copy(io.MultiWriter(io.Discard, &c), bytes.NewReader(made(43))); err != nil { // beside where the bytes go
		log.Fatal(err)
	}
	f, err := c.Finish(-1)
	fmt.Println(f.Depth, err)
	// Output: measured <nil>
}
