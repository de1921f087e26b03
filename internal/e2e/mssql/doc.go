// Package mssql runs the scenarios of the SQL Server agent, and the conformance suite, against two kinds of server by the same code: the simulator, always, and genuine
// SQL Server 2022 and 2019 in containers.
//
// The containers need an engine (Docker), the images mcr.microsoft.com/mssql/server:2022-latest and 2019-latest, about 2 GB of memory each, and the licence of the
// images accepted:
//
//	QUIESCE_MSSQL_ACCEPT_EULA=Y go test ./internal/e2e/mssql
//
// What is missing is skipped with its reason. QUIESCE_MSSQL_DSN names a server of your own instead, which must be one that may be ruined, with
// QUIESCE_MSSQL_STAGE and QUIESCE_MSSQL_SERVER_STAGE for the folder as the test and as the server see it.
package mssql
