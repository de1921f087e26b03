package exchangesim_test

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/quiesce-go/quiesce/internal/sim/exchangesim"
)

// A server over a directory, a change, and what the tools say of it.
func Example() {
	dir, err := os.MkdirTemp("", "exchangesim")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	now := time.Date(2019, 6, 7, 8, 0, 0, 0, time.UTC)
	s, err := exchangesim.New(dir, exchangesim.Config{
		Version: 2019, Now: func() time.Time { return now }, Groups: []exchangesim.Group{{Name: "Mail", Databases: []exchangesim.Database{{Name: "Mail"}}}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := s.Write("Mail", "subject", "hello"); err != nil {
		fmt.Println(err)
		return
	}
	l, err := s.Tools().Management.Layout(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	values, err := s.At("Mail", now)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(l.Version, l.Groups[0].LogBase, values["subject"])
	// Output: Version 15.2 (Build 1118.7) E00 hello
}
