package exchange

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/exchange/ese"
)

// Prefixes of the places that Locate knows.
const (
	placeGeneration = "generation:"
	placeLog        = "log:"
)

// Locate implements backup.Locator. The places are "generation:0x49", or in decimal, and "log:E0000000049.log": the state just before that log is played, which is the end of the one before it. It looks at nothing.
func (s *Source) Locate(_ context.Context, _ backup.History, item, where string) (backup.Target, error) {
	bad := func(format string, args ...any) (backup.Target, error) {
		return backup.Target{}, &backup.Error{Op: "locate", App: application, Instance: s.opt.Instance, Artifact: item, Advice: "write generation:0x49, or the name of a log as in log:E0000000049.log",
			Err: fmt.Errorf("%w: %s", backup.ErrOption, fmt.Sprintf(format, args...))}
	}
	if text, ok := strings.CutPrefix(where, placeGeneration); ok {
		n, err := strconv.ParseUint(text, 0, 31)
		if err != nil || n == 0 {
			return bad("%q is no generation", text)
		}
		return backup.Target{Position: position(uint32(n), false)}, nil
	}
	text, ok := strings.CutPrefix(where, placeLog)
	if !ok {
		return bad("%q is no place in a log", where)
	}
	name, ok := ese.ParseLogName(text)
	if !ok || name.Generation == 0 {
		return bad("%q is not the name of a closed log", text)
	}
	return backup.Target{Position: position(name.Generation, false)}, nil
}

var _ backup.Locator = (*Source)(nil)
