package binlog_test

import (
	"fmt"
	"io"
	"log"
	"os"

	"github.com/quiesce-go/quiesce/mysql/binlog"
)

// What a binary log holds, transaction by transaction.
func Example() {
	f, err := os.Open("mysql-bin.000042")
	if err != nil {
		log.Print(err)
		return
	}
	defer f.Close()
	w := binlog.NewWalker(f)
	for {
		st, err := w.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			log.Print(err) // names the byte
			return
		}
		if st.First {
			fmt.Println(st.Transaction, st.Transaction.Commit.UTC())
		}
	}
}
