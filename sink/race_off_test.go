//go:build !race

package sink_test

// suiteSize is the big object of the conformance suite in bytes.
const suiteSize = 5 << 20
