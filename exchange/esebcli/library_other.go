//go:build !windows || (!386 && !amd64)

package esebcli

import "runtime"

func find() (string, error) { return "", unsupported("find esebcli2.dll", why()) }

func load(string) (caller, error) { return nil, unsupported("load esebcli2.dll", why()) }

func enablePrivileges() error { return unsupported("enable privileges", why()) }

func why() string {
	return "the streaming API of Exchange is a library for Windows on 386 and amd64, and this program is for " + runtime.GOOS + " on " + runtime.GOARCH
}
