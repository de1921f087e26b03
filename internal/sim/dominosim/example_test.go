package dominosim_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/quiesce-go/quiesce/domino/notes"
	"github.com/quiesce-go/quiesce/internal/sim/dominosim"
)

func Example() {
	dir, err := os.MkdirTemp("", "domino")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	s, err := dominosim.New(dir, dominosim.Config{Clock: time.Now, Style: notes.LogArchive})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := s.CreateDB("mail/jdoe.nsf", dominosim.DB{Title: "Jane Doe"}); err != nil {
		fmt.Println(err)
		return
	}
	if err := s.Write("mail/jdoe.nsf", "subject", "lunch"); err != nil {
		fmt.Println(err)
		return
	}
	p := s.Process() // the notes.API that an agent is given
	defer p.Close()
	t, err := p.Thread(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	h, err := t.Open(context.Background(), "mail/jdoe")
	if err != nil {
		fmt.Println(err)
		return
	}
	info, err := t.LogInfo(context.Background(), h)
	fmt.Println(info.Logged, info.Extent, err)
	// Output: true 1 <nil>
}
