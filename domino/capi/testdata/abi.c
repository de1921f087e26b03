/* A library with the names and signatures of Domino's that checks what it is given and answers what a caller can check. It keeps no databases. It is compiled by the tests.

   Environment: ABI_HANDLE=8 fills handles of databases with eight bytes instead of four. ABI_TERM names a file that NotesTerm writes, ABI_GO one for which hang.nsf waits. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef uint16_t STATUS, WORD;
typedef uint32_t DWORD, DHANDLE;
typedef int32_t BOOL;
typedef struct { DWORD Innards[2]; } TIMEDATE;
typedef struct { TIMEDATE File, Note; } UNID;
typedef STATUS (*PUT)(UNID *, DWORD, char *);

#define REMOTE 0x4000
#define DISPLAYED 0x8000
#define WRONG 0x0208 /* ERR_VALUE_FLAGS: an argument is not what was sent */
#define DATABASE 0xF0000001u
#define WIDE 0x8123456780000002ull
#define CONTEXT 0x80000003u
#define APPLY 0xFFFFFFF4u

static _Thread_local int initialised;
static int wide;
static UNID series = {{{0x11223344u, 0x85667788u}}, {{0, 0xFFFFFFFFu}}};

#define THREAD do { if (!initialised) return REMOTE | DISPLAYED | 0x0246; } while (0)
#define WANT(x) do { if (!(x)) { fprintf(stderr, "%s: %s\n", __func__, #x); return WRONG; } } while (0)

STATUS NotesInitExtended(int argc, char **argv) {
	const char *w = getenv("ABI_HANDLE");
	wide = w && !strcmp(w, "8");
	printf("libnotes speaks on standard output\n");
	fflush(stdout);
	char c;
	if (read(0, &c, 1) != 0) return 0x0101; /* a password could be asked for */
	if (argv[argc] != NULL) return WRONG;
	if (argc > 1 && argv[1][0] == '=' && access(argv[1] + 1, R_OK) != 0) return 421;
	initialised = 1;
	return 0;
}
void NotesTerm(void) {
	const char *path = getenv("ABI_TERM");
	FILE *f = path ? fopen(path, "w") : NULL;
	if (f) { fprintf(f, "%d", initialised); fclose(f); }
}
STATUS NotesInitThread(void) { if (initialised) return WRONG; initialised = 1; return 0; }
void NotesTermThread(void) { initialised = 0; }

WORD OSLoadString(void *module, STATUS code, char *buf, WORD size) {
	if (module) return 0;
	return (WORD)snprintf(buf, size, "text of %u", code);
}
/* Here LMBCS is UTF-8 with every byte above 0x7F moved to the other of two groups, so that a conversion that was left out is seen. */
WORD OSTranslate(WORD mode, const char *in, WORD inLen, char *out, WORD outLen) {
	WORD n = 0;
	if (mode == 24) {
		for (WORD i = 0; i < inLen && n + 1 < outLen; i++) {
			if (in[i] & 0x80) out[n++] = 0x02;
			out[n++] = in[i];
		}
		return n;
	}
	if (mode != 22) return 0;
	for (WORD i = 0; i < inLen && n < outLen; i++) if (in[i] != 0x02) out[n++] = in[i];
	return n;
}
WORD OSGetDataDirectory(char *path) { strcpy(path, "/local/d\x02\xC3\x02\xA4ta"); return (WORD)strlen(path); }
BOOL OSGetEnvironmentString(const char *name, char *buf, WORD size) {
	if (size != 255 || strcmp(name, "TRANSLOG_Path")) { buf[0] = 0; return 0; }
	strcpy(buf, "/log");
	return 0x100; /* TRUE is not always 1, and not in the lowest byte */
}

STATUS NSFDbOpen(const char *path, void *h) {
	THREAD;
	if (!strcmp(path, "hang.nsf")) for (;;) { if (access(getenv("ABI_GO"), F_OK) == 0) return 0x0266; usleep(1000); }
	if (!strcmp(path, "crash.nsf")) { fprintf(stderr, "PANIC: insufficient memory\n"); abort(); }
	if (!strcmp(path, "no.nsf")) return REMOTE | 0x0103;
	WANT(!strcmp(path, "mail/j\x02\xC3\x02\xBCrgen.nsf"));
	if (wide) *(uint64_t *)h = WIDE; else *(DHANDLE *)h = DATABASE;
	return 0;
}
static int is(uint64_t h) { return wide ? h == WIDE : (DHANDLE)h == DATABASE; }
STATUS NSFDbClose(uint64_t h) { THREAD; WANT(is(h)); return 0; }
STATUS NSFDbModeGet(uint64_t h, uint16_t *mode) { THREAD; WANT(is(h)); *mode = 2; return 0; }
STATUS NSFDbPathGet(uint64_t h, char *canonical, char *expanded) {
	THREAD; WANT(is(h)); WANT(!canonical);
	memset(expanded, 'x', 256); /* MAXPATH with its NUL may be written */
	strcpy(expanded, "/local/x.nsf");
	return 0;
}
STATUS NSFDbGetLogInfo(uint64_t h, DWORD flags, BOOL *logged, UNID *log, UNID *db, DWORD *extent) {
	THREAD; WANT(is(h)); WANT(flags == 0);
	*logged = 0x10000; *log = series; db->File.Innards[0] = 0x04030201u; db->Note.Innards[1] = 0xFF000000u; *extent = 0xFFFFFFFEu;
	return 0;
}
STATUS NSFBackupStart(uint64_t h, DWORD flags, DHANDLE *c, DWORD *low, DWORD *high) {
	THREAD; WANT(is(h)); WANT(flags == 0);
	*c = CONTEXT; *low = 0xFFFFFFF0u; *high = 5;
	return 0;
}
STATUS NSFBackupSetHighWaterMark(uint64_t h, DHANDLE c, DWORD low, DWORD high) {
	THREAD; WANT(is(h)); WANT(c == CONTEXT); WANT(low == 0x80000001u); WANT(high == 3); return 0;
}
STATUS NSFBackupStop(uint64_t h, DHANDLE c) { THREAD; WANT(is(h)); WANT(c == CONTEXT); return DISPLAYED; /* success with a bit above */ }
STATUS NSFBackupGetChangeInfoSize(uint64_t h, DHANDLE c, DWORD flags, DWORD *low, DWORD *high) {
	THREAD; WANT(is(h)); WANT(c == CONTEXT); WANT(flags == 0); *low = 0x80000000u; *high = 1; return 0;
}
STATUS NSFBackupGetNextChangeInfo(uint64_t h, DHANDLE c, DWORD flags, char *buf, DWORD size, DWORD *filled) {
	THREAD; WANT(is(h)); WANT(c == CONTEXT); WANT(flags == 0);
	for (DWORD i = 0; i < size; i++) buf[i] = (char)(i * 7);
	*filled = size - 1;
	return 0;
}
STATUS NSFBackupEnd(uint64_t h, DHANDLE c, DWORD options) { THREAD; WANT(is(h)); WANT(c == CONTEXT); WANT(options == 1); return 0; }
STATUS NSFBackupStartApplyChangeInfo(DHANDLE *a, char *path, DWORD flags, DWORD low, DWORD high) {
	THREAD; WANT(!strcmp(path, "/stage/x")); WANT(flags == 0); WANT(low == 0x80000000u && high == 1); *a = APPLY; return 0;
}
STATUS NSFBackupApplyNextChangeInfo(DHANDLE a, DWORD flags, char *buf, DWORD size) {
	THREAD; WANT(a == APPLY); WANT(flags == 0);
	for (DWORD i = 0; i < size; i++) if (buf[i] != (char)(i * 7)) return 0x0EA7;
	return 0;
}
STATUS NSFBackupEndApplyChangeInfo(DHANDLE a, DWORD flags) { THREAD; WANT(a == APPLY); WANT(flags == 1); return 0; }

STATUS NSFGetTransLogStyle(WORD *style) { THREAD; *style = 2; return 0; }
STATUS NSFBeginArchivingLogs(void) { THREAD; return 0; }
STATUS NSFEndArchivingLogs(void) { THREAD; return REMOTE | 0x0EAE; }
STATUS NSFGetFirstLogToArchive(UNID *id, DWORD *n, char *path) { THREAD; *id = series; *n = 0x80000007u; strcpy(path, "/log/S1.TXN"); return 0; }
STATUS NSFGetNextLogToArchive(UNID *id, DWORD *n, char *path) { THREAD; *id = series; *n = 8; strcpy(path, "/log/S2.TXN"); return DISPLAYED | 0x13DE; }
STATUS NSFDoneArchivingLog(UNID *id, DWORD *n) { THREAD; WANT(!memcmp(id, &series, 16)); WANT(*n == 0x80000007u); return 0; }

STATUS NSFTakeDatabaseOffline(const char *path, DWORD wait, DWORD options) { THREAD; WANT(!strcmp(path, "/local/x.nsf")); WANT(wait == 1500); WANT(options == 1); return 0; }
STATUS NSFBringDatabaseOnline(const char *path, DWORD options) { THREAD; WANT(!strcmp(path, "/local/x.nsf")); WANT(options == 0); return 0; }

struct wish { PUT put; STATUS answer; };
static void *ask(void *p) {
	struct wish *w = p;
	char path[257];
	w->answer = 0;
	for (DWORD n = 0xFFFFFFFDu; n != 0 && w->answer == 0; n++) {
		snprintf(path, sizeof path, "/log/\x02\xC3\x02\xA4/%u", n);
		w->answer = w->put(&series, n, path);
		memset(path, 0, sizeof path);
	}
	return NULL;
}
STATUS NSFRecoverDatabases(const char *names, PUT put, DWORD flags, WORD *failed, TIMEDATE *until) {
	THREAD;
	WANT(!memcmp(names, "a.nsf\0b.nsf\0", 13));
	if (!put) { *failed = 2; return 0x13EB; }
	WANT(flags == (0x08 | 0x10));
	WANT(until->Innards[0] == 4 * 360000 + 100 * 5 && until->Innards[1] == 2440588 + 1);
	struct wish w = {put, 0};
	pthread_t t; /* a thread that the program has not made */
	if (pthread_create(&t, NULL, ask, &w) || pthread_join(t, NULL)) return WRONG;
	until[0].Innards[0] = 100;
	until[1].Innards[1] = 0; /* some declare a pair */
	if (w.answer) { *failed = 0; return REMOTE | w.answer; }
	*failed = 0;
	return 0;
}
