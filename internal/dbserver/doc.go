// Package dbserver starts private, throw-away MariaDB or MySQL servers from whatever server binaries the machine has.
//
// A server lives in a directory of its own, with no configuration but what it is given here, on a unix socket and a free loopback port,
// with an empty root password. It never touches an installed service or its data:
//
//	srv, err := dbserver.Start(ctx, &dbserver.Options{Binlog: true})
//	if errors.Is(err, dbserver.ErrNotInstalled) { ... }
//	defer srv.Stop()
//	db, err := sql.Open("mysql", srv.DSN())
//
// Stop ends the process and removes the directory. Kill ends it as a crash would and leaves the directory; Restart
// brings it up again on the same data.
package dbserver
