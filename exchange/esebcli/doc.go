// Package esebcli is the backup client of the Extensible Storage Engine: the streaming API of esebcli2.dll, by which a running Exchange 2000, 2003 or 2007 hands its databases and logs out and takes them back.
//
// API, Session and Restore are its functions, one for one. The library itself runs on Windows only; a model of it can stand behind the same interfaces anywhere.
//
// # Where the facts are from
//
// Comments name their source: [SDK03] and [SDK07] are the Software Development Kits of Exchange Server 2003 and 2007 at Microsoft Learn, [ESE] the source of the engine that Microsoft has published
// (microsoft/Extensible-Storage-Engine), [BAC] the plugin for Exchange of the project Bacula, which names constants that the documents leave out.
package esebcli
