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
	// Record is the action behind a failed or recovered notice.
	Record *Record
}

// Notifier brings notices to people. Package agent/notify has one for mail, webhooks and chat.
type Notifier interface {
	Notify(ctx context.Context, n Notice) error
}
