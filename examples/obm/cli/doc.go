// Package cli is the backup manager obm as a value: a vendor's own program links it with the applications it protects.
//
//	p := &cli.Program{Name: "obm", Applications: config.Registry{"mysql": mysqlApplication{}}, Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
//	os.Exit(p.Run(ctx, os.Args[1:]))
//
// Everything obm does stands on the public packages backup, sink, agent and agent/config.
//
// # What is guaranteed
//
// With --json nothing but the result is written to Stdout, in a shape that README.md documents and the types of this package are. Progress,
// logs, questions and errors go to Stderr. Every error ends with a hint. The exit code is 0 done, 1 failed, 2 usage or configuration, 3 partial,
// 4 refused, 5 busy. Restoring asks before it touches anything. There is no state outside the Program: several may live in one process.
//
// # What is not
//
// The package catches no signals: the caller ends ctx, and calls Reload on SIGHUP. On Windows the command run talks to the service manager
// itself when that started the process.
package cli
