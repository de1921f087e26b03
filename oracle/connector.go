package oracle

import (
	"context"
	"database/sql/driver"
	"net"

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
type dialer struct{ last net.Conn }

func (d *dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	var own net.Dialer
	c, err := own.DialContext(ctx, network, address)
	d.last = c
	return c, err
}

// Connect implements driver.Connector.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	one, d := goora.NewConnector(c.dsn), &dialer{}
	if o, ok := one.(*goora.OracleConnector); ok {
		o.Dialer(d)
	}
	conn, err := one.Connect(ctx)
	if err != nil {
		if d.last != nil {
			_ = d.last.Close()
		}
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
