package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"strings"

	kservice "github.com/kardianos/service"
	"github.com/spf13/cobra"

	"github.com/quiesce-go/quiesce/backup"
)

func (in *invocation) service() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "service",
		Short: "run as a service of the system: install, start, stop, status, uninstall",
		Long: `Install the command run as a service of the machine: a unit of systemd, a Windows service, or what else the system has.
The service uses the configuration file named now, by its whole path. These commands need the rights of an administrator.`,
		Example: in.examples("service install --config /etc/obm.yaml", "service start", "service status", "service stop", "service uninstall"),
		Args:    in.command,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, a := range []serviceAction{
		{"install", "install", "installed", "make the service, to start with the machine; the configuration is checked first"},
		{"uninstall", "uninstall", "uninstalled", "remove the service; backups and configuration stay"},
		{"start", "start", "started", "start it now"},
		{"stop", "stop", "stopped", "stop it in order"},
		{"status", "look at", "", "is it running?"},
	} {
		cmd.AddCommand(&cobra.Command{
			Use: a.name, Short: a.text, Long: strings.ToUpper(a.text[:1]) + a.text[1:] + ".", Example: in.examples("service " + a.name),
			Args: in.args(cobra.NoArgs), RunE: func(*cobra.Command, []string) error { return in.serviceDo(a) },
		})
	}
	return cmd
}

// serviceAction is one of the commands below service.
type serviceAction struct{ name, verb, state, text string }

func (in *invocation) serviceDo(a serviceAction) error {
	if a.name == "install" {
		if _, err := in.load(); err != nil { // a service that cannot start is better not installed
			return err
		}
	}
	s, err := in.systemService(nil)
	if err != nil {
		return err
	}
	got := ServiceState{Name: in.name(), State: a.state}
	if a.name == "status" {
		got.State, err = serviceStatus(s)
	} else {
		err = kservice.Control(s, a.name)
	}
	if err != nil {
		return &backup.Error{Op: a.verb + " service", Artifact: in.name(), Err: err,
			Advice: fmt.Sprintf("this needs the rights of an administrator and a service manager (here: %s)", s.Platform())}
	}
	return in.print(got, func(w io.Writer) { fmt.Fprintf(w, "%s: %s\n", got.Name, got.State) })
}

func serviceStatus(s kservice.Service) (string, error) {
	state, err := s.Status()
	switch {
	case errors.Is(err, kservice.ErrNotInstalled):
		return "not installed", nil
	case err != nil:
		return "", err
	case state == kservice.StatusRunning:
		return "running", nil
	}
	return "stopped", nil
}

// systemService describes run as a service.
func (in *invocation) systemService(p *windowsService) (kservice.Service, error) {
	file, err := filepath.Abs(in.file)
	if err != nil {
		return nil, &backup.Error{Op: "find configuration", Err: err}
	}
	var i kservice.Interface
	if p != nil {
		i = p
	}
	s, err := kservice.New(i, &kservice.Config{
		Name: in.name(), DisplayName: in.name() + " backup agent", Description: "Takes, proves and keeps backups of applications.",
		Arguments:    []string{"run", "--config", file},
		Dependencies: []string{"Wants=network-online.target", "After=network-online.target"},
		Option: kservice.KeyValue{
			"Restart": "on-failure", "ReloadSignal": "HUP", // systemd
			"OnFailure": "restart", "OnFailureDelayDuration": "1m", // Windows
		},
	})
	if err != nil {
		return nil, &backup.Error{Op: "describe service", Artifact: in.name(), Err: err, Advice: "this system has no service manager that is known; run it under your own"}
	}
	return s, nil
}

// underService does work under the Windows service manager when that started the process, and directly otherwise: systemd talks by signals, which
// the program turns into the end of ctx.
func (in *invocation) underService(ctx context.Context, work func(context.Context) error) error {
	if runtime.GOOS != "windows" || kservice.Interactive() {
		return work(ctx)
	}
	p := &windowsService{ctx: ctx, work: work}
	s, err := in.systemService(p)
	if err != nil {
		return err
	}
	return errors.Join(s.Run(), p.err)
}

// windowsService is run as the Windows service manager sees it.
type windowsService struct {
	ctx    context.Context // of the process; the manager's calls have none
	work   func(context.Context) error
	cancel context.CancelFunc
	done   chan struct{}
	err    error
}

// Start implements service.Interface: it must return at once.
func (p *windowsService) Start(s kservice.Service) error {
	ctx, cancel := context.WithCancel(p.ctx)
	p.cancel, p.done = cancel, make(chan struct{})
	go func() {
		defer close(p.done)
		if p.err = p.work(ctx); p.err != nil && ctx.Err() == nil {
			_ = s.Stop() // it ended by itself; the manager is told, and the error is returned by Run
		}
	}()
	return nil
}

// Stop implements service.Interface: it returns when the work has ended.
func (p *windowsService) Stop(kservice.Service) error {
	p.cancel()
	<-p.done
	return nil
}
