package mssql_test

import (
	"fmt"
	"os"
	"time"

	"github.com/quiesce-go/quiesce/mssql"
	"github.com/quiesce-go/quiesce/mssql/chain"
	"github.com/quiesce-go/quiesce/mssql/mtf"
)

// A script made of files alone. Their sets would come from chain.FromMedia.
func ExampleWriteScript() {
	family := mtf.GUID{1}
	set := func(id byte, t mtf.Type, file string, first, last uint32, hour int) chain.Set {
		at := time.Date(2024, 3, 1, hour, 0, 0, 0, time.UTC)
		return chain.Set{
			Type: t, GUID: mtf.GUID{id}, Database: "shop", FamilyGUID: family, Fork: family, FirstLSN: mtf.LSN{VLF: 34, Block: first}, LastLSN: mtf.LSN{VLF: 34, Block: last},
			Started: at, Finished: at, Position: 1, Stripes: 1, Devices: []string{file},
		}
	}
	sets := []chain.Set{set(1, mtf.Database, "shop.bak", 100, 110, 1), set(2, mtf.Log, "shop.trn", 90, 150, 3)}
	plan, err := chain.Make(sets, chain.Target{Database: "shop", Time: time.Date(2024, 3, 1, 2, 30, 0, 0, time.UTC)})
	if err == nil {
		err = mssql.WriteScript(os.Stdout, plan, "", map[string]string{"files": "/mnt/old"})
	}
	if err != nil {
		fmt.Println(err)
	}
	// Output:
	// -- Restores database "shop", as "shop", from 2 backups. Run it with: sqlcmd -S SERVER -b -i THIS_FILE, or in Management Studio in SQLCMD mode.
	// -- It was made from files alone: it is assumed that the database does not exist and that the folders of its files do.
	// :on error exit
	// :setvar Folder "/mnt/old"
	// :setvar Dollar "$"
	// USE [master];
	// GO
	// -- Step 1 of 2: full of shop, 34000000010000000 to 34000000011000000, 2024-03-01 01:00:00 +00:00.
	// RESTORE DATABASE [shop] FROM DISK = N'$(Folder)/shop.bak' WITH FILE = 1, NORECOVERY, STATS = 5;
	// GO
	// -- Step 2 of 2: log of shop, 34000000009000000 to 34000000015000000, 2024-03-01 03:00:00 +00:00.
	// RESTORE LOG [shop] FROM DISK = N'$(Folder)/shop.trn' WITH FILE = 1, NORECOVERY, STATS = 5, STOPAT = N'2024-03-01T02:30:00.000';
	// GO
	// RESTORE DATABASE [shop] WITH RECOVERY;
	// GO
}
