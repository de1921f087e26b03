package agent

import (
	"context"
	"time"
)

// NoticeKind is what a Notice is about.
type NoticeKind string

const (
	NoticeFailed    NoticeKind = "failed"    // an action of this kind went wrong and had gone right before (or never ran)
	NoticeRecovered NoticeKind = "recovered" // it went right again
	NoticeAbsent    NoticeKind = "absent"    // no proven recovery point within the objective
	NoticePresent   NoticeKind = "present"   // there is one again
)

// Notice tells a person that something changed. The same state is not told twice.
type Notice struct {
	Kind NoticeKind
	Job  string
	Time time.Time
	// Title is one line; Text has the details and what to do, in plain text.
	Title, Text string
	// Record is the action behind a failed or recovered notice. When the notice waited over a restart, Record.Err is nil; Record.Error stays.
	Record *Record
}

// Notifier brings notices to people. Package agent/notify has one for mail, webhooks and chat.
//
// One notice at a time is given to a Notifier, on a goroutine that delays neither runs nor other notifiers. A Notifier that is a fmt.Stringer is known by that
// name in the log and in the state, where what it was told is kept; the name must hold no secret and be the same after a restart.
type Notifier interface {
	// Notify returns nil once the notice is on its way; on an error it is called again later, with growing pauses. It returns when ctx
	// ends, after thirty seconds at most; no other call is made until it has returned.
	Notify(ctx context.Context, n Notice) error
}
