package mssql

import (
	"strings"
)

// statement is one statement for the server, as text that needs nothing else: what is exported as a script is what runs.
type statement struct {
	SQL string
	// Args are parameters (sql.Named); most statements have none.
	Args []any
	// What is the statement in words, to follow "cannot": `back up "shop" to S:\stage\shop.bak`.
	What string
	// Terminates: the server ends itself, and with it the connection, once the statement succeeded (RESTORE of master).
	Terminates bool
}

// quoteName makes an identifier of any name: a]b becomes [a]]b].
func quoteName(name string) string { return "[" + strings.ReplaceAll(name, "]", "]]") + "]" }

// quoteText makes a literal of any text: it's becomes N'it”s'.
func quoteText(text string) string { return "N'" + strings.ReplaceAll(text, "'", "''") + "'" }

// device is one file or object that the server writes to or reads from, as the server names it.
type device struct {
	// URL tells an address, such as s3://host/bucket/key, from a path.
	URL  bool
	Path string
}

// String is the device as BACKUP and RESTORE take it.
func (d device) String() string {
	if d.URL {
		return "URL = " + quoteText(d.Path)
	}
	return "DISK = " + quoteText(d.Path)
}

// deviceList is what follows TO and FROM.
func deviceList(devices []device) string {
	all := make([]string, len(devices))
	for i, d := range devices {
		all[i] = d.String()
	}
	return strings.Join(all, ", ")
}

// clauses is a list for WITH; nothing where there are none.
func clauses(all []string) string {
	if len(all) == 0 {
		return ""
	}
	return " WITH " + strings.Join(all, ", ")
}
