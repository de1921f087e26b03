package notify_test

import (
	"fmt"

	"github.com/quiesce-go/quiesce/agent"
	"github.com/quiesce-go/quiesce/agent/notify"
	"github.com/quiesce-go/quiesce/backup"
)

// Mail for what is bad, and nothing for what is good again.
func Example() {
	n, err := notify.New("smtp://backup:hunter2@mail.example.org:587/?from=backup@example.org&to=ops@example.org&requirestarttls=yes", &notify.Options{
		Prefix: "db1: ",
		Filter: notify.Filter{Kinds: []agent.NoticeKind{agent.NoticeFailed, agent.NoticeAbsent}},
	})
	fmt.Println(n, err)

	_, err = notify.New("smtp://backup:hunter2@mail.example.org:587/?from=backup@example.org", nil)
	fmt.Println(err)
	fmt.Println(backup.Hint(err))
	// Output:
	// smtp mail.example.org <nil>
	// read the notification URL smtp mail.example.org: toAddress missing from config URL
	// the forms of the URLs are at https://shoutrrr.nickfedor.com, by service
}
