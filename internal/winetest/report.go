package winetest

import (
	"regexp"
	"strings"
	"testing"
)

// verdict is the end of one top-level test in the output of a test binary.
type verdict struct {
	name, result string // PASS, SKIP, FAIL
	output       string
}

var verdictLine = regexp.MustCompile(`^--- (PASS|SKIP|FAIL): (\S+) \(`)

// verdicts reads the output of a test binary run with -test.v. What a test that runs in parallel with others wrote may be found with another.
func verdicts(output string) (list []verdict) {
	var text strings.Builder
	for line := range strings.Lines(output) {
		m := verdictLine.FindStringSubmatch(line)
		switch {
		case m != nil:
			list = append(list, verdict{name: m[2], result: m[1], output: text.String() + line})
			text.Reset()
		case text.Len() == 0 && len(list) > 0 && strings.HasPrefix(line, "    "): // subtests and messages of the one before
			list[len(list)-1].output += line
		default:
			text.WriteString(line)
		}
	}
	return list
}

// report makes a subtest of each verdict. failed is how the binary ended.
func report(t *testing.T, output string, failed error) {
	t.Helper()
	list := verdicts(output)
	bad := false
	for _, v := range list {
		t.Run(v.name, func(t *testing.T) {
			switch t.Log(v.output); v.result {
			case "SKIP":
				t.SkipNow()
			case "FAIL":
				bad = true
				t.Fail()
			}
		})
	}
	switch {
	case len(list) == 0:
		t.Errorf("no test ran under Wine (%v):\n%s", failed, output)
	case failed != nil && !bad:
		t.Errorf("the test binary failed under Wine: %v\n%s", failed, output)
	}
}
