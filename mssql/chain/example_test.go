package chain_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/quiesce-go/quiesce/mssql/chain"
	"github.com/quiesce-go/quiesce/mssql/mtf"
)

func Example() {
	family := mtf.GUID{1}
	at := func(hour int) time.Time { return time.Date(2024, 3, 1, hour, 0, 0, 0, time.UTC) }
	set := func(id byte, t mtf.Type, first, last uint32, hour int) chain.Set {
		return chain.Set{
			Type: t, GUID: mtf.GUID{id}, Database: "shop", FamilyGUID: family, Fork: family, FirstLSN: mtf.LSN{VLF: 34, Block: first}, LastLSN: mtf.LSN{VLF: 34, Block: last},
			Started: at(hour), Finished: at(hour), ZoneMinutes: 60,
		}
	}
	sets := []chain.Set{set(1, mtf.Database, 100, 110, 1), set(2, mtf.Log, 90, 150, 2), set(3, mtf.Log, 150, 200, 3), set(4, mtf.Log, 240, 260, 5)}

	plan, err := chain.Make(sets, chain.Target{Database: "shop", Time: at(2).Add(30 * time.Minute)})
	if err != nil {
		fmt.Println(err)
	}
	for _, s := range plan.Steps {
		fmt.Printf("%s to %s, stop at %q\n", s.Set.Type.Kind(), s.Set.LastLSN, s.Stop.At)
	}
	_, err = chain.Make(sets, chain.Target{Database: "shop"})
	fmt.Println(err)
	var r *chain.Refusal
	fmt.Println(errors.As(err, &r), r.Cause, r.From, r.To)
	// Output:
	// full to 34000000011000000, stop at ""
	// log to 34000000015000000, stop at "2024-03-01T03:30:00.0000000"
	// log to 34000000020000000, stop at "2024-03-01T03:30:00.0000000"
	// shop: log is missing from 34000000020000000 to 34000000024000000
	// true gap 34000000020000000 34000000024000000
}
