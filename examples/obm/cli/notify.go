package cli

import (
	"fmt"
	"os"

	"github.com/quiesce-go/quiesce/agent"
	"github.com/quiesce-go/quiesce/agent/notify"
)

// notifiers are made of the places the configuration names.
func (o *opened) notifiers() ([]agent.Notifier, error) {
	host, _ := os.Hostname() // only tells people which machine speaks
	var all []agent.Notifier
	for i, n := range o.cfg.Notify {
		f := notify.Filter{Jobs: n.Jobs}
		for _, k := range n.On {
			f.Kinds = append(f.Kinds, agent.NoticeKind(k))
		}
		made, err := notify.New(n.URL.Reveal(), &notify.Options{Filter: f, Prefix: host + ": "})
		if err != nil {
			return nil, fmt.Errorf("%s: notify[%d]: %w", o.in.file, i, err)
		}
		all = append(all, made)
	}
	return all, nil
}
