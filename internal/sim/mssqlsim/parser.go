package mssqlsim

import (
	"fmt"
	"slices"
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
	devices  []backupDevice
	mirrors  int
	options  options
}

// backupDevice is DISK = 'path' or URL = 'url'.
type backupDevice struct {
	url  bool
	path string
}

type restoreStatement struct {
	what     string // DATABASE, LOG, HEADERONLY, FILELISTONLY, LABELONLY, VERIFYONLY
	database string
	devices  []backupDevice
	options  options
}

type alterStatement struct {
	database    string
	recovery    Model  // or
	access      string // MULTI_USER, SINGLE_USER, RESTRICTED_USER, or
	state       State  // ONLINE, OFFLINE, EMERGENCY
	termination string // ROLLBACK, NO_WAIT or none
}

type createStatement struct{ database string }

type dropStatement struct {
	databases []string
	ifExists  bool
}

type credentialStatement struct{ verb, name, identity, secret string }

type checkStatement struct {
	database string
	quiet    bool // NO_INFOMSGS
}

type useStatement struct{ database string }

// setStatement is a SET that changes nothing here.
type setStatement struct{}

// parser reads statements from tokens. It knows the grammar of doc.go and refuses the rest.
type parser struct {
	tokens    []token
	query     tds.Query
	zone      *time.Location
	aggregate bool // MAX, MIN or COUNT was read
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

// oneOf takes the next keyword if it is in the list, which is separated by blanks, and returns it in capitals.
func (p *parser) oneOf(list string) string {
	t := p.peek()
	if word := strings.ToUpper(t.text); t.kind == tokenWord && slices.Contains(strings.Fields(list), word) {
		p.take()
		return word
	}
	return ""
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
	case p.words("CREATE", "DATABASE"):
		name, err := p.name()
		return createStatement{database: name}, err
	case p.words("DROP", "DATABASE"):
		return p.drop()
	case p.words("CREATE", "CREDENTIAL"):
		return p.credentials("CREATE")
	case p.words("ALTER", "CREDENTIAL"):
		return p.credentials("ALTER")
	case p.words("DROP", "CREDENTIAL"):
		return p.credentials("DROP")
	case p.words("DBCC", "CHECKDB"):
		return p.check()
	case p.words("USE"):
		name, err := p.name()
		return useStatement{database: name}, err
	case p.words("SELECT"):
		return p.selection()
	case p.words("DECLARE"):
		return p.lock()
	case p.words("SET", "NOCOUNT", "ON"):
		return setStatement{}, nil
	case p.words("SET", "LOCK_TIMEOUT"):
		_, err := p.number()
		return setStatement{}, err
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

// number reads an integer, or a variable that holds one.
func (p *parser) number() (int, error) {
	if p.peek().kind == tokenVariable {
		v, err := p.variable()
		if n, ok := v.(int64); ok {
			return int(n), err
		}
		return 0, p.stuck()
	}
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
func (p *parser) devices() (all []backupDevice, err error) {
	for {
		kind := p.oneOf("DISK URL")
		if kind == "" || !p.sign("=") {
			return nil, p.stuck()
		}
		path, err := p.text()
		if err != nil {
			return nil, err
		}
		all = append(all, backupDevice{url: kind == "URL", path: path})
		if !p.sign(",") {
			return all, nil
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
	for p.words("MIRROR", "TO") {
		s.mirrors++
		if _, err = p.devices(); err != nil {
			return nil, err
		}
	}
	flags, texts := backupFlags, backupTexts
	if log {
		flags, texts = flags+" NORECOVERY NO_TRUNCATE", texts+" STANDBY"
	} else {
		flags += " DIFFERENTIAL"
	}
	s.options, err = p.options(flags, texts, backupNumbers, "ENCRYPTION EXPIREDATE")
	return s, err
}

func (p *parser) restore() (statement, error) {
	s := restoreStatement{what: strings.ToUpper(p.take().text)}
	flags, texts, special := readFlags, "", ""
	var err error
	switch s.what {
	case "DATABASE", "LOG":
		flags, texts, special = restoreFlags, "STANDBY MEDIANAME", "MOVE STOPAT STOPATMARK STOPBEFOREMARK"
		if s.database, err = p.name(); err != nil {
			return nil, err
		}
	case "VERIFYONLY":
		special = "MOVE"
	case "HEADERONLY", "FILELISTONLY", "LABELONLY":
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
	s.options, err = p.options(flags, texts, readNumbers, special)
	return s, err
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
	case p.words("SET"):
		if s.access = p.oneOf("MULTI_USER SINGLE_USER RESTRICTED_USER"); s.access == "" {
			s.state = State(p.oneOf("ONLINE OFFLINE EMERGENCY"))
		}
		if s.access == "" && s.state == "" {
			return nil, p.stuck()
		}
	default:
		return nil, p.stuck()
	}
	switch {
	case p.words("WITH", "ROLLBACK", "IMMEDIATE"):
		s.termination = "ROLLBACK"
	case p.words("WITH", "NO_WAIT"):
		s.termination = "NO_WAIT"
	case p.words("WITH", "ROLLBACK", "AFTER"):
		s.termination = "ROLLBACK"
		_, err = p.number()
		p.words("SECONDS")
	}
	return s, err
}

func (p *parser) drop() (statement, error) {
	s := dropStatement{ifExists: p.words("IF", "EXISTS")}
	for more := true; more; more = p.sign(",") {
		name, err := p.name()
		if err != nil {
			return nil, err
		}
		s.databases = append(s.databases, name)
	}
	return s, nil
}

// credentials reads what follows CREATE, ALTER or DROP CREDENTIAL.
func (p *parser) credentials(verb string) (statement, error) {
	s := credentialStatement{verb: verb}
	var err error
	if s.name, err = p.name(); err != nil || verb == "DROP" {
		return s, err
	}
	if !p.words("WITH", "IDENTITY") || !p.sign("=") {
		return nil, p.stuck()
	}
	if s.identity, err = p.text(); err != nil {
		return nil, err
	}
	if p.sign(",") {
		if !p.words("SECRET") || !p.sign("=") {
			return nil, p.stuck()
		}
		s.secret, err = p.text()
	}
	return s, err
}

// check reads DBCC CHECKDB [(name)] [WITH options].
func (p *parser) check() (statement, error) {
	var s checkStatement
	if p.sign("(") {
		var err error
		if p.peek().kind == tokenText {
			s.database, err = p.text()
		} else {
			s.database, err = p.name()
		}
		if err != nil {
			return nil, err
		}
		if !p.sign(")") {
			return nil, p.stuck()
		}
	}
	if p.words("WITH") {
		for more := true; more; more = p.sign(",") {
			word := p.oneOf("NO_INFOMSGS ALL_ERRORMSGS PHYSICAL_ONLY EXTENDED_LOGICAL_CHECKS DATA_PURITY TABLOCK")
			if word == "" {
				return nil, p.stuck()
			}
			s.quiet = s.quiet || word == "NO_INFOMSGS"
		}
	}
	return s, nil
}

// lockStatement is sp_getapplock for the session, whose answer is selected.
type lockStatement struct{ resource, column string }

// lock reads the one batch with a variable that is known: DECLARE @r int; EXEC @r = sp_getapplock @Resource = .., @LockMode = 'Exclusive', @LockOwner = 'Session',
// @LockTimeout = 0; SELECT @r AS name.
func (p *parser) lock() (statement, error) {
	variable := p.take()
	if variable.kind != tokenVariable || !p.words("int") {
		return nil, p.stuck()
	}
	p.sign(";")
	if !p.words("EXEC") && !p.words("EXECUTE") || p.take().text != variable.text || !p.sign("=") || !p.words("sp_getapplock") {
		return nil, p.stuck()
	}
	given := map[string]string{}
	for more := true; more; more = p.sign(",") {
		name := strings.ToLower(p.take().text)
		if !p.sign("=") {
			return nil, p.stuck()
		}
		if t := p.peek(); t.kind == tokenNumber || t.kind == tokenText || t.kind == tokenWord {
			given[name] = p.take().text
		} else {
			return nil, p.stuck()
		}
	}
	if !strings.EqualFold(given["@lockmode"], "Exclusive") || !strings.EqualFold(given["@lockowner"], "Session") || given["@locktimeout"] != "0" || given["@resource"] == "" {
		return nil, unknown("sp_getapplock other than exclusive, for the session and without waiting")
	}
	p.sign(";")
	if !p.words("SELECT") || p.take().text != variable.text {
		return nil, p.stuck()
	}
	s := lockStatement{resource: given["@resource"]}
	err := p.alias(&s.column)
	return s, err
}
