package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	_ "github.com/microsoft/go-mssqldb"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim"
	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/s3device"
	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/tds"
	"github.com/quiesce-go/quiesce/mssql/s3endpoint"
)

// sqlPassword needs escaping in a URL, and must be seen nowhere.
const sqlPassword = "p@ss:/word"

// sqlServer is a simulated SQL Server behind a port, with TLS. Its databases outlive its network: it can be killed and started again.
type sqlServer struct {
	*mssqlsim.Instance
	name    string
	address string // once it has one
	cert    tls.Certificate
	stop    func()

	mu    sync.Mutex
	clock time.Time
	held  string        // a file that tells that a statement is held; "" when none is to be
	free  chan struct{} // closed to let it go on
	ended func()        // called when a BACKUP LOG has ended and the client does not know
}

// newSQLServer makes a server that is not started. folders maps its folders to those of this machine, and stores of S3 may show certificates of roots. Its clock moves on
// by a second at each look.
func newSQLServer(name string, folders map[string]string, roots *x509.CertPool) (s *sqlServer, authority []byte, err error) {
	s = &sqlServer{name: name, clock: time.Date(2026, 3, 1, 8, 0, 0, 0, time.FixedZone("", 2*3600)), stop: func() {}}
	if s.cert, authority, err = tds.NewCertificate("127.0.0.1"); err != nil {
		return nil, nil, err
	}
	s.Instance, err = mssqlsim.New(mssqlsim.Config{Name: name, Now: s.now, Media: mssqlsim.NewFileMedia(folders, nil), Remote: s3device.Remote(roots), Pace: s.pace})
	return s, authority, err
}

func (s *sqlServer) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock = s.clock.Add(time.Second)
	return s.clock
}

// pace holds a BACKUP or RESTORE where the test asked for it.
func (s *sqlServer) pace(ctx context.Context, _ string, _ int) error {
	s.mu.Lock()
	held, free := s.held, s.free
	s.mu.Unlock()
	if held == "" {
		return nil
	}
	if err := os.WriteFile(held, nil, 0o600); err != nil {
		return err
	}
	select {
	case <-free:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Batch lets a test step in when the server has truncated a log.
func (s *sqlServer) Batch(ctx context.Context, c *tds.Session, q tds.Query, a *tds.Answer) error {
	err := s.Instance.Batch(ctx, c, q, a)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && s.ended != nil && strings.HasPrefix(q.Text, "BACKUP LOG") {
		s.ended()
	}
	return err
}

// atLogEnd has f called after each BACKUP LOG from now on.
func (s *sqlServer) atLogEnd(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = f
}

// hold stops the next statements in the middle, and says so by a file.
func (s *sqlServer) hold(file string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held, s.free = file, make(chan struct{})
}

func (s *sqlServer) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held != "" {
		close(s.free)
		s.held = ""
	}
}

// start lets clients in, at the same address as before.
func (s *sqlServer) start() error {
	server, err := tds.NewServer(tds.Config{Name: s.name, Users: map[string]string{"backup": sqlPassword}, Handler: s, Encryption: tds.Required, Certificate: &s.cert})
	if err != nil {
		return err
	}
	if s.address == "" {
		s.address = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", s.address)
	if err != nil {
		return err
	}
	s.address = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(ctx, l) })
	s.stop = func() { cancel(); serving.Wait() }
	return nil
}

// dsn leads to the server for a client that trusts the certificates in a file.
func (s *sqlServer) dsn(trusted string) string {
	u := url.URL{Scheme: "sqlserver", User: url.UserPassword("backup", sqlPassword), Host: s.address,
		RawQuery: url.Values{"encrypt": {"true"}, "certificate": {trusted}}.Encode()}
	return u.String()
}

// sqlServers is the key of a script's servers.
type sqlServers struct{}

// startSQLServer is "sqlserver NAME": start a simulated SQL Server for the script and set NAME to its DSN. Its folders S:\stage, S:\out and S:\foreign are those below $WORK. It trusts
// the certificate in NAME-endpoint.pem, which the command makes, with its key in NAME-endpoint.key.
func startSQLServer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: sqlserver NAME")
	}
	folders := map[string]string{}
	for _, name := range []string{"stage", "out", "foreign"} {
		folders[`S:\`+name] = ts.MkAbs(name)
		ts.Check(os.MkdirAll(ts.MkAbs(name), 0o700))
	}
	certificate, key, err := s3endpoint.NewCertificate(time.Now(), time.Hour, "127.0.0.1")
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+"-endpoint.pem"), certificate, 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+"-endpoint.key"), key, 0o600))
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certificate)
	s, authority, err := newSQLServer(args[0], folders, roots)
	ts.Check(err)
	ts.Check(s.start())
	ts.Defer(func() { s.stop() })
	trusted := ts.MkAbs(args[0] + ".pem")
	ts.Check(os.WriteFile(trusted, authority, 0o600))
	ts.Setenv(args[0], s.dsn(trusted))
	ts.Value(sqlServers{}).(map[string]*sqlServer)[args[0]] = s
}

// serverDo is "server NAME VERB ARG...": act on a simulated SQL Server as its users and operators do.
//
//	create DB [MODEL]      a new database
//	insert DB TEXT...      a record each; "! server" when the database must refuse
//	mark DB MARK TEXT      a record in a marked transaction
//	marklsn MARK VAR       set a variable to the LSN of a mark
//	drop DB                as if its disk had died
//	corrupt DB             a page of it
//	contents DB            write its records to the file rows
//	moment VAR             set a variable to its clock
//	address VAR            set a variable to its host and port
//	exec STATEMENT         run a statement, as another tool does
//	sqlcmd FILE            run a script
//	hold, release          statements stop in the middle, the file NAME.held tells when; they go on
//	kill, start            the network of the server
func serverDo(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: server NAME VERB ARG...")
	}
	s := ts.Value(sqlServers{}).(map[string]*sqlServer)[args[0]]
	if s == nil {
		ts.Fatalf("no server %s", args[0])
	}
	verb, rest := args[1], append(args[2:], "", "", "")
	switch verb {
	case "create":
		if rest[1] == "" {
			rest[1] = string(mssqlsim.Full)
		}
		ts.Check(s.CreateDatabase(rest[0], mssqlsim.Model(rest[1])))
	case "insert":
		for _, text := range args[3:] {
			if err := s.Insert(rest[0], text); (err != nil) != neg {
				ts.Fatalf("insert %s: %v", text, err)
			}
		}
	case "mark":
		ts.Check(s.Mark(rest[0], rest[1], rest[2]))
	case "marklsn":
		lsn, err := s.markLSN(ts.Getenv(args[0]), rest[0])
		ts.Check(err)
		ts.Setenv(rest[1], lsn)
	case "drop":
		s.DropDatabase(rest[0])
	case "corrupt":
		ts.Check(s.Corrupt(rest[0]))
	case "contents":
		rows, err := s.Contents(rest[0])
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs("rows"), []byte(strings.Join(rows, " ")+"\n"), 0o600))
	case "moment":
		ts.Setenv(rest[0], s.now().Format(time.RFC3339Nano))
	case "address":
		ts.Setenv(rest[0], s.address)
	case "exec":
		ts.Check(s.run(ts.Getenv(args[0]), rest[0]))
	case "sqlcmd":
		ts.Check(s.run(ts.Getenv(args[0]), sqlcmdBatches(ts.ReadFile(rest[0]))...))
	case "hold":
		s.hold(ts.MkAbs(args[0] + ".held"))
	case "release":
		s.release()
	case "kill":
		s.stop()
		s.release()
	case "start":
		ts.Check(s.start())
	default:
		ts.Fatalf("no verb %q", verb)
	}
}

// run sends batches on one connection, and stops at the first that fails, as sqlcmd -b does.
func (s *sqlServer) run(dsn string, batches ...string) error {
	db, err := sql.Open("sqlserver", dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	c, err := db.Conn(context.Background())
	if err != nil {
		return err
	}
	defer c.Close()
	for _, b := range batches {
		if _, err := c.ExecContext(context.Background(), b); err != nil {
			return fmt.Errorf("%s: %w", b, err)
		}
	}
	return nil
}

// markLSN asks for the LSN of the transaction with a mark.
func (s *sqlServer) markLSN(dsn, mark string) (lsn string, err error) {
	db, err := sql.Open("sqlserver", dsn)
	if err != nil {
		return "", err
	}
	defer db.Close()
	return lsn, db.QueryRow("SELECT lsn FROM msdb.dbo.logmarkhistory WHERE mark_name = '" + mark + "'").Scan(&lsn)
}

var (
	setVariable = regexp.MustCompile(`^:setvar (\w+) "(.*)"$`)
	useVariable = regexp.MustCompile(`\$\((\w+)\)`)
)

// sqlcmdBatches reads a script as sqlcmd does: commands begin with a colon, GO ends a batch, $(name) is a variable.
func sqlcmdBatches(script string) (batches []string) {
	vars, batch := map[string]string{}, ""
	for line := range strings.Lines(script) {
		line = strings.TrimRight(line, "\r\n")
		switch m := setVariable.FindStringSubmatch(line); {
		case m != nil:
			vars[m[1]] = strings.ReplaceAll(m[2], `""`, `"`)
		case strings.HasPrefix(line, ":"): // on error exit is what run does
		case strings.EqualFold(line, "GO"):
			batches, batch = append(batches, batch), ""
		case strings.HasPrefix(line, "--"):
		default:
			batch += useVariable.ReplaceAllStringFunc(line, func(v string) string { return vars[v[2:len(v)-1]] }) + "\n"
		}
	}
	if strings.TrimSpace(batch) != "" {
		batches = append(batches, batch)
	}
	return batches
}

// flip is "flip GLOB": change one bit in the middle of the one file that matches.
func flip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: flip GLOB")
	}
	files, err := filepath.Glob(ts.MkAbs(args[0]))
	ts.Check(err)
	if len(files) != 1 {
		ts.Fatalf("%d files match", len(files))
	}
	content, err := os.ReadFile(files[0])
	ts.Check(err)
	content[len(content)/2] ^= 1
	ts.Check(os.WriteFile(files[0], content, 0o600))
}
