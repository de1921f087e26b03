package hook

import (
	"context"
	"net"

	"golang.org/x/sys/windows"
)

func listen(dir string) (*Listener, error) { return listenLoopback(dir, private) }

func dial(ctx context.Context, dir string) (net.Conn, string, error) { return dialLoopback(ctx, dir) }

// private leaves a file to this account, the system and the administrators.
func private(path string) error {
	user, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return err
	}
	sd, err := windows.SecurityDescriptorFromString("D:P(A;;FA;;;SY)(A;;FA;;;BA)(A;;FA;;;" + user.User.Sid.String() + ")")
	if err != nil {
		return err
	}
	dacl, _, err := sd.DACL()
	if err != nil {
		return err
	}
	return windows.SetNamedSecurityInfo(path, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION|windows.PROTECTED_DACL_SECURITY_INFORMATION, nil, nil, dacl, nil)
}
