package mssqlsim

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/tds"
)

// statement is one of the types below.
type statement interface{}

type backupStatement struct {
	log      bool
	database string
	devices  []string
	options  options
}

type restoreStatement struct {
	what     string // DATABASE, LOG, HEADERONLY, FILELISTONLY, LABELONLY, VERIFYONLY
	database string
	devices  []string
	options  options
}

type alterStatement struct {
	database string
	recovery Model  // or
	access   string // MULTI_USER, SINGLE_USER, RESTRICTED_USER
}

type useStatement struct{ database string }

// options are those of BACKUP and RESTORE; each statement says which it takes.
type options struct {
	flags  map[string]bool
	texts  map[string]string
	stats  int // percent between two messages, 0 for none
	file   int // position of the set, 0 when not given
	moves  map[string]string
	stopAt time.Time
}

func (o options) has(flag string) bool { return o.flags[flag] }

// parser reads statements from tokens. It knows the grammar of doc.go and refuses the rest.
type parser struct {
	tokens []token
	query  tds.Query
	zone   *time.Location
}

func parse(q tds.Query, zone *time.Location) ([]statement, error) {
	tokens, err := lex(q.Text)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens, query: q, zone: zone}
	var all []statement
	for {
		for p.sign(";") {
			continue
		}
		if p.peek().kind == tokenEnd {
			return all, nil
		}
		s, err := p.statement()
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
}

func (p *parser) peek() token { return p.tokens[0] }

func (p *parser) take() token {
	t := p.tokens[0]
	if t.kind != tokenEnd {
		p.tokens = p.tokens[1:]
	}
	return t
}

// words takes the given keywords if they are next, all or none.
func (p *parser) words(words ...string) bool {
	for i, w := range words {
		if i >= len(p.tokens) || p.tokens[i].kind != tokenWord || !strings.EqualFold(p.tokens[i].text, w) {
			return false
		}
	}
	p.tokens = p.tokens[len(words):]
	return true
}

func (p *parser) sign(s string) bool {
	if t := p.peek(); t.kind != tokenSign || t.text != s {
		return false
	}
	p.take()
	return true
}

// stuck names the token where the grammar ends.
func (p *parser) stuck() error {
	t := p.peek()
	if t.kind == tokenEnd {
		return unknown("the statement ends too early")
	}
	return unknown(fmt.Sprintf("%q at this place of %q", t.text, p.query.Text))
}

func (p *parser) statement() (statement, error) {
	switch {
	case p.words("BACKUP", "DATABASE"):
		return p.backup(false)
	case p.words("BACKUP", "LOG"):
		return p.backup(true)
	case p.words("RESTORE"):
		return p.restore()
	case p.words("ALTER", "DATABASE"):
		return p.alter()
	case p.words("USE"):
		name, err := p.name()
		return useStatement{database: name}, err
	case p.words("SELECT"):
		return p.selection()
	}
	return nil, p.stuck()
}

// name reads the name of a database, which may be a variable in BACKUP and RESTORE.
func (p *parser) name() (string, error) {
	switch t := p.peek(); t.kind {
	case tokenWord, tokenName:
		return p.take().text, nil
	case tokenVariable:
		return p.text()
	default:
		return "", p.stuck()
	}
}

// text reads a string or a variable of a character type.
func (p *parser) text() (string, error) {
	switch t := p.peek(); t.kind {
	case tokenText:
		return p.take().text, nil
	case tokenVariable:
		v, err := p.variable()
		if err != nil {
			return "", err
		}
		s, ok := v.(string)
		if !ok {
			return "", unknown("variable " + t.text + " where text is due")
		}
		return s, nil
	default:
		return "", p.stuck()
	}
}

func (p *parser) variable() (any, error) {
	t := p.take()
	v, ok := p.query.Param(t.text)
	if !ok {
		return nil, tds.Message{Number: 137, State: 2, Class: 15, Text: `Must declare the scalar variable "` + t.text + `".`}
	}
	return v.Value, nil
}

func (p *parser) number() (int, error) {
	if p.peek().kind != tokenNumber {
		return 0, p.stuck()
	}
	n, err := strconv.Atoi(p.take().text)
	if err != nil {
		return 0, unknown(err.Error())
	}
	return n, nil
}

// devices reads DISK = 'path' [, ...].
func (p *parser) devices() (paths []string, err error) {
	for {
		if !p.words("DISK") || !p.sign("=") {
			return nil, p.stuck()
		}
		path, err := p.text()
		if err != nil {
			return nil, err
		}
		paths = append(paths, path)
		if !p.sign(",") {
			return paths, nil
		}
	}
}

func (p *parser) backup(log bool) (statement, error) {
	s := backupStatement{log: log}
	var err error
	if s.database, err = p.name(); err != nil {
		return nil, err
	}
	if !p.words("TO") {
		return nil, p.stuck()
	}
	if s.devices, err = p.devices(); err != nil {
		return nil, err
	}
	flags := "COPY_ONLY COMPRESSION NO_COMPRESSION INIT NOINIT FORMAT NOFORMAT SKIP NOSKIP CHECKSUM NO_CHECKSUM STOP_ON_ERROR"
	if log {
		flags += " NORECOVERY"
	} else {
		flags += " DIFFERENTIAL"
	}
	s.options, err = p.options(flags, "NAME DESCRIPTION MEDIANAME MEDIADESCRIPTION", "STATS")
	return s, err
}

func (p *parser) restore() (statement, error) {
	s := restoreStatement{what: strings.ToUpper(p.take().text)}
	flags, special := "CHECKSUM NO_CHECKSUM STOP_ON_ERROR", "FILE STATS"
	var err error
	switch s.what {
	case "DATABASE", "LOG":
		flags += " RECOVERY NORECOVERY REPLACE"
		special += " MOVE STOPAT"
		if s.database, err = p.name(); err != nil {
			return nil, err
		}
	case "HEADERONLY", "FILELISTONLY", "LABELONLY", "VERIFYONLY":
	default:
		return nil, unknown("RESTORE " + s.what)
	}
	if p.words("FROM") {
		if s.devices, err = p.devices(); err != nil {
			return nil, err
		}
	} else if s.what != "DATABASE" {
		return nil, p.stuck()
	}
	s.options, err = p.options(flags, "", special)
	return s, err
}

// options reads WITH and what follows, when it is one of what the statement takes.
func (p *parser) options(flags, texts, special string) (options, error) {
	o := options{flags: map[string]bool{}, texts: map[string]string{}, moves: map[string]string{}}
	if !p.words("WITH") {
		return o, nil
	}
	for {
		t := p.take()
		word := strings.ToUpper(t.text)
		takes := func(list string) bool {
			return t.kind == tokenWord && strings.Contains(" "+list+" ", " "+word+" ")
		}
		var err error
		switch {
		case takes(flags):
			o.flags[word] = true
		case takes(texts):
			if !p.sign("=") {
				return o, p.stuck()
			}
			o.texts[word], err = p.text()
		case takes(special):
			err = p.special(word, &o)
		default:
			err = unknown("option " + word)
		}
		if err != nil {
			return o, err
		}
		if !p.sign(",") {
			return o, nil
		}
	}
}

func (p *parser) special(word string, o *options) (err error) {
	if word == "MOVE" {
		return p.move(o)
	}
	if !p.sign("=") {
		if word == "STATS" {
			o.stats = 10
			return nil
		}
		return p.stuck()
	}
	switch word {
	case "STATS":
		if o.stats, err = p.number(); err == nil && (o.stats < 1 || o.stats > 100) {
			err = unknown("STATS outside 1 to 100")
		}
	case "FILE":
		if o.file, err = p.number(); err == nil && o.file < 1 {
			err = unknown("FILE below 1")
		}
	case "STOPAT":
		o.stopAt, err = p.moment()
	}
	return err
}

func (p *parser) move(o *options) error {
	logical, err := p.text()
	if err != nil {
		return err
	}
	if !p.words("TO") {
		return p.stuck()
	}
	o.moves[logical], err = p.text()
	return err
}

// moment reads a server-local time: text in the ISO form with T, or a variable of type datetime.
func (p *parser) moment() (time.Time, error) {
	if t := p.peek(); t.kind == tokenVariable {
		if v, ok := p.query.Param(t.text); ok && v.Type == tds.DateTime() {
			p.take()
			at, _ := v.Value.(time.Time)
			return time.Date(at.Year(), at.Month(), at.Day(), at.Hour(), at.Minute(), at.Second(), at.Nanosecond(), p.zone), nil
		}
	}
	text, err := p.text()
	if err != nil {
		return time.Time{}, err
	}
	at, err := time.ParseInLocation("2006-01-02T15:04:05", text, p.zone)
	if err != nil {
		return time.Time{}, tds.Message{Number: 241, State: 1, Class: 16, Text: "Conversion failed when converting date and/or time from character string."}
	}
	return at, nil
}

func (p *parser) alter() (statement, error) {
	name, err := p.name()
	if err != nil {
		return nil, err
	}
	s := alterStatement{database: name}
	switch {
	case p.words("SET", "RECOVERY"):
		s.recovery = Model(strings.ToUpper(p.take().text))
		if !s.recovery.known() {
			return nil, unknown("recovery model " + string(s.recovery))
		}
		return s, nil
	case p.words("SET", "MULTI_USER"):
		s.access = multiUser
	case p.words("SET", "SINGLE_USER"):
		s.access = singleUser
	default:
		return nil, p.stuck()
	}
	// Without it, the server waits for the other sessions to leave; here nobody would end the wait.
	if !p.words("WITH", "ROLLBACK", "IMMEDIATE") && s.access == singleUser {
		return nil, p.stuck()
	}
	return s, nil
}
