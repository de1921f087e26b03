package mssqlsim

import (
	"fmt"
	"math/big"
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
