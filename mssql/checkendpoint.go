package mssql

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/mssql/mtf"
)

// checkEndpoint has the server send a backup to the endpoint, as a run would.
func (s *Source) checkEndpoint(ctx context.Context, c *session, v server, all []*facts) backup.Finding {
	const what = "a backup can be sent to the endpoint and its record read"
	g, err := s.openGate(ctx, "", slog.New(slog.DiscardHandler))
	if err != nil {
		return finding(what, err)
	}
	err = s.tryEndpoint(ctx, c, g, v, all)
	return finding(what, s.fail(ctx, "check the endpoint", g.endpoint.URL(""), errors.Join(err, g.close(ctx))))
}

func (s *Source) tryEndpoint(ctx context.Context, c *session, g *gate, v server, all []*facts) error {
	var got firstBytes
	u, err := g.endpoint.Receive(ctx, g.key("/check.bak"), &got, func() error { return nil })
	if err != nil {
		return err
	}
	defer u.Close()
	to := []device{{URL: true, Path: u.URL}}
	st := backupStatement("model", to, backupOptions{copyOnly: true, noChecksum: s.opt.NoChecksum, compression: s.compression(v),
		maxTransferSize: s.opt.Endpoint.transfer(), name: "Quiesce check of the endpoint"})
	if err := s.patiently(ctx, func() error { return c.run(ctx, st, nil) }, func() {}); err != nil {
		if uerr := u.Err(); uerr != nil {
			err = fmt.Errorf("%w; at the endpoint: %w", err, uerr)
		}
		return err
	}
	if err := received(u); err != nil {
		return err
	}
	if !mtf.Match(got) {
		return fmt.Errorf("%s is not the backup that the server sent: it begins with % x", u.URL, []byte(got))
	}
	model := facts{name: "model"}
	for _, f := range all {
		if strings.EqualFold(f.name, model.name) {
			model = *f
		}
	}
	_, err = c.recorded(ctx, model, to)
	return err
}

// firstBytes keeps as many bytes as tell a backup, and takes all.
type firstBytes []byte

func (b *firstBytes) Write(p []byte) (int, error) {
	if n := 8 - len(*b); n > 0 {
		*b = append(*b, p[:min(n, len(p))]...)
	}
	return len(p), nil
}
