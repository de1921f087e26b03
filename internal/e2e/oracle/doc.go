// Package oracle runs the scenarios of the Oracle agent, and the conformance suite, against three kinds of server by the same code: the simulator, always; Oracle Database Free in a container; and a server of your own.
//
//	go test -v ./internal/e2e/oracle
//
// What is missing is skipped with its reason.
//
// # The container
//
// It needs an engine (Docker), the image gvenzl/oracle-free:23-slim-faststart, which is pulled when it is not there, 2 GiB of memory and 16 GiB of disk. Its licence is that of Oracle Database Free; QUIESCE_ORACLE_ACCEPT_LICENSE=N leaves the
// container out. The image keeps no redo: the set-up puts the database into ARCHIVELOG and makes a common user with SYSBACKUP. The agent then works on it twice. First from this process, in remote mode through the mapped port; what it backed up is restored
// inside the container by the script that the agent writes, which sqlplus runs there. Then on the machine of the database: the test program starts itself inside the container, where files are read locally too and the agent
// runs sqlplus itself. For that it must be a program without C libraries. All of it takes an hour or two, so that a time-out must leave room, or the container is left out:
//
//	CGO_ENABLED=0 go test -v -timeout 3h -run TestContainer ./internal/e2e/oracle
//
// # A server of your own
//
// It must be one that may be ruined: it is shut down, its files are removed and brought back. A copy of all its files is taken first and put back before each scenario, so that there must be room for five of it. The database must be in
// ARCHIVELOG, and may be multitenant.
//
//	QUIESCE_ORACLE_DSN           how the agent logs in: oracle://user:password@host:1521/service?DBA PRIVILEGE=SYSBACKUP
//	QUIESCE_ORACLE_SHARED        a folder that the test and the server both see, as the test names it, on which both may write; no part of it a symbolic link
//	QUIESCE_ORACLE_SERVER_SHARED the same folder as the server names it, where that differs
//	QUIESCE_ORACLE_SHELL         a command that runs a shell script from its standard input on the server's machine, as the owner of the server, with ORACLE_HOME, ORACLE_SID and sqlplus in PATH, for example
//	                             "ssh oracle@db1 bash -l". Without it the test itself runs there under that account, and then in both modes
//	QUIESCE_ORACLE_CONFORMANCE   1: the conformance suite too, which makes hundreds of backups
//
// Times are read by the second, and zones by the server's clock.
package oracle
