//go:build race

package sink_test

// suiteSize is the big object of the conformance suite in bytes. The race detector makes hashing and copying ten times as dear and looks at
// who shares what, not at how much.
const suiteSize = 1 << 20
