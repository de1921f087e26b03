package mssqlsim

import (
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/tds"
)

// options are those of BACKUP and RESTORE; each statement says which it takes.
type options struct {
	flags   map[string]bool
	texts   map[string]string
	numbers map[string]int
	moves   []move
	stop    stop
	cipher  cipher
	expires time.Time // EXPIREDATE
	packing string    // the algorithm of COMPRESSION (..)
}

func (o options) has(flag string) bool { return o.flags[flag] }

type move struct{ logical, physical string }

// stop is where a restore ends: a moment, a mark or an LSN.
type stop struct {
	at     time.Time // STOPAT
	mark   string
	lsn    LSN
	before bool // STOPBEFOREMARK
	after  time.Time
	bad    bool // lsn: without a number
}

func (s stop) set() bool { return !s.at.IsZero() || s.marked() }

func (s stop) marked() bool { return s.mark != "" || s.lsn > 0 || s.bad }

// cipher is ENCRYPTION (ALGORITHM = .., SERVER CERTIFICATE = ..).
type cipher struct {
	algorithm, key string
	asymmetric     bool
}

// What the statements take: words alone, words with text, and words with a number.
const (
	backupFlags = "COPY_ONLY COMPRESSION NO_COMPRESSION INIT NOINIT FORMAT NOFORMAT SKIP NOSKIP CHECKSUM NO_CHECKSUM STOP_ON_ERROR CONTINUE_AFTER_ERROR " +
		"REWIND NOREWIND UNLOAD NOUNLOAD"
	backupTexts   = "NAME DESCRIPTION MEDIANAME MEDIADESCRIPTION CREDENTIAL"
	backupNumbers = "STATS BLOCKSIZE BUFFERCOUNT MAXTRANSFERSIZE RETAINDAYS"
	readFlags     = "CHECKSUM NO_CHECKSUM STOP_ON_ERROR CONTINUE_AFTER_ERROR NOREWIND UNLOAD NOUNLOAD"
	readNumbers   = "STATS FILE BLOCKSIZE BUFFERCOUNT MAXTRANSFERSIZE"
	restoreFlags  = readFlags + " RECOVERY NORECOVERY REPLACE RESTRICTED_USER KEEP_REPLICATION KEEP_CDC ENABLE_BROKER NEW_BROKER ERROR_BROKER_CONVERSATIONS"
)

// options reads WITH and what follows, when it is one of what the statement takes.
func (p *parser) options(flags, texts, numbers, special string) (options, error) {
	o := options{flags: map[string]bool{}, texts: map[string]string{}, numbers: map[string]int{}}
	if !p.words("WITH") {
		return o, nil
	}
	for {
		var err error
		word := p.oneOf(flags)
		if word != "" {
			o.flags[word] = true
			if word == "COMPRESSION" {
				err = p.packing(&o)
			}
		} else if word = p.oneOf(texts); word != "" {
			if !p.sign("=") {
				return o, p.stuck()
			}
			o.texts[word], err = p.text()
		} else if word = p.oneOf(numbers); word != "" {
			err = p.numeric(word, &o)
		} else if word = p.oneOf(special); word != "" {
			err = p.special(word, &o)
		} else {
			err = unknown("option " + p.peek().text)
		}
		if err != nil {
			return o, err
		}
		if !p.sign(",") {
			return o, nil
		}
	}
}

func (p *parser) numeric(word string, o *options) error {
	if !p.sign("=") {
		if word != "STATS" {
			return p.stuck()
		}
		o.numbers[word] = 10
		return nil
	}
	n, err := p.number()
	switch {
	case err != nil:
		return err
	case word == "STATS" && (n < 1 || n > 100), word == "FILE" && n < 1:
		return unknown(fmt.Sprintf("%s = %d", word, n))
	}
	o.numbers[word] = n
	return nil
}

// packing reads what may stand behind COMPRESSION: (ALGORITHM = name [, LEVEL = name]).
func (p *parser) packing(o *options) error {
	o.packing = "MS_XPRESS"
	if !p.sign("(") {
		return nil
	}
	if !p.words("ALGORITHM") || !p.sign("=") {
		return p.stuck()
	}
	if o.packing = p.oneOf("MS_XPRESS QAT_DEFLATE ZSTD"); o.packing == "" {
		return p.stuck()
	}
	if p.sign(",") && (!p.words("LEVEL") || !p.sign("=") || p.oneOf("LOW MEDIUM HIGH") == "") {
		return p.stuck()
	}
	if !p.sign(")") {
		return p.stuck()
	}
	return nil
}

func (p *parser) special(word string, o *options) (err error) {
	switch word {
	case "MOVE":
		return p.move(o)
	case "ENCRYPTION":
		return p.encryption(o)
	}
	if !p.sign("=") {
		return p.stuck()
	}
	switch word {
	case "EXPIREDATE":
		o.expires, err = p.moment()
	case "STOPAT":
		o.stop.at, err = p.moment()
	case "STOPATMARK", "STOPBEFOREMARK":
		o.stop.before = word == "STOPBEFOREMARK"
		err = p.mark(&o.stop)
	}
	return err
}

func (p *parser) mark(s *stop) error {
	text, err := p.text()
	if err != nil {
		return err
	}
	if digits, ok := strings.CutPrefix(strings.ToLower(text), "lsn:"); ok {
		n, ok := new(big.Int).SetString(digits, 0)
		if s.bad = !ok || !n.IsUint64() || n.Sign() == 0; !s.bad {
			s.lsn = LSN(n.Uint64())
		}
	} else {
		s.mark = text
	}
	if p.words("AFTER") {
		s.after, err = p.moment()
	}
	return err
}

// encryption reads (ALGORITHM = name, SERVER CERTIFICATE = name) or SERVER ASYMMETRIC KEY.
func (p *parser) encryption(o *options) (err error) {
	if !p.sign("(") || !p.words("ALGORITHM") || !p.sign("=") {
		return p.stuck()
	}
	if o.cipher.algorithm = strings.ToLower(p.oneOf("AES_128 AES_192 AES_256 TRIPLE_DES_3KEY")); o.cipher.algorithm == "" || !p.sign(",") {
		return p.stuck()
	}
	o.cipher.asymmetric = p.words("SERVER", "ASYMMETRIC", "KEY")
	if !o.cipher.asymmetric && !p.words("SERVER", "CERTIFICATE") || !p.sign("=") {
		return p.stuck()
	}
	if k := p.peek().kind; k != tokenWord && k != tokenName {
		return p.stuck()
	}
	if o.cipher.key = p.take().text; !p.sign(")") {
		return p.stuck()
	}
	return nil
}

func (p *parser) move(o *options) error {
	logical, err := p.text()
	if err != nil {
		return err
	}
	if !p.words("TO") {
		return p.stuck()
	}
	physical, err := p.text()
	o.moves = append(o.moves, move{logical, physical})
	return err
}

// moment reads a server-local time: text in the ISO form with T, or a variable of a type that STOPAT takes: char, varchar or datetime.
func (p *parser) moment() (time.Time, error) {
	if t := p.peek(); t.kind == tokenVariable {
		v, ok := p.query.Param(t.text)
		if at, is := v.Value.(time.Time); ok && is && v.Type == tds.DateTime() {
			p.take()
			return time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), at.Second(), at.Nanosecond(), p.zone), nil
		}
		if ok && !strings.HasPrefix(v.Type.String(), "varchar") {
			return time.Time{}, unknown("a moment in a variable of type " + v.Type.String())
		}
	}
	text, err := p.text()
	if err != nil {
		return time.Time{}, err
	}
	at, err := time.ParseInLocation("2006-01-02T15:04:05", text, p.zone)
	if _, fraction, _ := strings.Cut(text, "."); err != nil || len(fraction) > 7 {
		return time.Time{}, tds.Message{Number: 241, State: 1, Class: 16, Text: "Conversion failed when converting date and/or time from character string."}
	}
	return at, nil
}

// contradiction finds two options that exclude each other.
func (o options) contradiction() error {
	for _, pair := range [][2]string{
		{"CHECKSUM", "NO_CHECKSUM"}, {"COMPRESSION", "NO_COMPRESSION"}, {"INIT", "NOINIT"}, {"FORMAT", "NOFORMAT"}, {"SKIP", "NOSKIP"},
		{"STOP_ON_ERROR", "CONTINUE_AFTER_ERROR"}, {"RECOVERY", "NORECOVERY"}, {"NORECOVERY", "STANDBY"}, {"RECOVERY", "STANDBY"},
		{"KEEP_REPLICATION", "NORECOVERY"}, {"ENABLE_BROKER", "NEW_BROKER"}, {"ENABLE_BROKER", "ERROR_BROKER_CONVERSATIONS"}, {"NEW_BROKER", "ERROR_BROKER_CONVERSATIONS"},
	} {
		if o.given(pair[0]) && o.given(pair[1]) {
			return failure(3031, "Option '%s' conflicts with option(s) '%s'. Remove the conflicting option and reissue the statement.",
				strings.ToLower(pair[0]), strings.ToLower(pair[1]))
		}
	}
	return nil
}

func (o options) given(word string) bool {
	_, text := o.texts[word]
	return text || o.has(word)
}

// Bounds of BLOCKSIZE and MAXTRANSFERSIZE.
const (
	minBlock, maxBlock = 512, 64 << 10
	transferUnit       = 64 << 10
	maxTransfer        = 4 * megabyte
	minS3Transfer      = 5 * megabyte
	maxS3Transfer      = 20 * megabyte
	plainS3Transfer    = 10 * megabyte
)

// sizes checks the numbers that a BACKUP or RESTORE can be tuned with.
func (o options) sizes(url bool) error {
	outside := func(word string, n int) error {
		return failure(3250, "The value '%d' is not within range for the %s parameter.", n, strings.ToLower(word))
	}
	if n, ok := o.numbers["BLOCKSIZE"]; ok {
		if n < minBlock || n > maxBlock {
			return outside("BLOCKSIZE", n)
		}
		if n&(n-1) != 0 {
			return failure(3253, "The block size parameter must supply a value that is a power of 2.")
		}
	}
	if n, ok := o.numbers["BUFFERCOUNT"]; ok && n < 1 {
		return outside("BUFFERCOUNT", n)
	}
	n, ok := o.numbers["MAXTRANSFERSIZE"]
	low, high := transferUnit, maxTransfer
	if url {
		low, high = minS3Transfer, maxS3Transfer
	}
	switch {
	case !ok:
		return nil
	case n < low || n > high:
		return outside("MAXTRANSFERSIZE", n)
	case n%transferUnit != 0, url && n != plainS3Transfer && !o.has("COMPRESSION"):
		return failure(3217, "Invalid value specified for %s parameter.", "maxtransfersize")
	}
	return nil
}

// tuned checks the options of a RESTORE that do not depend on the backup.
func (o options) tuned(url bool) error {
	if err := o.contradiction(); err != nil || !url {
		if err == nil {
			err = o.sizes(false)
		}
		return err
	}
	if o.numbers["BUFFERCOUNT"] > 0 {
		return failure(3291, "URL device type was specified, and a disallowed option %s was specified.", "BUFFERCOUNT")
	}
	return nil
}
