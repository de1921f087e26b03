package exchange_test

import (
	"context"
	"fmt"
	"os"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/exchange"
)

// A Source for the Exchange server of this machine. Where there is no Windows, Check says what is missing.
func Example() {
	state, err := os.MkdirTemp("", "quiesce") // on a server: a directory that stays
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(state)
	src, err := exchange.New(&exchange.Options{
		Instance: "MAIL1",
		StateDir: state,
		Include:  []string{"Sales*"},
		Tools:    exchange.Tools{Management: nowhere{}}, // left out, these are the programs of Windows and Exchange
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer src.Close()
	d := src.Describe()
	fmt.Println(d.Application, d.Instance, d.Kinds, d.Options)
	for _, f := range src.Check(context.Background(), backup.StageDir{})[1:] {
		fmt.Println(f.What+":", f.Err)
	}
	// Output:
	// exchange MAIL1 [full log] [copy]
	// the server tells what it has: exchange: check MAIL1: ask the server what it has: the shell is on another machine
}

// nowhere is a server whose management does not answer.
type nowhere struct{ exchange.Management }

func (nowhere) Layout(context.Context) (exchange.Layout, error) {
	return exchange.Layout{}, fmt.Errorf("the shell is on another machine")
}
