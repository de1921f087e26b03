package s3device_test

import (
	"context"
	"crypto/x509"
	"fmt"

	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim"
	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/s3device"
)

// A backup to a URL that has no bucket fails as it does on a server.
func ExampleRemote() {
	remote := s3device.Remote(x509.NewCertPool())
	_, err := remote("key", "secret").Create(context.Background(), mssqlsim.Job{Path: "s3://store.example/sales.bak"})
	fmt.Println(err)
	// Output:
	// The request is not supported.
}
