//go:build windows && (386 || amd64)

package esebcli

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/quiesce-go/quiesce/backup"
)

func enablePrivileges() error {
	var token windows.Token
	if err := windows.OpenProcessToken(windows.CurrentProcess(), windows.TOKEN_ADJUST_PRIVILEGES|windows.TOKEN_QUERY, &token); err != nil {
		return rightsError(fmt.Errorf("token of the process: %w", err))
	}
	defer token.Close()
	var errs []error
	for _, name := range [...]string{"SeBackupPrivilege", "SeRestorePrivilege"} {
		if err := enable(token, name); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	return rightsError(errors.Join(errs...))
}

func enable(token windows.Token, name string) error {
	chars, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return err
	}
	p := windows.Tokenprivileges{PrivilegeCount: 1}
	p.Privileges[0].Attributes = windows.SE_PRIVILEGE_ENABLED
	if err := windows.LookupPrivilegeValue(nil, chars, &p.Privileges[0].Luid); err != nil {
		return err
	}
	if err := windows.AdjustTokenPrivileges(token, false, &p, 0, nil, nil); err != nil {
		return err
	}
	// It succeeds too when the token has no such privilege, and tells so by the last error alone, which is lost by now.
	held, err := privileges(token)
	if err != nil {
		return err
	}
	for _, h := range held {
		if h.Luid == p.Privileges[0].Luid && h.Attributes&windows.SE_PRIVILEGE_ENABLED != 0 {
			return nil
		}
	}
	return HrPrivilegeNotHeld
}

// privileges lists those of a token.
func privileges(token windows.Token) ([]windows.LUIDAndAttributes, error) {
	var n uint32
	if err := windows.GetTokenInformation(token, windows.TokenPrivileges, nil, 0, &n); !errors.Is(err, windows.ERROR_INSUFFICIENT_BUFFER) {
		return nil, fmt.Errorf("privileges of the process: %w", err)
	}
	words := make([]uint32, n/4+1) // aligned as the structure wants it
	if err := windows.GetTokenInformation(token, windows.TokenPrivileges, (*byte)(unsafe.Pointer(&words[0])), n, &n); err != nil {
		return nil, fmt.Errorf("privileges of the process: %w", err)
	}
	return (*windows.Tokenprivileges)(unsafe.Pointer(&words[0])).AllPrivileges(), nil
}

func rightsError(err error) error {
	if err == nil {
		return nil
	}
	return &backup.Error{App: "exchange", Op: "enable privileges", Err: err, Advice: HrPrivilegeNotHeld.Hint()}
}
