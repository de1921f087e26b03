package exchange

import (
	"os"

	"golang.org/x/sys/windows/registry"
)

// exchangeFolders are where Exchange may be installed, the newest first. Since 2007 its setup sets a variable; the keys of the registry are inferred from what installations have.
func exchangeFolders() []string {
	var dirs []string
	if dir := os.Getenv("ExchangeInstallPath"); dir != "" {
		dirs = append(dirs, dir)
	}
	for _, at := range [][2]string{
		{`SOFTWARE\Microsoft\ExchangeServer\v15\Setup`, "MsiInstallPath"},
		{`SOFTWARE\Microsoft\ExchangeServer\v14\Setup`, "MsiInstallPath"},
		{`SOFTWARE\Microsoft\Exchange\v8.0\Setup`, "MsiInstallPath"},
		{`SOFTWARE\Microsoft\Exchange\Setup`, "Services"}, // up to 2003
	} {
		// A 32-bit agent looks at the keys of 64-bit programs too.
		for _, view := range []uint32{0, registry.WOW64_64KEY} {
			k, err := registry.OpenKey(registry.LOCAL_MACHINE, at[0], registry.QUERY_VALUE|view)
			if err != nil {
				continue
			}
			if dir, _, err := k.GetStringValue(at[1]); err == nil && dir != "" {
				dirs = append(dirs, dir)
			}
			_ = k.Close()
		}
	}
	return dirs
}
