// Package hook lets a program be the external command of the backup that Domino has had since release 12: Domino puts a database into backup mode, calls the command with its name, and takes it back when the command
// has ended. The command is the small program quiesce-hook, in the folder beside this one. It hands the call to the agent that waits for it on the same machine, and prints what the agent answers.
//
// No Domino server was at hand. What is documented is kept to the letter; what is not is said below.
//
// # A call
//
// Domino gives up to ten positional parameters [ADM Native OS commands]: file, logical name, reference, node, name of the backup, mode, start of the backup, target directory, retention or file to restore to, and the
// reference that the backup command printed. Parse reads them, after an optional word that says what is called for: backup, restore or done. With formula-defined commands that word can be written down. Without
// one, a call with a tenth parameter is a restore, and any other a backup. The word done belongs into the Post-Backup Command and the Post-Restore Command: it tells the agent that Domino is through.
//
// The answer is text: "BackupRef: " and a reference, "Return: PROCESSED", or "Return: ERROR" with the reason. Domino searches it for strings that are configured; doc/domino.md lists them.
//
// # What is guaranteed
//
// The program says PROCESSED only when an agent has said so on the connection. Whatever else happens, no agent, an agent that died, a connection that broke, it says ERROR, so that Domino never takes a file for safe
// that is not. It never asks for input. When Domino ends the program, the agent is told by the connection's end, and drops what it was doing for it.
//
// On Unix the connection is a socket in a directory that only the agent's account may enter; on Windows it is a port of the loopback interface, and whoever calls must know a token that lies in a file there. Agent and
// Domino must therefore run as the same account, or, on Windows, as accounts that may both read that file.
//
// # What is not
//
// Whether Domino really calls for each file is not known here. Whether it puts parameters behind a command that has words of its own is not documented; use a formula, or give the directory by file or environment,
// see Program.
package hook
