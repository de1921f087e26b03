package mtf_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"

	"github.com/quiesce-go/quiesce/mssql/mtf"
)

func Example() {
	f := bytes.NewReader(media(full(), differential()).Bytes()) // or an *os.File
	m, err := mtf.Verify(context.Background(), f)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("stripe %d of %d, %s\n", m.Family, m.Families, m.Depth)
	for _, s := range m.Sets {
		fmt.Printf("%d: %s of %s, %s to %s, %d files, finished %s\n", s.Position, s.Type.Kind(), s.Database, s.FirstLSN, s.LastLSN, len(s.Files), s.Finished)
	}
	fmt.Println("based on the full:", m.Sets[1].DifferentialBaseGUID == m.Sets[0].GUID)
	// Output:
	// stripe 1 of 1, summed
	// 1: full of sales, 34000000204800037 to 34000000208000001, 3 files, finished 2024-03-01 00:00:05 -0500 -0500
	// 2: differential of sales, 35000000000800001 to 35000000006400001, 3 files, finished 2024-03-01 00:00:05 -0500 -0500
	// based on the full: true
}

func ExampleScan() {
	f, err := os.Open("sales.bak")
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		log.Fatal(err)
	}
	m, err := mtf.Scan(context.Background(), f, info.Size())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(m.Sets))
}

func ExampleGroup() {
	files := stripes()
	m, err := mtf.Verify(context.Background(), bytes.NewReader(files[1].Bytes()))
	if err != nil {
		log.Fatal(err)
	}
	for _, set := range mtf.Group(m) {
		fmt.Println(set.Check())
	}
	// Output:
	// media set 34251607-5243-7061-8F9E-ADBCCBDAE9F8: stripe 1 of 2 is missing
}
