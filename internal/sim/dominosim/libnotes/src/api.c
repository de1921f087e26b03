/* The functions of the C API. Handles and contexts belong to a thread; whoever breaks that, or calls without NotesInitThread, ends the process with a message, where Domino would be
   corrupted. Text is LMBCS outside and UTF-8 inside. */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#pragma GCC visibility push(default) /* the functions of the C API */

enum { MAX_OPEN = 4096, FIRST_HANDLE = 0x80000001u };
enum { FREE, DATABASE, DIRECTORY, BACKUP, APPLY };

typedef struct {
	int kind;
	uint64_t thread;
	char path[PATH_ROOM];
	/* of a backup: the handle it belongs to, its serial, and how far its change information was handed out; of change information that is applied: what is announced and what came */
	DHANDLE db;
	uint64_t serial, at, size, got, copy_serial;
	unsigned char dbiid[16];
	int named, failed;
	bytes pending;
} object;

static object *objects[MAX_OPEN];
static unsigned used;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* of the objects and all below */
static uint64_t threads;
static int alive;        /* between NotesInitExtended and NotesTerm */
static int archiver = -1; /* the lock of the process that archives */
static uint32_t *offered;
static int offered_count = -1; /* -1: NSFGetFirstLogToArchive was not called */
static uint32_t last_offered;
static __thread uint64_t self; /* 0: Notes does not know this thread */

static void misuse(const char *function, const char *what) {
	fprintf(stderr, "libnotes stand-in: %s: %s\n", function, what);
	abort();
}

/* ---- faults: QSIM_FAULT or the key of the same name in notes.ini, "Function@n=action ...". Function+ means after the call; action is abort, exit, hang or a status in hex. */

static struct { char name[64]; int count; } counted[128];

static int occurrence(const char *name) {
	for (int i = 0; i < 128; i++) {
		if (!counted[i].name[0]) snprintf(counted[i].name, sizeof counted[i].name, "%s", name);
		if (strcmp(counted[i].name, name) == 0) return ++counted[i].count;
	}
	return 0;
}

static STATUS act(const char *name, const char *action) {
	struct timespec pause = {3600, 0};
	fprintf(stderr, "libnotes stand-in: fault: %s: %s\n", name, action);
	if (strcmp(action, "abort") == 0) abort();
	if (strcmp(action, "exit") == 0) _exit(3);
	while (strcmp(action, "hang") == 0) nanosleep(&pause, NULL);
	char *end;
	unsigned long status = strtoul(action, &end, 16);
	if (*end || !status || status > 0xFFFF) misuse("QSIM_FAULT", action);
	return (STATUS)status;
}

STATUS ask_fault(const char *function, int after) {
	char faults[PATH_ROOM], name[64], action[64], *save = NULL;
	const char *env = getenv("QSIM_FAULT");
	if (env) snprintf(faults, sizeof faults, "%s", env);
	else if (!ini_get("QSIM_FAULT", faults, sizeof faults)) return 0;
	snprintf(name, sizeof name, "%s%s", function, after ? "+" : "");
	pthread_mutex_lock(&mutex);
	int n = occurrence(name);
	pthread_mutex_unlock(&mutex);
	for (char *f = strtok_r(faults, " ", &save); f; f = strtok_r(NULL, " ", &save)) {
		char *at = strchr(f, '@'), *is = strchr(f, '=');
		if (!at || !is || at > is || snprintf(action, sizeof action, "%s", is + 1) >= (int)sizeof action) misuse("QSIM_FAULT", f);
		*at = 0;
		if (strcmp(f, name) == 0 && atoi(at + 1) == n) return act(name, action);
	}
	return 0;
}

/* ---- entering and leaving a function */

static int enter(const char *function) {
	if (!alive) misuse(function, "called before NotesInitExtended or after NotesTerm");
	if (!self) misuse(function, "called by a thread without NotesInitThread");
	return server_lock();
}

/* BODY is a function's frame: the fault before, the lock, the work that sets s, the fault after. */
#define BODY(work) \
	STATUS s = ask_fault(__func__, 0); \
	if (s) { if (!self) misuse(__func__, "called by a thread without NotesInitThread"); return s; } \
	int lock_fd = enter(__func__); \
	pthread_mutex_lock(&mutex); \
	do work while (0); \
	pthread_mutex_unlock(&mutex); \
	server_unlock(lock_fd); \
	return s ? s : ask_fault(__func__, 1)

static object *create(int kind, const char *path, DHANDLE *handle) {
	if (used == MAX_OPEN) misuse("handles", "too many were made");
	object *o = calloc(1, sizeof *o);
	o->kind = kind;
	o->thread = self;
	snprintf(o->path, sizeof o->path, "%s", path);
	*handle = FIRST_HANDLE + used;
	objects[used++] = o;
	return o;
}

static object *find(const char *function, DHANDLE handle, int kind) {
	unsigned i = handle - FIRST_HANDLE;
	object *o = handle >= FIRST_HANDLE && i < used ? objects[i] : NULL;
	if (!o || o->kind == FREE || (o->kind != kind && !(kind == DATABASE && o->kind == DIRECTORY))) return NULL;
	if (o->thread != self) misuse(function, "a handle of another thread");
	return o;
}

static object *opened(const char *function, DHANDLE handle) {
	object *o = find(function, handle, DATABASE);
	if (!o) misuse(function, "a handle that is not open");
	return o;
}

int handles_open(const char *path) {
	int n = 0;
	for (unsigned i = 0; i < used; i++) n += (objects[i]->kind == DATABASE || objects[i]->kind == DIRECTORY) && strcmp(objects[i]->path, path) == 0;
	return n;
}

/* ---- text. LMBCS optimised for group 1: ASCII is itself, bytes from 0x80 are code page 850, everything else is 0x14 and UTF-16, big-endian (0xF6 before the high byte when the low one is 0). */

static const uint16_t cp850[128] = {
	0xC7, 0xFC, 0xE9, 0xE2, 0xE4, 0xE0, 0xE5, 0xE7, 0xEA, 0xEB, 0xE8, 0xEF, 0xEE, 0xEC, 0xC4, 0xC5, 0xC9, 0xE6, 0xC6, 0xF4, 0xF6, 0xF2, 0xFB, 0xF9, 0xFF, 0xD6, 0xDC, 0xF8, 0xA3, 0xD8,
	0xD7, 0x192, 0xE1, 0xED, 0xF3, 0xFA, 0xF1, 0xD1, 0xAA, 0xBA, 0xBF, 0xAE, 0xAC, 0xBD, 0xBC, 0xA1, 0xAB, 0xBB, 0x2591, 0x2592, 0x2593, 0x2502, 0x2524, 0xC1, 0xC2, 0xC0, 0xA9, 0x2563,
	0x2551, 0x2557, 0x255D, 0xA2, 0xA5, 0x2510, 0x2514, 0x2534, 0x252C, 0x251C, 0x2500, 0x253C, 0xE3, 0xC3, 0x255A, 0x2554, 0x2569, 0x2566, 0x2560, 0x2550, 0x256C, 0xA4, 0xF0, 0xD0, 0xCA,
	0xCB, 0xC8, 0x131, 0xCD, 0xCE, 0xCF, 0x2518, 0x250C, 0x2588, 0x2584, 0xA6, 0xCC, 0x2580, 0xD3, 0xDF, 0xD4, 0xD2, 0xF5, 0xD5, 0xB5, 0xFE, 0xDE, 0xDA, 0xDB, 0xD9, 0xFD, 0xDD, 0xAF, 0xB4,
	0xAD, 0xB1, 0x2017, 0xBE, 0xB6, 0xA7, 0xF7, 0xB8, 0xB0, 0xA8, 0xB7, 0xB9, 0xB3, 0xB2, 0x25A0, 0xA0,
};

static size_t from_utf8(const unsigned char *in, size_t n, size_t *at) {
	size_t c = in[*at], more = c < 0x80 ? 0 : c < 0xE0 ? 1 : c < 0xF0 ? 2 : 3;
	if (*at + more >= n) more = n - *at - 1;
	c = more == 0 ? c : c & (0x3Fu >> more);
	for (size_t i = 1; i <= more; i++) c = c << 6 | (in[*at + i] & 0x3F);
	*at += more + 1;
	return c;
}

static size_t to_utf8(size_t c, unsigned char *out) {
	if (c < 0x80) { out[0] = (unsigned char)c; return 1; }
	if (c < 0x800) { out[0] = (unsigned char)(0xC0 | c >> 6); out[1] = (unsigned char)(0x80 | (c & 0x3F)); return 2; }
	if (c < 0x10000) { out[0] = (unsigned char)(0xE0 | c >> 12); out[1] = (unsigned char)(0x80 | (c >> 6 & 0x3F)); out[2] = (unsigned char)(0x80 | (c & 0x3F)); return 3; }
	out[0] = (unsigned char)(0xF0 | c >> 18);
	for (int i = 1; i < 4; i++) out[i] = (unsigned char)(0x80 | (c >> (18 - 6 * i) & 0x3F));
	return 4;
}

static size_t unit_to_lmbcs(size_t c, unsigned char *out) {
	if (c < 0x80) { out[0] = (unsigned char)c; return 1; }
	for (int i = 0; i < 128; i++) if (cp850[i] == c) { out[0] = (unsigned char)(0x80 + i); return 1; }
	out[0] = 0x14;
	out[1] = (c & 0xFF) ? (unsigned char)(c >> 8) : 0xF6;
	out[2] = (c & 0xFF) ? (unsigned char)c : (unsigned char)(c >> 8);
	return 3;
}

static size_t to_lmbcs(size_t c, unsigned char *out) {
	if (c < 0x10000) return unit_to_lmbcs(c, out);
	c -= 0x10000;
	size_t n = unit_to_lmbcs(0xD800 | c >> 10, out);
	return n + unit_to_lmbcs(0xDC00 | (c & 0x3FF), out + n);
}

static size_t lmbcs_unit(const unsigned char *in, size_t n, size_t *at) {
	size_t c = in[(*at)++];
	if (c >= 0x80) return cp850[c - 0x80];
	if (c != 0x14 || *at + 2 > n) return c;
	size_t high = in[(*at)++], low = in[(*at)++];
	return high == 0xF6 ? low << 8 : high << 8 | low;
}

static size_t from_lmbcs(const unsigned char *in, size_t n, size_t *at) {
	size_t c = lmbcs_unit(in, n, at);
	if (c < 0xD800 || c >= 0xDC00 || *at >= n) return c;
	return 0x10000 + ((c & 0x3FF) << 10) + (lmbcs_unit(in, n, at) & 0x3FF);
}

enum { NATIVE_TO_LMBCS = 0, LMBCS_TO_NATIVE = 1, LMBCS_TO_UNICODE = 20, LMBCS_TO_UTF8 = 22, UNICODE_TO_LMBCS = 23, UTF8_TO_LMBCS = 24 };

static size_t from_utf16(const unsigned char *in, size_t n, size_t *at) {
	size_t c = get16(in + *at);
	*at += 2;
	if (c < 0xD800 || c >= 0xDC00 || *at + 2 > n) return c;
	size_t low = get16(in + *at);
	*at += 2;
	return 0x10000 + ((c & 0x3FF) << 10) + (low & 0x3FF);
}

static size_t to_utf16(size_t c, unsigned char *out) {
	if (c < 0x10000) { put16(out, (uint16_t)c); return 2; }
	c -= 0x10000;
	put16(out, (uint16_t)(0xD800 | c >> 10));
	put16(out + 2, (uint16_t)(0xDC00 | (c & 0x3FF)));
	return 4;
}

static size_t translate(WORD mode, const unsigned char *in, size_t n, unsigned char *out, size_t room) {
	unsigned char one[8];
	size_t used_bytes = 0;
	for (size_t at = 0; at < n;) {
		int lmbcs = mode == LMBCS_TO_NATIVE || mode == LMBCS_TO_UTF8 || mode == LMBCS_TO_UNICODE;
		if (mode == UNICODE_TO_LMBCS && at + 2 > n) break;
		size_t c = lmbcs ? from_lmbcs(in, n, &at) : mode == UNICODE_TO_LMBCS ? from_utf16(in, n, &at) : from_utf8(in, n, &at);
		size_t k = !lmbcs ? to_lmbcs(c, one) : mode == LMBCS_TO_UNICODE ? to_utf16(c, one) : to_utf8(c, one);
		if (used_bytes + k > room) break;
		memcpy(out + used_bytes, one, k);
		used_bytes += k;
	}
	return used_bytes;
}

WORD OSTranslate(WORD mode, const char *in, WORD inLen, char *out, WORD outLen) {
	if (!self) misuse(__func__, "called by a thread without NotesInitThread");
	if (mode != NATIVE_TO_LMBCS && mode != LMBCS_TO_NATIVE && mode != LMBCS_TO_UNICODE && mode != LMBCS_TO_UTF8 && mode != UNICODE_TO_LMBCS && mode != UTF8_TO_LMBCS)
		misuse(__func__, "a mode that is not simulated");
	return (WORD)translate(mode, (const unsigned char *)in, inLen, (unsigned char *)out, outLen);
}

/* inside turns a path of the caller's into UTF-8, outside the reverse, cut to the room a caller has. */
static const char *inside(const char *path, char *out) {
	out[translate(LMBCS_TO_UTF8, (const unsigned char *)path, strlen(path), (unsigned char *)out, PATH_ROOM - 1)] = 0;
	return out;
}

enum { MAXPATH = 256 };

static void outside(const char *path, char *out, size_t room) {
	out[translate(UTF8_TO_LMBCS, (const unsigned char *)path, strlen(path), (unsigned char *)out, room - 1)] = 0;
}

static const struct { STATUS code; const char *text; } texts[] = {
	{NOEXIST, "File does not exist"}, {NOT_NSF, "File is not a database"}, {VALUE_FLAGS, "A parameter is invalid"}, {NSF_VERSION, "Unknown version of database"},
	{NOT_LOCAL, "Database is not local"}, {MISSING_SEGS, "Log extent is missing or damaged"}, {NSF_CORRUPT, "Database is damaged"}, {OBJECT_TRUNCATED, "Database was truncated"},
	{ALREADY_LOCKED, "Database is being replicated or copied"}, {CANNOT_RECOVER, "Recovery is impossible"}, {COMPACT_MODE, "Database is being compacted"},
	{TRANSLOG_NOT_ARCHIVED, "Log style is not archive"}, {BACKUP_ALREADY, "Database is in backup already"}, {NOT_DOING_BACKUP, "Database is not in backup"},
	{INVALID_CONTEXT, "Context of change information is invalid"}, {CORRUPT_CHANGE_INFO, "Change information is damaged"}, {ARCHIVE_IN_PROGRESS, "Another program archives the log"},
	{BACKUP_DURING_COMPACT, "No backup during compact"}, {FIXUP_DB, "Database needs fixup"}, {ONLY_V5, "Only logged databases of release 5 and later"}, {NO_SUCH_TRANSLOG, "No such log extent"},
	{NO_ARCHIVED_EXTENT, "Log extent is not archived"}, {NO_TRANSLOGS, "No log extents to archive"}, {MQ_LOG_ERROR, "Log extents could not be retrieved"},
	{SCAN_IN_PROGRESS, "Another recovery runs"}, {LOG_SPACE_CRITICAL, "Log space is critical"}, {DBINUSE, "Database is in use"}, {LATE_BACKUP, "Backup is later than the wanted time"},
	{OPEN_BACKUP, "Backup must be recovered before it is used"}, {DBIID_IN_USE, "DBIID is in use"}, {DOWN_LEVEL, "Database is not the latest copy"}, {DBOFFLINE, "Database is offline"},
	{RECOVER_NONBACKUP, "File is not a backup"}, {NOT_TRANSLOGGED, "Server has no transaction log"}, {BACKUP_ABORTED, "Backup was aborted"},
};

WORD OSLoadString(void *module, STATUS code, char *buf, WORD size) {
	if (!self) misuse(__func__, "called by a thread without NotesInitThread");
	if (size == 0) return 0;
	*buf = 0;
	for (size_t i = 0; !module && i < sizeof texts / sizeof *texts; i++)
		if (texts[i].code == code) snprintf(buf, size, "%s", texts[i].text);
	return (WORD)strlen(buf);
}

/* ---- process and threads */

static void begin_thread(void) {
	pthread_mutex_lock(&mutex);
	self = ++threads;
	pthread_mutex_unlock(&mutex);
}

STATUS NotesInitExtended(int argc, char **argv) {
	if (alive || threads) misuse(__func__, "called twice, or after NotesTerm");
	if (argc < 1 || !argv[0] || argv[0][0] == '=' || argv[argc]) return VALUE_FLAGS;
	for (int i = 1; i < argc; i++) if (argv[i][0] == '=') snprintf(ini_path, sizeof ini_path, "%s", argv[i] + 1);
	if (!*ini_path) {
		char dir[PATH_ROOM];
		if (getcwd(dir, sizeof dir) == NULL || join(ini_path, dir, "notes.ini") != 0) return NO_INI;
	}
	if (!is_file(ini_path)) return NO_INI;
	STATUS s = ask_fault(__func__, 0);
	if (s) return s;
	alive = 1;
	begin_thread();
	return ask_fault(__func__, 1);
}

void NotesTerm(void) {
	if (!alive) misuse(__func__, "called before NotesInitExtended");
	ask_fault(__func__, 0);
	alive = 0;
	self = 0;
}

STATUS NotesInitThread(void) {
	if (!alive) misuse(__func__, "called before NotesInitExtended");
	if (self) misuse(__func__, "called twice by a thread");
	STATUS s = ask_fault(__func__, 0);
	if (!s) begin_thread();
	return s;
}

void NotesTermThread(void) {
	if (!self) misuse(__func__, "called by a thread without NotesInitThread");
	self = 0;
}

WORD OSGetDataDirectory(char *path) {
	char dir[PATH_ROOM];
	server_unlock(enter(__func__));
	setting("Directory", dir);
	outside(dir, path, MAXPATH);
	return (WORD)strlen(path);
}

BOOL OSGetEnvironmentString(const char *name, char *buf, WORD size) {
	char value[PATH_ROOM];
	int fd = enter(__func__);
	int found = ini_get(name, value, sizeof value);
	server_unlock(fd);
	if (found) outside(value, buf, (size_t)size + 1);
	else *buf = 0;
	return found;
}

/* ---- databases */

STATUS NSFDbOpen(const char *name, DBHANDLE *h) {
	char path[PATH_ROOM], utf8[PATH_ROOM];
	int linked;
	*h = 0;
	BODY({
		if ((s = resolve(inside(name, utf8), path, &linked)) != 0) break;
		if (is_dir(path)) { create(DIRECTORY, path, h); break; }
		if (!is_file(path)) { s = NOEXIST; break; }
		if ((s = admit(path, linked)) == 0) create(DATABASE, path, h);
	});
}

STATUS NSFDbClose(DBHANDLE h) { BODY({ opened(__func__, h)->kind = FREE; }); }

/* NSFDbReopen is the one function that takes a handle of another thread. */
STATUS NSFDbReopen(DBHANDLE h, DBHANDLE *out) {
	BODY({
		unsigned i = h - FIRST_HANDLE;
		if (h < FIRST_HANDLE || i >= used || (objects[i]->kind != DATABASE && objects[i]->kind != DIRECTORY)) misuse(__func__, "a handle that is not open");
		create(objects[i]->kind, objects[i]->path, out);
	});
}

STATUS NSFDbModeGet(DBHANDLE h, USHORT *mode) { BODY({ *mode = opened(__func__, h)->kind == DIRECTORY ? 2 : 1; }); }

STATUS NSFDbPathGet(DBHANDLE h, char *canonical, char *expanded) {
	BODY({
		object *o = opened(__func__, h);
		if (canonical) outside(o->path, canonical, MAXPATH);
		if (expanded) outside(o->path, expanded, MAXPATH);
	});
}

static object *database(const char *function, DHANDLE h, STATUS *s) {
	object *o = opened(function, h);
	*s = o->kind == DIRECTORY ? NOT_NSF : 0;
	return o;
}

STATUS NSFDbGetLogInfo(DBHANDLE h, DWORD flags, BOOL *logged, UNID *logID, UNID *dbiid, DWORD *extent) {
	bytes b;
	control c;
	BODY({
		object *o = database(__func__, h, &s);
		if (s || (s = flags ? VALUE_FLAGS : 0) || (s = read_header(o->path, &b)) != 0) break;
		*logged = (get32(b.data + AT_FLAGS) & LOGGED) != 0;
		memcpy(dbiid, b.data + AT_DBIID, 16);
		memset(logID, 0, 16);
		*extent = 0;
		if (*logged && (s = load_control(&c)) == 0) {
			memcpy(logID, b.data + AT_LOG_ID, 16);
			*extent = get16(b.data + AT_BACKUP_FLAGS) & 1 ? (DWORD)(get64(b.data + AT_BACKUP_POS) >> 32) : c.number;
		}
		free(b.data);
	});
}

/* ---- backup */

STATUS NSFBackupStart(DBHANDLE h, DWORD flags, DHANDLE *ctx, DWORD *low, DWORD *high) {
	BODY({
		uint64_t serial;
		uint64_t size;
		object *o = database(__func__, h, &s);
		if (s || (s = flags ? VALUE_FLAGS : 0) || (s = start_backup(o->path, &serial, &size)) != 0) break;
		object *b = create(BACKUP, o->path, ctx);
		b->db = h;
		b->serial = serial;
		*low = (DWORD)size;
		*high = (DWORD)(size >> 32);
	});
}

/* underway finds the backup of a context, and the state of its database. */
static STATUS underway(const char *function, DHANDLE h, DHANDLE ctx, object **b, state *st) {
	STATUS s;
	object *o = database(function, h, &s);
	if (s) return s;
	*b = find(function, ctx, BACKUP);
	if (!*b) return NOT_DOING_BACKUP;
	if ((*b)->db != h) misuse(function, "a context of another handle");
	load_state(o->path, st);
	return st->flags & IN_BACKUP && st->serial == (*b)->serial ? 0 : BACKUP_ABORTED;
}

STATUS NSFBackupSetHighWaterMark(DBHANDLE h, DHANDLE ctx, DWORD low, DWORD high) {
	BODY({
		object *b;
		state st;
		uint64_t mark = (uint64_t)high << 32 | low;
		if ((s = underway(__func__, h, ctx, &b, &st)) != 0) break;
		if (st.flags & STOPPED) { s = NOT_DOING_BACKUP; break; }
		if (mark > st.size || mark < st.read) { s = VALUE_FLAGS; break; }
		st.read = mark;
		save_state(&st);
	});
}

STATUS NSFBackupStop(DBHANDLE h, DHANDLE ctx) {
	BODY({
		object *b;
		state st;
		if ((s = underway(__func__, h, ctx, &b, &st)) != 0) break;
		if (st.flags & STOPPED) { s = NOT_DOING_BACKUP; break; }
		st.flags |= STOPPED;
		save_state(&st);
	});
}

/* change_info is all change information of a backup that was stopped. */
static STATUS change_info(const char *function, DHANDLE h, DHANDLE ctx, object **b, bytes *info) {
	state st;
	char file[PATH_ROOM];
	bytes records;
	STATUS s = underway(function, h, ctx, b, &st);
	if (s) return s;
	if (!(st.flags & STOPPED)) return INVALID_CONTEXT;
	changes_file((*b)->path, file);
	if (read_file(file, 0, &records) != 0) broken("cannot read", file);
	info->size = records.size ? CHANGE_PREFIX + records.size : 0;
	info->data = calloc(1, CHANGE_PREFIX + records.size);
	memcpy(info->data, "QCHG", 4);
	memcpy(info->data + 8, st.dbiid, 16);
	put64(info->data + 24, st.serial);
	put64(info->data + 32, records.size);
	memcpy(info->data + CHANGE_PREFIX, records.data, records.size);
	free(records.data);
	return 0;
}

STATUS NSFBackupGetChangeInfoSize(DBHANDLE h, DHANDLE ctx, DWORD flags, DWORD *low, DWORD *high) {
	BODY({
		object *b;
		bytes info;
		if ((s = flags ? VALUE_FLAGS : 0) || (s = change_info(__func__, h, ctx, &b, &info)) != 0) break;
		*low = (DWORD)info.size;
		*high = (DWORD)((uint64_t)info.size >> 32);
		free(info.data);
	});
}

STATUS NSFBackupGetNextChangeInfo(DBHANDLE h, DHANDLE ctx, DWORD flags, char *buf, DWORD size, DWORD *filled) {
	BODY({
		object *b;
		bytes info;
		if ((s = flags ? VALUE_FLAGS : 0) || (s = change_info(__func__, h, ctx, &b, &info)) != 0) break;
		uint64_t left = info.size - b->at;
		*filled = left < size ? (DWORD)left : size;
		memcpy(buf, info.data + b->at, *filled);
		b->at += *filled;
		free(info.data);
	});
}

STATUS NSFBackupEnd(DBHANDLE h, DHANDLE ctx, DWORD options) {
	BODY({
		object *b;
		state st;
		if ((s = options > 1 ? VALUE_FLAGS : 0) || (s = underway(__func__, h, ctx, &b, &st)) != 0) break;
		if (!options && !(st.flags & STOPPED)) { s = VALUE_FLAGS; break; }
		b->kind = FREE;
		s = end_backup(b->path, !options);
	});
}

STATUS NSFBackupStartApplyChangeInfo(DHANDLE *ctx, char *copy, DWORD flags, DWORD low, DWORD high) {
	char path[PATH_ROOM], utf8[PATH_ROOM], dir[PATH_ROOM], *real;
	bytes h;
	state st;
	BODY({
		inside(copy, utf8);
		setting("Directory", dir);
		if (*utf8 == '/') strcpy(path, utf8);
		else if (join(path, dir, utf8) != 0) { s = VALUE_FLAGS; break; }
		if ((real = realpath(path, NULL)) != NULL) { snprintf(path, sizeof path, "%s", real); free(real); }
		load_state(path, &st);
		if (st.flags & IN_BACKUP || handles_open(path)) { s = DBINUSE; break; }
		if (flags) { s = VALUE_FLAGS; break; }
		if (read_file(path, LARGEST_HEADER, &h) != 0) { s = NOEXIST; break; }
		if (h.size < 1024 || h.data[0] != 0x1A || memcmp(h.data + AT_SIM, "QSIM", 4) != 0) s = NOT_NSF;
		else if (!(get16(h.data + AT_BACKUP_FLAGS) & 1)) s = RECOVER_NONBACKUP;
		else {
			object *a = create(APPLY, path, ctx);
			a->size = (uint64_t)high << 32 | low;
			a->copy_serial = get64(h.data + AT_SERIAL);
			memcpy(a->dbiid, h.data + AT_DBIID, 16);
		}
		free(h.data);
	});
}

/* consume applies what is complete of the pending bytes and returns how many those were. */
static STATUS consume(object *a, size_t *eaten) {
	const unsigned char *p = a->pending.data;
	size_t n = a->pending.size, at = 0;
	*eaten = 0;
	if (!a->named) {
		if (n < CHANGE_PREFIX) return 0;
		if (memcmp(p, "QCHG", 4) != 0 || memcmp(p + 8, a->dbiid, 16) != 0 || get64(p + 24) != a->copy_serial || get64(p + 32) + CHANGE_PREFIX != a->size) return CORRUPT_CHANGE_INFO;
		a->named = 1;
		at = CHANGE_PREFIX;
	}
	while (n - at >= CHANGE_HEADER) {
		uint64_t offset = get64(p + at);
		size_t size = get32(p + at + 8);
		if (size > PAGE + 2 * SUPERBLOCK) return CORRUPT_CHANGE_INFO;
		if (n - at - CHANGE_HEADER < size) break;
		if (crc32of(p + at + CHANGE_HEADER, size) != get32(p + at + 12)) return CORRUPT_CHANGE_INFO;
		if (write_at(a->path, p + at + CHANGE_HEADER, size, offset) != 0) return NOEXIST;
		at += CHANGE_HEADER + size;
	}
	*eaten = at;
	return 0;
}

STATUS NSFBackupApplyNextChangeInfo(DHANDLE ctx, DWORD flags, char *buf, DWORD size) {
	BODY({
		object *a = find(__func__, ctx, APPLY);
		size_t eaten = 0;
		if (!a) { s = INVALID_CONTEXT; break; }
		if (flags) { s = VALUE_FLAGS; break; }
		a->got += size;
		if (a->failed || a->got > a->size) { a->failed = 1; s = CORRUPT_CHANGE_INFO; break; }
		a->pending.data = realloc(a->pending.data, a->pending.size + size + 1);
		memcpy(a->pending.data + a->pending.size, buf, size);
		a->pending.size += size;
		s = consume(a, &eaten);
		a->failed = s != 0;
		a->pending.size -= eaten;
		memmove(a->pending.data, a->pending.data + eaten, a->pending.size);
	});
}

STATUS NSFBackupEndApplyChangeInfo(DHANDLE ctx, DWORD flags) {
	BODY({
		object *a = find(__func__, ctx, APPLY);
		if (!a) { s = INVALID_CONTEXT; break; }
		if (flags > 1) { s = VALUE_FLAGS; break; }
		a->kind = FREE;
		if (!flags && (a->failed || a->got != a->size || a->pending.size)) s = CORRUPT_CHANGE_INFO;
	});
}

/* ---- log archiving */

STATUS NSFGetTransLogStyle(WORD *style) {
	control c;
	BODY({ if ((s = load_control(&c)) == 0) *style = (WORD)c.style; });
}

STATUS NSFBeginArchivingLogs(void) {
	control c;
	BODY({
		if ((s = load_control(&c)) != 0) break;
		if (c.style != 1) { s = TRANSLOG_NOT_ARCHIVED; break; }
		if (archiver >= 0 || (archiver = take_lock("archiver")) < 0) s = ARCHIVE_IN_PROGRESS;
	});
}

STATUS NSFEndArchivingLogs(void) {
	BODY({
		if (archiver < 0) { s = NO_SUCH_TRANSLOG; break; }
		close(archiver);
		archiver = -1;
		free(offered);
		offered = NULL;
		offered_count = -1;
	});
}

/* next_log names the next extent on offer, or with NO_TRANSLOGS the current one. */
static STATUS next_log(int first, UNID *logID, DWORD *number, char *path) {
	control c;
	uint32_t *numbers;
	char dir[PATH_ROOM], name[PATH_ROOM];
	STATUS s = archiver < 0 || (!first && offered_count < 0) ? NO_SUCH_TRANSLOG : load_control(&c);
	if (s) return s;
	if (first) { offered_count = 0; last_offered = 0; }
	setting("TRANSLOG_Path", dir);
	s = MISSING_SEGS; /* the current extent is gone */
	int n = extents(c.id, &numbers);
	for (int i = 0; i < n; i++) {
		if (numbers[i] != c.number && numbers[i] <= last_offered) continue;
		extent_path(dir, numbers[i], name);
		memcpy(logID, c.id, 16);
		*number = numbers[i];
		outside(name, path, MAXPATH + 1);
		if (numbers[i] == c.number) { s = NO_TRANSLOGS; break; }
		s = 0;
		last_offered = numbers[i];
		offered = realloc(offered, (size_t)(offered_count + 1) * sizeof *offered);
		offered[offered_count++] = numbers[i];
		break;
	}
	free(numbers);
	return s;
}

STATUS NSFGetFirstLogToArchive(UNID *logID, DWORD *number, char *path) { BODY({ s = next_log(1, logID, number, path); }); }
STATUS NSFGetNextLogToArchive(UNID *logID, DWORD *number, char *path) { BODY({ s = next_log(0, logID, number, path); }); }

STATUS NSFDoneArchivingLog(UNID *logID, DWORD *number) {
	control c;
	char dir[PATH_ROOM], path[PATH_ROOM];
	BODY({
		if ((s = load_control(&c)) != 0) break;
		setting("TRANSLOG_Path", dir);
		extent_path(dir, *number, path);
		if (memcmp(logID, c.id, 16) != 0 || *number > c.number || !is_file(path)) { s = NO_SUCH_TRANSLOG; break; }
		s = NO_ARCHIVED_EXTENT;
		for (int i = 0; i < offered_count && *number != c.number; i++) if (offered[i] == *number) s = 0;
		if (!s && unlink(path) != 0) s = NO_SUCH_TRANSLOG;
	});
}

/* ---- offline and recovery */

static STATUS take_offline(const char *name, DWORD options) {
	char path[PATH_ROOM];
	int linked;
	state st;
	STATUS s = resolve(name, path, &linked);
	if (s) return s;
	if (!is_file(path)) return NOEXIST;
	load_state(path, &st);
	if (st.flags & OFFLINE) return DBOFFLINE;
	if (st.flags & (HELD | IN_BACKUP | COMPACTING | IN_PLACE | LOCKED) || handles_open(path)) return DBINUSE;
	st.flags |= OFFLINE;
	save_state(&st);
	if (!(options & 1)) unlink(path);
	return 0;
}

STATUS NSFTakeDatabaseOffline(const char *name, DWORD wait, DWORD options) {
	char utf8[PATH_ROOM];
	struct timespec pause = {0, 10000000};
	inside(name, utf8);
	if (options & ~3u) return VALUE_FLAGS;
	STATUS s = ask_fault(__func__, 0);
	if (s) return s;
	for (;;) {
		int fd = enter(__func__);
		pthread_mutex_lock(&mutex);
		s = take_offline(utf8, options);
		pthread_mutex_unlock(&mutex);
		server_unlock(fd);
		if (s != DBINUSE || wait < 10) return s ? s : ask_fault(__func__, 1);
		nanosleep(&pause, NULL);
		wait -= 10;
	}
}

STATUS NSFBringDatabaseOnline(const char *name, DWORD options) {
	char path[PATH_ROOM], utf8[PATH_ROOM];
	int linked;
	state st;
	BODY({
		if ((s = options ? VALUE_FLAGS : 0) || (s = resolve(inside(name, utf8), path, &linked)) != 0) break;
		if (!is_file(path)) { s = NOEXIST; break; }
		load_state(path, &st);
		if (!(st.flags & OFFLINE)) break;
		st.flags &= ~(uint32_t)OFFLINE;
		st.lsn = 0; /* what lies there now may be older, and is meant to be */
		save_state(&st);
	});
}

STATUS NSFRecoverDatabases(const char *names, LOGRESTORECALLBACKFUNCTION cb, DWORD flags, WORD *index, TIMEDATE *time) {
	WORD unused;
	size_t n = 0, room = 2;
	server_unlock(enter(__func__));
	for (const char *p = names; *p; p += strlen(p) + 1) room += PATH_ROOM;
	char *list = calloc(1, room);
	for (const char *p = names; *p; p += strlen(p) + 1) n += strlen(inside(p, list + n)) + 1;
	STATUS s = recover(list, cb, flags, index ? index : &unused, time);
	free(list);
	return s;
}
