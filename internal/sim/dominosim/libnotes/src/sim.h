/* The parts of the stand-in for libnotes: what is on disk (files.c), what the rules are (rules.c), and the functions of the C API (api.c). The Go package dominosim above this
   directory has the same parts, and describes the files. */
#ifndef SIM_H
#define SIM_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

typedef uint16_t STATUS, WORD, USHORT;
typedef uint32_t DWORD, DHANDLE, DBHANDLE;
typedef int32_t BOOL;
typedef struct { DWORD Innards[2]; } TIMEDATE;
typedef struct { TIMEDATE File, Note; } UNID;
typedef STATUS (*LOGRESTORECALLBACKFUNCTION)(UNID *logID, DWORD number, char *whereToPut);

enum {
	NOEXIST = 0x0103, NOT_NSF = 0x0201, VALUE_FLAGS = 0x0208, NSF_VERSION = 0x0219, NOT_LOCAL = 0x0220, MISSING_SEGS = 0x0237, NSF_CORRUPT = 0x0238, NOACCESS = 0x0246,
	OBJECT_TRUNCATED = 0x024F, ALREADY_LOCKED = 0x0266, CANNOT_RECOVER = 0x0294, COMPACT_MODE = 0x02A6, TRANSLOG_NOT_ARCHIVED = 0x0EA1, BACKUP_ALREADY = 0x0EA4,
	NOT_DOING_BACKUP = 0x0EA5, INVALID_CONTEXT = 0x0EA6, CORRUPT_CHANGE_INFO = 0x0EA7, ARCHIVE_IN_PROGRESS = 0x0EAE, BACKUP_DURING_COMPACT = 0x13AA, FIXUP_DB = 0x13C1,
	ONLY_V5 = 0x13C7, NO_SUCH_TRANSLOG = 0x13DC, NO_ARCHIVED_EXTENT = 0x13DD, NO_TRANSLOGS = 0x13DE, MQ_LOG_ERROR = 0x13E3, SCAN_IN_PROGRESS = 0x13E8, LOG_SPACE_CRITICAL = 0x13E9,
	DBINUSE = 0x13EA, LATE_BACKUP = 0x13EB, OPEN_BACKUP = 0x13F3, DBIID_IN_USE = 0x13F4, DOWN_LEVEL = 0x13F5, DBOFFLINE = 0x13F9, RECOVER_NONBACKUP = 0x13FA, NOT_TRANSLOGGED = 0x13FF,
	BACKUP_ABORTED = 0x3810, NO_INI = 421, REMOTE = 0x4000, DISPLAYED = 0x8000
};

/* Offsets in the header of a database. */
enum {
	AT_HEADER_SIZE = 2, AT_ODS = 6, AT_BUCKET = 34, AT_SIZE = 88, AT_MODIFIED = 136, AT_REPLICA = 180, AT_DBIID = 688, AT_LAST_BACKUP = 704, AT_LOG_NUMBER = 728, AT_LOG_ID = 768,
	AT_BACKUP_FLAGS = 810, AT_SIM = 912, AT_FLAGS = 916, AT_LSN = 920, AT_BACKUP_LSN = 928, AT_BACKUP_TIME = 936, AT_SUM = 944, AT_PAGES = 952, AT_HEADER_CRC = 956, AT_BACKUP_POS = 960,
	AT_SERIAL = 968, LARGEST_HEADER = 2048, SUPERBLOCK = 4096, PAGE = 4096, PAGE_HEADER = 24, MAX_ENTRY = PAGE - PAGE_HEADER, OLDEST_ODS = 41, NEWEST_ODS = 55,
	LOGGED = 1, SWITCHED_OFF = 2, EXTENT_HEADER = 64, RECORD_HEADER = 52, CHANGE_PREFIX = 40, CHANGE_HEADER = 16, PATH_ROOM = 4096
};

enum { IN_BACKUP = 1, STOPPED = 2, OFFLINE = 4, HELD = 8, COMPACTING = 16, IN_PLACE = 32, LOCKED = 64 };

typedef struct { unsigned char *data; size_t size; } bytes;
typedef struct { char path[PATH_ROOM]; uint32_t flags; uint64_t size, read, serial, lsn; unsigned char dbiid[16]; } state;
typedef struct { uint32_t style; unsigned char id[16]; uint32_t number, size, end; } control;
typedef struct { uint64_t lsn; int64_t at; const unsigned char *dbiid, *ops; uint32_t count; size_t length; } record;

#pragma GCC visibility push(hidden) /* what follows is nobody's outside */

/* files.c */
extern char ini_path[PATH_ROOM];
uint16_t get16(const unsigned char *p);
uint32_t get32(const unsigned char *p);
uint64_t get64(const unsigned char *p);
void put16(unsigned char *p, uint16_t v);
void put32(unsigned char *p, uint32_t v);
void put64(unsigned char *p, uint64_t v);
uint32_t crc32of(const unsigned char *p, size_t n);
void broken(const char *what, const char *path); /* the simulator's own files are unusable: abort */
int read_file(const char *path, size_t limit, bytes *out);
int write_file(const char *path, const unsigned char *p, size_t n);
int write_at(const char *path, const unsigned char *p, size_t n, uint64_t at);
int write_quietly(const char *path, const unsigned char *p, size_t n); /* at the beginning; the modification time stays */
int is_file(const char *path);
int is_dir(const char *path);
int join(char *out, const char *dir, const char *name);
int ini_get(const char *name, char *value, size_t room);
void ini_set(const char *name, const char *value);
void setting(const char *name, char *value); /* a key that must be there */
int server_lock(void);
void server_unlock(int fd);
int take_lock(const char *name); /* a descriptor, or -1 when another has it */
void load_state(const char *path, state *st);
void save_state(const state *st);
void changes_file(const char *path, char *out);
int for_states(int (*f)(const state *, void *), void *arg);
STATUS load_control(control *c);
void save_control(const control *c);
uint64_t position(const control *c);
void extent_path(const char *dir, uint32_t number, char *out);
int read_extent(const char *path, bytes *out);
int next_record(const bytes *extent, size_t at, record *r);
int extents(const unsigned char *id, uint32_t **numbers); /* id NULL: of any series; count, or -1 for a damaged one then */
int64_t now_nanos(void);
void timedate_of(int64_t nanos, unsigned char *out);
int64_t nanos_of(const TIMEDATE *t);
void new_id(unsigned char *id);
uint64_t random64(void);

/* rules.c */
STATUS parse_header(const unsigned char *p, size_t n, uint64_t file_size);
void seal(unsigned char *h);
STATUS load_image(const char *path, bytes *m);
STATUS read_header(const char *path, bytes *h);
int consistent(const bytes *m);
STATUS resolve(const char *name, char *path, int *linked);
STATUS admit(const char *path, int linked);
int active_elsewhere(const unsigned char *dbiid, const char *path);
void join_log(const char *path, unsigned char *h, int linked);
STATUS start_backup(const char *path, uint64_t *serial, uint64_t *size);
STATUS end_backup(const char *path, int done);
STATUS recover(const char *names, LOGRESTORECALLBACKFUNCTION cb, DWORD flags, WORD *index, TIMEDATE *time);

/* api.c: what rules.c asks of it */
int handles_open(const char *path);
STATUS ask_fault(const char *function, int after);

#pragma GCC visibility pop

#endif
