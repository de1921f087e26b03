package notify

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"

	"github.com/quiesce-go/quiesce/agent"
	"github.com/quiesce-go/quiesce/backup"
)

// Options are the choices of a notifier. All fields have defaults.
type Options struct {
	// Filter says which notices go out. Default all.
	Filter Filter
	// Prefix stands before every title, such as the name of the machine. Default none.
	Prefix string
}

// New returns a notifier that sends to the service the URL names. It checks the URL's form and makes no contact; o may be nil.
// Neither its errors nor those of the notifier hold secrets of the URL.
func New(rawURL string, o *Options) (agent.Notifier, error) {
	if o == nil {
		o = &Options{}
	}
	s, err := newSender(rawURL, o.Prefix)
	if err != nil {
		return nil, &backup.Error{Op: "read the notification URL", Artifact: s.String(), Err: err,
			Advice: "the forms of the URLs are at https://shoutrrr.nickfedor.com, by service"}
	}
	if err := o.Filter.Validate(); err != nil {
		return nil, &backup.Error{Op: "filter the notices for", Artifact: s.String(), Err: err, Advice: "patterns of jobs are as in path.Match"}
	}
	return o.Filter.Wrap(s), nil
}

// Services lists the schemes that New understands, sorted.
func Services() []string {
	all := new(router.ServiceRouter).ListServices()
	all = slices.DeleteFunc(all, func(s string) bool { return slices.Contains(refused[:], s) })
	slices.Sort(all)
	return all
}

// refused are services of the library that tell nobody.
var refused = [...]string{"logger"}

// withoutTitle are the services that know no title: it becomes the first line of the message.
var withoutTitle = [...]string{"googlechat", "hangouts", "notifiarr", "pagerduty", "rocketchat", "signal", "wecom"}

// sender sends to one service.
type sender struct {
	scheme, host string // host is empty where it could be a secret
	prefix       string
	open         func() (types.Service, error)
	idle         chan struct{} // holds a token while no call is under way
}

// newSender returns a sender whose String is good in any case.
func newSender(rawURL, prefix string) (*sender, error) {
	s := &sender{prefix: prefix, idle: make(chan struct{}, 1)}
	s.idle <- struct{}{}
	u, err := url.Parse(rawURL)
	if err != nil { // the parser's error quotes the URL
		return s, errors.New("it is not a URL; special characters in names, passwords and tokens must be written as %XX")
	}
	s.scheme, _, _ = strings.Cut(u.Scheme, "+")
	if !slices.Contains(Services(), s.scheme) {
		s.scheme = "" // whatever stands there may be a secret
		return s, errors.New("it begins with none of the known services: " + strings.Join(Services(), ", "))
	}
	if slices.Contains(withHost[:], s.scheme) {
		s.host = u.Hostname()
	}
	if s.scheme == "matrix" && u.User.Username() != "" { // it would log in at once
		if u.Hostname() == "" {
			return s, errors.New("host missing")
		}
		s.open = func() (types.Service, error) { return initialize(s.scheme, u) }
		return s, nil
	}
	service, err := initialize(s.scheme, u)
	if err != nil {
		return s, errors.New(redact(err.Error(), rawURL, s.host))
	}
	s.open = func() (types.Service, error) { return service, nil }
	return s, nil
}

// initialize does what the library's router does, without dropping the reason when it fails.
func initialize(scheme string, u *url.URL) (types.Service, error) {
	service, err := new(router.ServiceRouter).NewService(scheme)
	if err != nil {
		return nil, err
	}
	if u.Scheme != scheme {
		custom, ok := service.(types.CustomURLService)
		if !ok {
			return nil, fmt.Errorf("the service takes no URL of the form %s+https", scheme)
		}
		if u, err = custom.GetConfigURLFromCustom(u); err != nil {
			return nil, err
		}
	}
	if err := service.Initialize(u, nil); err != nil {
		return nil, err
	}
	return service, nil
}

// String names the service and, where it is no secret, the host.
func (s *sender) String() string { return strings.TrimSpace(s.scheme + " " + s.host) }

// Notify implements agent.Notifier.
func (s *sender) Notify(ctx context.Context, n agent.Notice) error {
	fail := func(err error) error {
		return &backup.Error{Op: "notify by", Artifact: s.String(), Err: err}
	}
	if err := ctx.Err(); err != nil {
		return fail(err)
	}
	select {
	case <-s.idle:
	default:
		return fail(errors.New("an earlier message is still under way"))
	}
	sent := make(chan error, 1)
	go func() {
		defer func() { s.idle <- struct{}{} }()
		sent <- s.send(n)
	}()
	select {
	case err := <-sent:
		if err != nil {
			return fail(err)
		}
		return nil
	case <-ctx.Done():
		return fail(context.Cause(ctx))
	}
}

func (s *sender) send(n agent.Notice) (err error) {
	defer func() { // nothing the library does may end the agent
		if recover() != nil {
			err = errors.New("the service's code panicked")
		}
	}()
	service, err := s.open()
	if err != nil {
		return reason(err)
	}
	title := strings.Join(strings.Fields(s.prefix+n.Title), " ") // one line: it becomes a header
	text, params := n.Text, types.Params{}
	switch {
	case slices.Contains(withoutTitle[:], s.scheme):
		text = title + "\n\n" + text
	case s.scheme == "smtp":
		params.SetTitle(mime.QEncoding.Encode("utf-8", title))
	default:
		params.SetTitle(title)
	}
	if s.scheme == "generic" {
		params["job"], params["kind"], params["time"] = n.Job, string(n.Kind), n.Time.Format(time.RFC3339)
	}
	if err := service.Send(text, &params); err != nil {
		return reason(err)
	}
	return nil
}

var _ agent.Notifier = (*sender)(nil)
