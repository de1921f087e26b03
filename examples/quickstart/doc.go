// Command quickstart tells the whole story of a backup on a machine with nothing but Go:
//
//	go run ./examples/quickstart
//
// It starts a private, throw-away server (mariadbd or mysqld where one is installed, else a small MySQL-compatible one inside
// this process), fills it with a shop, a staff office and a blog, and then checks, backs up, proves, loses, plans,
// restores and compares every table and object. Nothing outside a temporary directory is touched.
//
// With -dsn the same happens on a server of yours, in schemas that the program makes and removes itself; with -sink at another target; with
// -orders on more data. The exit status is 0 when everything came back identical, 1 when something failed, 2 when the command line was wrong.
package main
