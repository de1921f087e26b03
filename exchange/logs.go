package exchange

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/exchange/ese"
)

// origin opens files of the server for reading, and tells their size.
type origin interface {
	open(ctx context.Context, path string) (io.ReadCloser, int64, error)
}

// serverLog is one log of a group with its header.
type serverLog struct {
	name, path string
	head       *ese.Log
	// partial: it has the name of the log that is being written.
	partial bool
}

// readHeads reads the headers of those files that are logs of a series by their names, and orders them by generation, the one being written last. A header that cannot be read is in unread.
func readHeads(ctx context.Context, from origin, base string, files []string) (logs []serverLog, unread map[string]error, err error) {
	unread = map[string]error{}
	for _, path := range files {
		name := baseName(path)
		n, ok := ese.ParseLogName(name)
		if !ok || base != "" && !strings.EqualFold(n.Base, base) {
			continue
		}
		if ctx.Err() != nil {
			return nil, nil, context.Cause(ctx)
		}
		l := serverLog{name: name, path: path, partial: n.Generation == 0}
		if l.head, err = readHead(ctx, from, path); err != nil {
			if ctx.Err() != nil {
				return nil, nil, context.Cause(ctx)
			}
			unread[name] = err
			continue
		}
		logs = append(logs, l)
	}
	slices.SortFunc(logs, func(a, b serverLog) int {
		if a.partial != b.partial {
			return cmp.Compare(truth(a.partial), truth(b.partial))
		}
		return cmp.Or(cmp.Compare(a.head.Generation, b.head.Generation), strings.Compare(a.name, b.name))
	})
	return logs, unread, nil
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

func readHead(ctx context.Context, from origin, path string) (*ese.Log, error) {
	f, _, err := from.open(ctx, path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ese.ReadLogHeader(ctx, f)
}

// lastChain is the longest row of logs without a break that ends with the newest. left are those before it, which no recovery of the group as it is now can use, with why the row begins where it does.
func lastChain(logs []serverLog) (chain, left []serverLog, why error) {
	if len(logs) == 0 {
		return nil, nil, nil
	}
	begin := len(logs) - 1
	for ; begin > 0; begin-- {
		pair := []ese.NamedLog{logs[begin-1].named(), logs[begin].named()}
		if why = ese.CheckChain(logs[begin].head.Signature, pair); why != nil {
			break
		}
	}
	return logs[begin:], logs[:begin], why
}

func (l serverLog) named() ese.NamedLog { return ese.NamedLog{Name: l.name, Log: l.head} }

// fresh are the logs that a link behind c holds, or the reason why c cannot be continued. Of a group whose log was rolled back or begun anew none is taken.
func (c checkpoint) fresh(logs []serverLog) (take []serverLog, reason string) {
	next := c.next()
	if len(logs) == 0 {
		return nil, ""
	}
	newest := logs[len(logs)-1].head
	switch {
	case seriesText(newest.Signature) != c.Signature:
		return nil, "its logs were begun anew, as another series"
	case newest.Generation < c.Generation:
		return nil, fmt.Sprintf("its logs went back: the newest is 0x%X, and 0x%X is at the target", newest.Generation, c.Generation)
	}
	for _, l := range logs {
		switch g := l.head.Generation; {
		case l.partial:
		case g >= next:
			take = append(take, l)
		case g == c.Generation && stampText(l.head.Created) != c.Created:
			return nil, fmt.Sprintf("its log 0x%X is another one than that at the target", g)
		}
	}
	if len(take) == 0 {
		return nil, ""
	}
	if first := take[0].head; first.Generation > next {
		return nil, fmt.Sprintf("of its logs %s is neither on the server nor at the target: another program truncated them, or circular logging was on", generations(next, first.Generation-1))
	} else if why := c.follows(first); why != "" {
		return nil, why
	}
	named := make([]ese.NamedLog, len(take))
	for i, l := range take {
		named[i] = l.named()
	}
	if err := ese.CheckChain(take[0].head.Signature, named); err != nil {
		return nil, "its logs are no chain: " + err.Error()
	}
	return take, ""
}
