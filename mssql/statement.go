package mssql

import (
	"strconv"
	"strings"
	"unicode/utf16"
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

// remote reports whether devices are URLs; all of a statement are, or none.
func remote(devices []device) bool { return len(devices) > 0 && devices[0].URL }

// clauses is a list for WITH; nothing where there are none.
func clauses(all []string) string {
	if len(all) == 0 {
		return ""
	}
	return " WITH " + strings.Join(all, ", ")
}

// backupOptions are what a BACKUP statement takes beside database and devices.
type backupOptions struct {
	differential, log, copyOnly bool
	tail                        string
	noChecksum                  bool
	compression                 string // COMPRESSION, NO_COMPRESSION or nothing
	encryption                  *Encryption
	name, description           string
	blockSize                   int
	bufferCount                 int
	maxTransferSize             int
}

// Limits of NAME and DESCRIPTION, in characters.
const (
	maxSetName     = 128
	maxDescription = 255
)

// backupStatement is BACKUP DATABASE or BACKUP LOG. It always begins a new media set: one file holds one backup, and what a file of that name held before is not asked.
func backupStatement(database string, to []device, o backupOptions) statement {
	what, verb := "back up", "BACKUP DATABASE "
	with := []string{}
	add := func(when bool, clause string) {
		if when {
			with = append(with, clause)
		}
	}
	add(o.differential, "DIFFERENTIAL")
	if o.log {
		what, verb = "back up the log of", "BACKUP LOG "
		switch o.tail {
		case TailNoRecovery:
			with = append(with, "NORECOVERY")
		case TailNoTruncate:
			with = append(with, "NO_TRUNCATE")
		case TailContinueAfterError:
			with = append(with, "CONTINUE_AFTER_ERROR")
		}
	}
	add(o.copyOnly, "COPY_ONLY")
	with = append(with, "FORMAT")
	if !remote(to) { // FORMAT says it all, and INIT is refused for URLs
		with = append(with, "INIT", "SKIP")
	}
	add(o.noChecksum, "NO_CHECKSUM")
	add(!o.noChecksum, "CHECKSUM")
	add(o.compression != "", o.compression)
	if e := o.encryption; e != nil {
		by := "SERVER CERTIFICATE = " + quoteName(e.Certificate)
		if e.AsymmetricKey != "" {
			by = "SERVER ASYMMETRIC KEY = " + quoteName(e.AsymmetricKey)
		}
		with = append(with, "ENCRYPTION (ALGORITHM = "+e.Algorithm+", "+by+")")
	}
	add(o.name != "", "NAME = "+quoteText(cut(o.name, maxSetName)))
	add(o.description != "", "DESCRIPTION = "+quoteText(cut(o.description, maxDescription)))
	add(o.blockSize > 0, "BLOCKSIZE = "+strconv.Itoa(o.blockSize))
	add(o.bufferCount > 0, "BUFFERCOUNT = "+strconv.Itoa(o.bufferCount))
	add(o.maxTransferSize > 0, "MAXTRANSFERSIZE = "+strconv.Itoa(o.maxTransferSize))
	with = append(with, "STATS = 5")
	return statement{SQL: verb + quoteName(database) + " TO " + deviceList(to) + clauses(with), What: what + " " + strconv.Quote(database) + " to " + to[0].Path}
}

// filePosition is FILE = n, which is not taken for URLs: these hold one set.
func filePosition(from []device, position int) []string {
	if remote(from) {
		return nil
	}
	return []string{"FILE = " + strconv.Itoa(position)}
}

// verifyStatement is RESTORE VERIFYONLY of the set at position.
func verifyStatement(from []device, position int, checksum bool) statement {
	with := filePosition(from, position)
	if checksum {
		with = append(with, "CHECKSUM")
	}
	return statement{SQL: "RESTORE VERIFYONLY FROM " + deviceList(from) + clauses(append(with, "STATS = 5")), What: "verify " + from[0].Path}
}

// cut shortens text to n characters of UTF-16, in which the server counts.
func cut(text string, n int) string {
	used := 0
	for i, r := range text {
		used += utf16.RuneLen(r)
		if used > n {
			return text[:i]
		}
	}
	return text
}
