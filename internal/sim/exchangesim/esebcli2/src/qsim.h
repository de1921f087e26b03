/* The stand-in for esebcli2.dll: see doc.go. Types and functions are named as the documents name them. */
#ifndef QSIM_H
#define QSIM_H

#ifndef UNICODE
#define UNICODE
#endif
#include <windows.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#define API __declspec(dllexport) HRESULT __stdcall

/* What the functions answer. */
#define hrRestoreAtFileLevel ((HRESULT)0xC7FF0FA5)
#define hrErrorFromESECall ((HRESULT)0xC7FF1004)
#define hrCBDatabaseInUse ((HRESULT)0xC7FE1F41)
#define hrCBDatabaseNotFound ((HRESULT)0xC7FE1F42)
#define hrBackupInProgress ((HRESULT)0xC80001F9)
#define hrInvalidSequence ((HRESULT)0xC8000209)
#define hrMissingFullBackup ((HRESULT)0xC8000230)
#define hrLogfileHasBadSignature ((HRESULT)0xC8000262)
#define hrLogfileNotContiguous ((HRESULT)0xC8000263)
#define hrPrivilegeNotHeld ((HRESULT)0x80070522)
#define hrServerUnavailable ((HRESULT)0x800706BA)

/* Structures of the documents. */
typedef struct { ULONG ulSize; char *pvData; } ESE_ICON_DESCRIPTION;
typedef struct {
	WCHAR *wszDatabaseDisplayName;
	ULONG cwDatabaseStreams;
	WCHAR *wszDatabaseStreams;
	GUID guidDatabase;
	ULONG ulIconIndexDatabase;
	ULONG fDatabaseFlags;
} DATABASE_BACKUP_INFO;
typedef struct {
	int64_t hInstanceId;
	WCHAR *wszInstanceName;
	ULONG ulIconIndexInstance;
	ULONG cDatabase;
	DATABASE_BACKUP_INFO *rgDatabase;
	ULONG cIconDescription;
	ESE_ICON_DESCRIPTION *rgIconDescription;
} INSTANCE_BACKUP_INFO;
typedef struct {
	WCHAR *wszRestoreLogPath;
	WCHAR *wszSrcInstanceName;
	ULONG cDatabases;
	WCHAR **wszDatabaseDisplayName;
	GUID *rguidDatabase;
	WCHAR *wszRestoreInstanceSystemPath;
	WCHAR *wszRestoreInstanceLogPath;
	WCHAR *wszTargetInstanceName;
	WCHAR **wszDatabaseStreamsS;
	WCHAR **wszDatabaseStreamsD;
	ULONG ulGenLow;
	ULONG ulGenHigh;
	WCHAR *wszLogBaseName;
	intptr_t timeLastRestore; /* time_t: as wide as a pointer in the builds of that time */
	ULONG statusLastRecover;
	HRESULT hrLastRecover;
	intptr_t timeLastRecover;
	WCHAR *wszAnnotation;
} RESTORE_ENVIRONMENT;

/* The server, as the description has it. */
enum { MAX_GROUPS = 8, MAX_DATABASES = 8, PATH_CHARS = 1024, NAME_CHARS = 256 };
typedef struct {
	WCHAR name[NAME_CHARS], edb[PATH_CHARS], stm[PATH_CHARS];
	GUID guid;
	int mounted, overwrite;
} database;
typedef struct {
	int64_t id;
	WCHAR name[NAME_CHARS], logdir[PATH_CHARS], sysdir[PATH_CHARS], base[4];
	database dbs[MAX_DATABASES];
	ULONG ndbs;
} group;
typedef struct {
	WCHAR server[NAME_CHARS];
	group groups[MAX_GROUPS];
	ULONG ngroups;
} store;

/* store.c: the server, sessions' memory, faults. */
int store_read(store *s);
int store_mount(const WCHAR *name);
HRESULT store_answers(const store *s, const WCHAR *server, const WCHAR *annotation);
void *take(size_t n);        /* memory for the caller, counted */
void give(void *p);          /* the same back; NULL is nothing */
WCHAR *take_text(const WCHAR *s);
WCHAR *take_multi(const WCHAR *a, const WCHAR *b, ULONG *chars);
void opened(int n);          /* a session or file more or less */
HRESULT fault(const char *function, int after, HRESULT hr);
HRESULT engine(int jet);     /* hrErrorFromESECall with its detail */
HRESULT windows(DWORD last); /* the same with an error of Windows */

#define FAULT(f) do { HRESULT f_ = fault(f, 0, S_OK); if (f_ != S_OK) return f_; } while (0)
#define DONE(f, hr) return fault(f, 1, (hr))

/* format.c: the files. */
enum { LOG_HEAD = 4096, SECTOR = 512, TRAILER_LOW = 40 + 16, TRAILER_HIGH = 40 + 20 };
uint32_t u32(const unsigned char *b);
void put32(unsigned char *b, uint32_t v);
uint64_t u64(const unsigned char *b);
void put64(unsigned char *b, uint64_t v);
void seal_xor(unsigned char *b, size_t n);
int xor_good(const unsigned char *b, size_t n);
int page_good(const unsigned char *b, size_t n, uint32_t number);
void seal_page(unsigned char *b, size_t n, uint32_t number);
void stamp_now(unsigned char *b);
unsigned char *file_read(const WCHAR *path, size_t *n);
int file_write(const WCHAR *path, const unsigned char *b, size_t n);
int is_database(const unsigned char *b, size_t n, size_t *page);
int is_log(const unsigned char *b, size_t n);
size_t log_end(const unsigned char *b, size_t n);
int record_good(const unsigned char *b);
int log_path(WCHAR *to, const WCHAR *dir, const WCHAR *base, uint32_t generation); /* 0: the current one */
int logs_in(const WCHAR *dir, const WCHAR *base, uint32_t *list, int max);         /* closed generations, ascending */

#endif
