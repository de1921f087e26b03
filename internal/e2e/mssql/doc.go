// Package mssql runs the scenarios of the SQL Server agent, and the conformance suite, against two kinds of server by the same code: the simulator, always, and genuine
// SQL Server 2022 and 2019 in containers.
//
// The containers need an engine (Docker), the images mcr.microsoft.com/mssql/server:2022-latest and 2019-latest, which are pulled when they are not there (1.5 GB each), and
// about 2 GB of memory. Starting them accepts their licence for the Developer edition; QUIESCE_MSSQL_ACCEPT_EULA=N leaves them out.
//
//	go test -v ./internal/e2e/mssql
//
// What is missing is skipped with its reason. QUIESCE_MSSQL_DSN names a server of your own instead, which must be one that may be ruined, with
// QUIESCE_MSSQL_STAGE and QUIESCE_MSSQL_SERVER_STAGE for the folder as the test and as the server see it.
package mssql
