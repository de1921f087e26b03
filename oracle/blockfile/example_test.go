package blockfile_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"

	"github.com/quiesce-go/quiesce/internal/sim/oraclesim/blocks"
	"github.com/quiesce-go/quiesce/oracle/blockfile"
)

func ExampleVerifyData() {
	file := hot()
	var copied bytes.Buffer // or an *os.File
	w, err := blocks.NewDataWriter(&copied, file)
	if err != nil {
		log.Fatal(err)
	}
	old, err := file.Block(2, 27871000, 1, []byte("as it was"))
	if err != nil {
		log.Fatal(err)
	}
	young, err := file.Block(2, 27871500, 1, []byte("as it will be"))
	if err != nil {
		log.Fatal(err)
	}
	if err := w.Raw(blocks.Torn(old, young, 4096)); err != nil {
		log.Fatal(err)
	}
	if err := w.Close(); err != nil {
		log.Fatal(err)
	}

	d, err := blockfile.VerifyData(context.Background(), &copied, blockfile.Options{Hot: true})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("file %d of %s, tablespace %s, %s, %d blocks\n", d.File, d.Database, d.TablespaceName, d.Compatible, d.Blocks)
	fmt.Printf("%s; recover from SCN %d; %d fractured\n", d.Depth, d.CheckpointSCN, d.Fractured)
	for _, f := range d.Findings {
		fmt.Printf("block %d: %s\n", f.Block, f.What)
	}
	// Output:
	// file 7 of SHOP, tablespace USERS, 19.0.0, 12 blocks
	// walked; recover from SCN 27871231; 1 fractured
	// block 2: fractured: its end is 0x47180601, its start goes with 0x490c0601
}

func ExampleFollows() {
	read := func(edit func(*blocks.Log)) *blockfile.RedoLog {
		l := log17()
		edit(&l)
		var file bytes.Buffer
		if _, err := l.Write(&file, [][]byte{[]byte("redo")}); err != nil {
			log.Fatal(err)
		}
		r, err := blockfile.VerifyRedo(context.Background(), &file)
		if err != nil {
			log.Fatal(err)
		}
		return r
	}
	first := read(func(*blocks.Log) {})
	second := read(func(l *blocks.Log) { l.Sequence, l.First, l.Next = 18, l.Next, l.Next+500 })
	fourth := read(func(l *blocks.Log) { l.Sequence, l.First, l.Next = 20, l.Next+900, l.Next+950 })
	fmt.Printf("thread %d sequence %d: SCN %d to %d\n", first.Thread, first.Sequence, first.FirstSCN, first.NextSCN)
	fmt.Println(blockfile.Follows(first, second))
	fmt.Println(blockfile.Follows(second, fourth))
	// Output:
	// thread 1 sequence 17: SCN 27871231 to 27879999
	// <nil>
	// a gap: thread 1 has sequence 18, then 20
}

func ExampleMatch() {
	f, err := os.Open("o1_mf_1_17_lq3.arc")
	if err != nil {
		log.Fatal(err)
	}
	defer f.Close()
	head := make([]byte, blockfile.MatchBytes)
	n, err := f.ReadAt(head, 0)
	if n == 0 {
		log.Fatal(err)
	}
	switch kind, _ := blockfile.Match(head[:n]); kind {
	case blockfile.Data:
		fmt.Println("give it to VerifyData")
	case blockfile.Redo:
		fmt.Println("give it to VerifyRedo")
	case blockfile.Control:
		fmt.Println("give it to VerifyControl")
	}
}
