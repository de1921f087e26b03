package winetest

import "testing"

func TestUnderWine(t *testing.T) {
	t.Parallel()
	Run(t, ".", "^TestWindows$", "WINETEST_GREETING=hello")
}
