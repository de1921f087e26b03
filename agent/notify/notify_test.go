package notify_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"net/textproto"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/agent"
	"github.com/quiesce-go/quiesce/agent/notify"
	"github.com/quiesce-go/quiesce/backup"
)

func notice() agent.Notice {
	return agent.Notice{
		Kind: agent.NoticeFailed, Job: "shop", Time: time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC),
		Title: "shop: full backup failed", Text: "Job: shop\nError: the server went away\n.\nTo do: start it — now\n",
	}
}

// webhook answers with a status and keeps what it was sent.
type webhook struct {
	*httptest.Server
	mu     sync.Mutex
	bodies []string
	paths  []string
	titles []string
}

func newWebhook(t *testing.T, status int) *webhook {
	t.Helper()
	h := &webhook{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h.mu.Lock()
		h.bodies, h.paths = append(h.bodies, string(body)), append(h.paths, r.URL.RequestURI())
		h.titles = append(h.titles, r.Header.Get("Title"))
		h.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "{}")
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *webhook) host() string { return strings.TrimPrefix(h.URL, "http://") }

func TestWebhook(t *testing.T) {
	h := newWebhook(t, http.StatusOK)
	for _, u := range []string{
		"generic://" + h.host() + "/in/secret?disabletls=yes&template=json",
		"generic+http://" + h.host() + "/in/secret?template=json",
	} {
		n, err := notify.New(u, &notify.Options{Prefix: "db1: "})
		require.NoError(t, err)
		require.NoError(t, n.Notify(t.Context(), notice()))
	}
	require.Len(t, h.bodies, 2)
	for i, body := range h.bodies {
		var got map[string]string
		require.NoError(t, json.Unmarshal([]byte(body), &got))
		assert.Equal(t, map[string]string{
			"title": "db1: shop: full backup failed", "message": notice().Text, "job": "shop", "kind": "failed", "time": "2026-03-01T02:00:00Z",
		}, got)
		assert.Equal(t, "/in/secret", h.paths[i])
	}
}

func TestChatsGetTheTitle(t *testing.T) {
	h := newWebhook(t, http.StatusOK)
	n, err := notify.New("ntfy://"+h.host()+"/topic?scheme=http", nil)
	require.NoError(t, err)
	require.NoError(t, n.Notify(t.Context(), notice()))
	require.Len(t, h.bodies, 1)
	assert.Contains(t, h.bodies[0]+h.titles[0], "shop: full backup failed")
	assert.Contains(t, h.bodies[0], "the server went away")
}

// mailServer takes mail over plain SMTP, one connection after the other.
type mailServer struct {
	net.Listener
	mu    sync.Mutex
	mails []string
	deny  string // the answer to RCPT, when not empty
}

func newMailServer(t *testing.T) *mailServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &mailServer{Listener: l}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.serve(c)
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return s
}

func (s *mailServer) serve(c net.Conn) {
	defer c.Close()
	tp := textproto.NewConn(c)
	say := func(line string) { _ = tp.PrintfLine("%s", line) }
	say("220 test")
	for {
		line, err := tp.ReadLine()
		if err != nil {
			return
		}
		switch verb, _, _ := strings.Cut(strings.ToUpper(line), " "); verb {
		case "EHLO":
			say("250-test")
			say("250 AUTH PLAIN")
		case "AUTH":
			say("235 welcome")
		case "RCPT":
			s.mu.Lock()
			deny := s.deny
			s.mu.Unlock()
			if deny != "" {
				say(deny)
				continue
			}
			say("250 ok")
		case "DATA":
			say("354 go on")
			data, err := io.ReadAll(tp.DotReader())
			if err != nil {
				return
			}
			s.mu.Lock()
			s.mails = append(s.mails, string(data))
			s.mu.Unlock()
			say("250 kept")
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

func TestMail(t *testing.T) {
	s := newMailServer(t)
	n, err := notify.New("smtp://bob:hunter2secret@"+s.Addr().String()+"/?from=backup@example.org&to=ops@example.org,night@example.org", &notify.Options{Prefix: "Zürich: "})
	require.NoError(t, err)
	assert.Equal(t, "smtp 127.0.0.1", n.(fmt.Stringer).String())
	require.NoError(t, n.Notify(t.Context(), notice()))
	require.Len(t, s.mails, 2, "one for each")
	m, err := mail.ReadMessage(bufio.NewReader(strings.NewReader(s.mails[0])))
	require.NoError(t, err)
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	require.NoError(t, err)
	assert.Equal(t, "Zürich: shop: full backup failed", subject)
	assert.Equal(t, "ops@example.org", m.Header.Get("To"))
	body, err := io.ReadAll(m.Body)
	require.NoError(t, err)
	assert.Equal(t, notice().Text, strings.ReplaceAll(string(body), "\r\n", "\n"))

	s.mu.Lock()
	s.deny = "550 no relaying for hunter2secret"
	s.mu.Unlock()
	err = n.Notify(t.Context(), notice())
	require.EqualError(t, err, "notify by smtp 127.0.0.1: the mail server answered 550")
}

// secrets stand in URLs below where a service has them.
const secret = "s3cr3tT0ken"

func TestErrorsHoldNoSecrets(t *testing.T) {
	h := newWebhook(t, http.StatusForbidden)
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	gone := dead.Addr().String()
	require.NoError(t, dead.Close())
	for u, want := range map[string]string{
		"generic://" + h.host() + "/" + secret + "?disabletls=yes&@authorization=" + secret: "notify by generic 127.0.0.1: the service answered 403 Forbidden",
		"generic://" + gone + "/" + secret + "?disabletls=yes":                              "notify by generic 127.0.0.1: connection refused",
		"smtp://bob:" + secret + "@" + gone + "/?from=a@example.org&to=b@example.org":       "notify by smtp 127.0.0.1: connection refused",
		"matrix://bob:" + secret + "@" + gone + "/?disableTLS=yes":                          "notify by matrix 127.0.0.1: connection refused",
		"gotify://" + gone + "/A" + secret + "aaa?disabletls=yes":                           "",
	} {
		n, err := notify.New(u, nil)
		if err == nil {
			err = n.Notify(t.Context(), notice())
			require.Error(t, err)
		}
		if want != "" {
			assert.EqualError(t, err, want)
		}
		assert.NotContains(t, strings.ToLower(fmt.Sprintf("%v %+v %s", err, err, backup.Hint(err))), strings.ToLower(secret), "%s", u)
	}
}

func TestWrongURLs(t *testing.T) {
	for u, want := range map[string]string{
		"":                             "begins with none of the known services: bark, discord",
		"mail.example.org":             "begins with none of the known services",
		"logger://":                    "begins with none of the known services",
		secret + "://host/":            "begins with none of the known services",
		"smtp://bob:" + secret + "@[/": "it is not a URL; special characters",
		"smtp://bob:" + secret + "@mail.example.org/?to=b@example.org":                                      "read the notification URL smtp mail.example.org: fromAddress missing from config URL",
		"smtp://bob:" + secret + "@mail.example.org/?from=a@example.org":                                    "toAddress missing",
		"smtp://bob:" + secret + "@mail.example.org/?from=a@example.org&to=b@example.org&" + secret + "=x":  "read the notification URL smtp mail.example.org: ",
		"smtp://bob:" + secret + "@mail.example.org/?from=a@example.org&to=b@example.org&timeout=" + secret: "read the notification URL smtp mail.example.org: ",
		"slack://" + secret + "/x":                                   "read the notification URL slack: ",
		"discord://" + secret:                                        "read the notification URL discord: ",
		"telegram://" + secret + "@telegram?chats=1":                 "read the notification URL telegram: ",
		"teams://" + secret:                                          "read the notification URL teams: ",
		"slack+https://" + secret + "/x":                             "read the notification URL slack: the service takes no URL of the form slack+https",
		"matrix://bob:" + secret + "@":                               "read the notification URL matrix: host missing",
		"pushover://shoutrrr:" + secret + "@":                        "read the notification URL pushover: ",
		"opsgenie://api.example.org/" + secret + "/" + secret + "?x": "read the notification URL opsgenie api.example.org: ",
	} {
		n, err := notify.New(u, nil)
		require.Error(t, err, "%s", u)
		assert.Nil(t, n)
		assert.ErrorContains(t, err, want, "%s", u)
		assert.NotContains(t, strings.ToLower(err.Error()), strings.ToLower(secret), "%s", u)
		assert.NotEmpty(t, backup.Hint(err))
		var e *backup.Error
		assert.ErrorAs(t, err, &e)
	}
}

func TestAHangingServiceIsCalledOnce(t *testing.T) {
	release, calls := make(chan struct{}), make(chan struct{}, 10)
	h := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		calls <- struct{}{}
		<-release
	}))
	defer h.Close()
	n, err := notify.New("generic://"+strings.TrimPrefix(h.URL, "http://")+"/?disabletls=yes", nil)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-calls
		cancel()
	}()
	require.ErrorIs(t, n.Notify(ctx, notice()), context.Canceled)
	require.ErrorContains(t, n.Notify(t.Context(), notice()), "an earlier message is still under way")
	require.ErrorIs(t, n.Notify(ctx, notice()), context.Canceled)
	close(release)
	require.Eventually(t, func() bool { return n.Notify(t.Context(), notice()) == nil }, time.Minute, time.Millisecond)
	assert.Len(t, calls, 1)
}

// kept is a Notifier that keeps the titles.
type kept []string

func (k *kept) Notify(_ context.Context, n agent.Notice) error {
	*k = append(*k, n.Title)
	return errors.New("taken")
}

func TestFilter(t *testing.T) {
	k := &kept{}
	f := notify.Filter{Kinds: []agent.NoticeKind{agent.NoticeFailed, agent.NoticeAbsent}, Jobs: []string{"shop", "prod-*"}}
	require.NoError(t, f.Validate())
	n := f.Wrap(k)
	for _, x := range []agent.Notice{
		{Kind: agent.NoticeFailed, Job: "shop", Title: "1"},
		{Kind: agent.NoticeAbsent, Job: "prod-db", Title: "2"},
		{Kind: agent.NoticeRecovered, Job: "shop", Title: "3"},
		{Kind: agent.NoticeFailed, Job: "test", Title: "4"},
	} {
		err := n.Notify(t.Context(), x)
		assert.Equal(t, f.Match(x), err != nil)
	}
	assert.Equal(t, kept{"1", "2"}, *k)
	assert.Equal(t, "*notify_test.kept", n.(fmt.Stringer).String())
	assert.Same(t, k, notify.Filter{}.Wrap(k), "the zero filter is none")

	f = notify.Filter{Kinds: []agent.NoticeKind{"broken"}, Jobs: []string{"[a"}}
	err := f.Validate()
	require.ErrorContains(t, err, `kind "broken": want failed, recovered, absent or present`)
	require.ErrorContains(t, err, `job pattern "[a"`)
	_, err = notify.New("generic://example.org", &notify.Options{Filter: f})
	require.ErrorContains(t, err, "filter the notices for generic example.org: ")
}

func TestEveryServiceIsKnown(t *testing.T) {
	all := notify.Services()
	assert.Greater(t, len(all), 20)
	assert.NotContains(t, all, "logger")
	for _, s := range all {
		n, err := notify.New((&url.URL{Scheme: s, Host: "dummy", Path: "/" + secret}).String(), nil)
		if err == nil {
			assert.True(t, strings.HasPrefix(n.(fmt.Stringer).String(), s))
			continue
		}
		assert.NotContains(t, err.Error(), "none of the known services", s)
		assert.NotContains(t, err.Error(), secret)
	}
}
