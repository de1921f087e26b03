package ese_test

import (
	"bytes"
	"context"
	"fmt"
	"log"

	"github.com/quiesce-go/quiesce/exchange/ese"
)

func ExampleVerifyDatabase() {
	b := made(32768, 4)
	file := bytes.NewReader(b) // or an *os.File
	d, err := ese.VerifyDatabase(context.Background(), file, file.Size())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s, logs %d to %d required, %d pages good, %d unused, %s\n", d.State, d.RequiredFirst, d.RequiredLast, d.Good, d.Unused, d.Depth)

	b[70000] ^= 4
	_, err = ese.VerifyDatabase(context.Background(), bytes.NewReader(b), file.Size())
	fmt.Println(err)
	// Output:
	// dirty shutdown, logs 17 to 19 required, 3 pages good, 1 unused, summed
	// page 1 (byte 65536): its checksum is wrong: bit 2 of byte 70000 has changed
}

func ExampleCheckChain() {
	var logs []ese.NamedLog
	for _, generation := range []uint32{17, 18, 20} {
		l, err := ese.VerifyLog(context.Background(), bytes.NewReader(madeLog(7, generation, 0))) // or an *os.File
		if err != nil {
			log.Fatal(err)
		}
		logs = append(logs, ese.NamedLog{Name: fmt.Sprintf("E00%05X.log", generation), Log: l})
	}
	fmt.Println(ese.CheckChain(ese.Signature{}, logs)) // or the LogSignature of a database
	// Output: E0000014.log: missing: generations 0x13 to 0x13 before it are not there
}
