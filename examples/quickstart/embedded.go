package main

import (
	"context"
	"fmt"
	"io"
	"net"

	sqle "github.com/dolthub/go-mysql-server"
	"github.com/dolthub/go-mysql-server/memory"
	gmsserver "github.com/dolthub/go-mysql-server/server"
	"github.com/dolthub/go-mysql-server/sql"
	"github.com/sirupsen/logrus"
)

// embedded is go-mysql-server in this process: the MySQL protocol over memory. It serves to see the story on a machine without any database server; it
// has no consistent snapshot, no accounts and no functions, and its tables are slow beyond some hundred rows.
type embedded struct {
	srv  *gmsserver.Server
	addr string
	done chan struct{} // closed when srv has stopped accepting
}

func startEmbedded() (server, error) {
	// The library logs each connection to the default logger of logrus, which it gives no way to replace.
	logrus.SetOutput(io.Discard)
	e := &embedded{}
	if err := e.run(); err != nil {
		return nil, err
	}
	return e, nil
}

func (e *embedded) run() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("start the embedded server: %w", err)
	}
	pro := memory.NewDBProvider()
	pro.WithOption(memory.NativeIndexProvider(true)) // for schemas made by CREATE DATABASE
	cfg := gmsserver.Config{Protocol: "tcp", Address: l.Addr().String(), Listener: l}
	srv, err := gmsserver.NewServer(cfg, sqle.NewDefault(pro), sql.NewContext, memory.NewSessionBuilder(pro), nil)
	if err != nil {
		l.Close()
		return fmt.Errorf("start the embedded server: %w", err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Start() // returns when the listener is closed, and then always nil
	}()
	e.srv, e.addr, e.done = srv, l.Addr().String(), done
	return nil
}

func (e *embedded) DSN() string { return "root@tcp(" + e.addr + ")/" }

func (e *embedded) Place() string { return "go-mysql-server, embedded in this process" }

// Lose forgets the server with its memory and starts an empty one.
func (e *embedded) Lose(ctx context.Context) error {
	if err := e.Close(ctx, false); err != nil {
		return err
	}
	return e.run()
}

func (e *embedded) Close(context.Context, bool) error {
	if err := e.srv.Close(); err != nil {
		return fmt.Errorf("stop the embedded server: %w", err)
	}
	<-e.done
	return nil
}
