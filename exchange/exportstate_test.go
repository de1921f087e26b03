package exchange

import "testing"

// World is what a stand-in for a program of Windows meets.
type World = world

// StandInAt makes a program that this test binary stands in for, and returns its path.
func StandInAt(t *testing.T, name string, w World) string {
	t.Helper()
	return standInAt(t, name, w)
}
