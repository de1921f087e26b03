package mssql

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// key is a certificate or asymmetric key in master.
type key struct {
	name string
	// exported: the server remembers that the private key was once written to a file.
	exported bool
}

// warnOfKeys names the certificates and keys that a restore will need and of which no export is known: without them the backups are lost with the server.
func (r *run) warnOfKeys(ctx context.Context, c *session) {
	needs := map[string][]string{} // by thumbprint: the databases
	for _, set := range r.sets {
		for _, t := range []string{set.EncryptorThumbprint, set.TDEThumbprint} {
			if t != "" && !slices.Contains(needs[t], set.Database) {
				needs[t] = append(needs[t], set.Database)
			}
		}
	}
	if len(needs) == 0 {
		return
	}
	known := c.keys(ctx)
	for _, t := range slices.Sorted(maps.Keys(needs)) {
		if r.s.knows(t) || known[t].exported {
			continue
		}
		name := "certificate or key"
		if k, ok := known[t]; ok {
			name = fmt.Sprintf("certificate or key %q", k.name)
		}
		slices.Sort(needs[t])
		r.warn("the %s with thumbprint %s is needed to restore %s, and no export of it is known: BACKUP CERTIFICATE ... TO FILE ... WITH PRIVATE KEY, "+
			"keep the file away from the server, and list the thumbprint in Options.KnownCertificates", name, strings.ToUpper(t), strings.Join(needs[t], ", "))
	}
}

// knows reports whether the thumbprint is in Options.KnownCertificates, with or without 0x.
func (s *Source) knows(thumbprint string) bool {
	return slices.ContainsFunc(s.opt.KnownCertificates, func(k string) bool {
		return strings.TrimPrefix(strings.ToLower(k), "0x") == strings.ToLower(thumbprint)
	})
}

// keys lists certificates and asymmetric keys by thumbprint (hex). Where the login may not see them, the warnings just lack the names.
func (c *session) keys(ctx context.Context) map[string]key {
	out := map[string]key{}
	for _, q := range []string{
		"SELECT name, thumbprint, pvt_key_last_backup_date FROM master.sys.certificates",
		"SELECT name, thumbprint FROM master.sys.asymmetric_keys",
	} {
		rows, err := c.query(ctx, q)
		if err != nil {
			continue
		}
		for _, r := range rows {
			out[hex.EncodeToString(r.bytes("thumbprint"))] = key{name: r.text("name"), exported: r.has("pvt_key_last_backup_date")}
		}
	}
	return out
}
