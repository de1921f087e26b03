package capi_test

import (
	"fmt"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/domino/capi"
)

func Example() {
	_, err := capi.Open(capi.Config{})
	fmt.Println(err)
	fmt.Println(backup.Hint(err) != "")
	// Output:
	// domino: load: no program directory
	// true
}
