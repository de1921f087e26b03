// Package chain decides from the headers of SQL Server backups alone which of them bring a database to a moment, and in which order. It needs no server and no clock, opens
// no file, and does not care where backups are.
//
// # Words
//
// A [Set] is one backup as its header tells of it: a full, a differential or a log. A log holds the database's log from one LSN up to another. A database's family stays
// with it for ever, also when it is renamed or restored under another name. A recovery fork is its life from one restore to the next: where it is restored to an
// earlier point and lives on, a new fork begins, at the fork point, and the same LSNs may from there on stand for other things. A gap is log that no backup holds.
// A [Target] says where to go, a [Plan] how, a [Refusal] why not.
//
// # From files to a plan
//
//	sets := FromMedia(name, media, zone)   // or from RESTORE HEADERONLY, or kept with each item
//	for _, db := range Catalogue(sets)     // what is there, and to which moments it can be restored
//	plan, err := Make(sets, Target{...})   // full, differential, logs, each with where to stop
//	err = Check(plan.Sets())               // is a list of steps, from wherever, one that a server takes?
//	err = Follows(anchor, log)             // does a log just taken go on where the last one ended?
//
// Stripes may come apart, copies may be among them, and order does not matter.
//
// # How a plan is chosen
//
// By LSN, family and fork. Names only lead to a family. Clocks have a part only where the target is a time, or where forks have no other order.
//
// A full needs nothing. A differential needs the one full that it names by GUID (else 3136), and that is never a copy-only one. A log can be entered anywhere within it,
// so logs may overlap, may reach back before the full, and run on across fulls and differentials; one that begins beyond the database is a gap (4305), one that
// ends before it is left out (4326). It must be of the database's fork, or leave it at a fork point that the database has not passed (4330). Of all ways there are the plan
// takes the newest full or differential that the logs, unbroken, lead on from; nothing is gained by an older one. Logs that are covered or empty are left out.
//
// A copy-only log is used like any other. It is outside the chain only in that the server did not shorten its log after it: the records in it are the same, so it
// fills the gap that a lost log backup leaves. The tail of a damaged database, which the server marks as copy-only and damaged, is used for the same reason, with a note.
//
// "The newest" is the newest state that any backup speaks of. When that is out of reach, behind a gap or in a set without all stripes, the plan is refused, not quietly
// ended early; the refusal names what is missing, and a target with a time or a GUID then says where to end instead.
//
// # Times
//
// A log backup surely holds what was committed before it was begun; what was committed while it ran may be in it or in the next. So the plan to a time ends in the first log
// that was begun at that time or later. A full or differential can begin it that had ended by then. Headers tell times to the second: what may have ended up to a
// second later counts as ended then, and the whole second that a full's header names stands for the state that full holds.
//
// The text of STOPAT is the server's local time, so each log bears its own, see [StopAt]. Headers do not tell where marks are: a plan to one goes through all logs.
//
// # Forks
//
// A database that was restored in place and lives on: the newest state is that of the newest fork, and a time leads to the fork that lived then. The plan notes it.
// Copies that lived side by side, on two servers, have no order: the plan is refused unless Target.Fork says which. The same LSN on two forks is two records.
//
// # What is guaranteed, and what is not
//
// A plan is a sequence that the server takes, as far as headers tell, and ends where the target says. When there is no plan, there is no sequence of these sets that would
// lead there for certain. Headers are believed: whether a file still holds what its header says is for mtf.Verify, VERIFYONLY and rehearsals to find out.
// Of file and filegroup backups, partial ones and those of FILESTREAM apart, nothing is known here.
//
// Where no source says what a server does, the stricter reading is taken: a log is not entered from the fork before its first one, even exactly at the fork point.
package chain
