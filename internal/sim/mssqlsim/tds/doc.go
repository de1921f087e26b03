// Package tds is the server side of the Tabular Data Stream protocol, as far as a backup agent's driver needs it. It knows no SQL: a [Handler] answers.
//
// The life of a connection: PRELOGIN agrees on encryption; a TLS handshake wrapped in PRELOGIN packets follows when there is any; LOGIN7 brings user and
// password; then one request after another is answered, each with tokens that end in DONE. A second goroutine reads all the while,
// so that a cancel (an attention packet) ends the context of the request it means.
//
// What is enforced:
//   - Packets: lengths, one type for a message, the sizes both sides agreed on (512 to 32767, at most 16383 with encryption, 4096 until login).
//   - Encryption: none, the login only, everything, or TLS first (TDS 8.0); the table of [MS-TDS] 2.2.6.5 decides, and ends the connection where it says so.
//   - Login: TDS 7.4 or 8.0, user and password (18456, the same for either being wrong), no Windows authentication (18452), a Keeper's refusal followed by 18456.
//   - Requests: SQLBatch; RPC of sp_executesql, by number or name, with every declared parameter present (8178) and none more (8144); RPC of another procedure
//     by name; begin, commit (3902) and rollback (3903) of a transaction; the transaction a request names is the one of the session (3989).
//   - Parameters: tinyint to bigint, bit, real, float, numeric, datetime, datetime2(7), datetimeoffset(7), uniqueidentifier, nvarchar, varchar, varbinary, the last three
//     also in chunks, NULL of each and NULL without type. Another type is 8009.
//   - Results: the types that have a constructor here. Values that do not fit are an error of the Handler, not cut.
//   - Errors keep their order before the DONE that carries the error bit. Class 20 and above set the server error bit and end the session.
//   - Attention: the answer stops; errors still pass; the last token is DONE with the attention bit. One that comes after the end gets a DONE of its own.
//   - Reset connection: database and transaction are those after login, the client is told so first.
//
// What is not: MARS, Windows and federated authentication, feature extensions, bulk load, table parameters, output parameters, named or nested transactions,
// isolation levels, the return to the old database after USE inside sp_executesql,
// code pages (varchar is ASCII), fixed-length and NOT NULL columns, xml, sql_variant, text and image, redirection. A request that needs one of these
// ends the connection, and Config.Log hears why.
//
// Sources: [MS-TDS] (Tabular Data Stream Protocol), sections 2.2.1 to 2.2.7; the client behind the numbers is github.com/microsoft/go-mssqldb v1.11.2, with which
// the tests speak. The texts of 8009, 8144, 8178, 3902, 3903, 3989, 18452 and 18456 are as widely known; they were not compared with the list of Database Engine errors.
package tds
