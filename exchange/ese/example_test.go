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

func ExampleExplain() {
	d, err := ese.ReadDatabaseHeader(context.Background(), bytes.NewReader(made(4096, 4))) // or an *os.File
	if err != nil {
		log.Fatal(err)
	}
	set := ese.Set{Database: d}
	for _, generation := range []uint32{17, 18, 19} {
		l, err := ese.ReadLogHeader(context.Background(), bytes.NewReader(madeLog(7, generation, 0)))
		if err != nil {
			log.Fatal(err)
		}
		set.Logs = append(set.Logs, ese.NamedLog{Name: fmt.Sprintf("E00%05X.log", generation), Log: l})
	}
	r := ese.Explain(set)
	fmt.Println(r)
	fmt.Println(r.Reasons[0])
	// Output:
	// the database can be recovered with loss: it requires logs 0x11 to 0x13, and those up to 0x14 to lose nothing; logs 0x11 to 0x13 can be replayed
	// log 0x14 is not there; what was committed up to log 0x14 is lost
}

func ExampleWhyKept() {
	d, err := ese.ReadDatabaseHeader(context.Background(), bytes.NewReader(made(4096, 4)))
	if err != nil {
		log.Fatal(err)
	}
	stream := ese.Stream{Databases: []ese.NamedDatabase{{Name: "mail.edb", Database: d}}}
	for _, name := range []string{"E0000012.log", "E0000013.log", "E00.log"} {
		l, err := ese.ReadLogHeader(context.Background(), bytes.NewReader(madeLog(8, 18+uint32(len(stream.Logs)), 0)))
		if err != nil {
			log.Fatal(err)
		}
		stream.Logs = append(stream.Logs, ese.NamedLog{Name: name, Log: l})
	}
	fmt.Println(ese.WhyKept(stream))
	// Output:
	// logs 0x12 to 0x13 are there
	// logs from 0x11 on are needed for the recovery of mail.edb, which is in dirty shutdown
	// mail.edb holds all logs: it has had no full backup since it uses them; a restore counts as a new beginning
	// a backup of logs would be refused: mail.edb has had no full backup: take one first
}
