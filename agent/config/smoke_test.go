package config_test

import (
	"fmt"
	"os"
	"testing"

	"filippo.io/age"
	"github.com/quiesce-go/quiesce/agent/config"
)

func TestSmoke(t *testing.T) {
	text, _ := os.ReadFile("testdata/full.yaml")
	id, _ := age.GenerateX25519Identity()
	c, err := config.Parse("/etc/obm/full.yaml", text, options(map[string]string{"/etc/obm/recipients.txt": id.Recipient().String() + "\n", "/etc/obm/key.txt": id.String(), "/etc/obm/scratch.dsn": "x\n", "/etc/obm/archive.dsn": "y\n"}))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(c.Warnings)
	if err := c.Print(os.Stdout); err != nil {
		t.Fatal(err)
	}
}
