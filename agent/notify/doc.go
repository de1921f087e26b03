// Package notify brings an agent's notices to people: by mail, to a webhook, into a chat.
//
// Where to is a URL in the form of the library github.com/nicholas-fedor/shoutrrr, whose documentation lists them all:
//
//	smtp://user:password@mail.example.org:587/?from=backup@example.org&to=ops@example.org&requirestarttls=yes
//	generic://hooks.example.org/backup?template=json          a POST of {"title", "message", "job", "kind", "time"} over https
//	slack://..., discord://..., teams://..., telegram://..., matrix://..., ntfy://..., gotify://..., mattermost://..., zulip://...
//	opsgenie://..., pagerduty://..., pushover://..., and some more; Services lists them
//
//	n, err := notify.New(os.Getenv("NOTIFY_URL"), &notify.Options{Prefix: "db1: "})
//	...
//	a, err := agent.New(agent.Options{Jobs: jobs, Notifiers: []agent.Notifier{n}})
//
// # Why that library
//
// It speaks some twenty-five services, is maintained, has the MIT licence and brings four small modules into a program: two for colours on
// terminals, golang.org/x/sys and golang.org/x/term. What its own command needs besides is not linked. A mail library with a webhook of
// our own would have been as large and left all chats to others.
//
// # What is guaranteed
//
// No error, name or log line of this package holds anything of the URL but its scheme and, for services whose host is a server's name, the host:
// tokens hide in every other place. What the library says went wrong is not passed on, since it quotes URLs; it is
// put into words from a fixed list. New makes no contact with anybody.
//
// # What is not
//
// The library takes no context. Notify returns when its context ends, but the call it began goes on in the background, for most services some ten seconds,
// for a webhook or mail server that accepts a connection and then says nothing as long as that lasts. While it does, Notify begins no other
// call and returns an error; the agent tries again later. A message may so arrive although Notify failed, and then twice.
//
// Mail goes out unencrypted when the server offers no STARTTLS, unless the URL says requirestarttls=yes or encryption=ImplicitTLS. A password is never sent
// over such a connection, except to localhost.
package notify
