package oracle

import (
	"context"
	"database/sql/driver"
	"net"
	"sync"

	goora "github.com/sijms/go-ora/v2"
)

// connector opens sessions whose network connection we hold ourselves. The driver ends a call by asking the server for it and then waits for the answer, for ever when the server is gone; so
// does its Close [GO]. Closing the connection under it is the only way out that always works.
type connector struct{ dsn string }

// wired is a connection of the driver with what it runs over.
type wired struct {
	*goora.Connection
	wire net.Conn
}

// hangUp ends whatever the driver waits for.
func (w *wired) hangUp() { _ = w.wire.Close() }

// dialer notes the last connection it made: the driver makes another one when the listener redirects it.
type dialer struct {
	ctx context.Context // of the login, which the dialer lives for

	mu   sync.Mutex
	last net.Conn
	over bool
}

// DialContext connects for as long as the login may last.
func (d *dialer) DialContext(_ context.Context, network, address string) (net.Conn, error) {
	var own net.Dialer
	c, err := own.DialContext(d.ctx, network, address)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last = c; d.over {
		_ = c.Close()
	}
	return c, nil
}

// hangUp ends the login, whatever the driver waits for.
func (d *dialer) hangUp() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over = true; d.last != nil {
		_ = d.last.Close()
	}
}

// Connect implements driver.Connector. The driver is not shown that ctx can end: it would close its connection in a goroutine of its own, beside the one that still uses it [GO].
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	one, d := goora.NewConnector(c.dsn), &dialer{ctx: ctx}
	if o, ok := one.(*goora.OracleConnector); ok {
		o.Dialer(d)
	}
	stop := context.AfterFunc(ctx, d.hangUp)
	conn, err := one.Connect(context.WithoutCancel(ctx))
	if !stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		d.hangUp()
		return nil, err
	}
	session, ok := conn.(*goora.Connection)
	if !ok {
		return conn, nil
	}
	return &wired{Connection: session, wire: d.last}, nil
}

// Driver implements driver.Connector.
func (c connector) Driver() driver.Driver { return goora.NewDriver() }
