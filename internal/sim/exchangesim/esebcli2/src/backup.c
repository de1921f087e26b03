/* Backup by streaming: the call order and states of the documents. */
#include "qsim.h"

enum { FULL = 1, LOGS_ONLY = 2, FULL_ALL_LOGS = 3, MAX_LOGS = 4096 };

typedef struct file file;
typedef struct {
	uint32_t magic;
	store s;
	group *g;                     /* in backup, or NULL */
	HANDLE lock;                  /* of g: the operating system gives it back when the process dies, as the server ends the session of a lost client */
	ULONG type;
	int logs_asked, truncated;
	uint32_t low, high;           /* generations of the backup */
	unsigned char mark[16];       /* where and when it began */
	uint32_t logs[MAX_LOGS];      /* what LogFiles returned */
	int nlogs;
	int read_whole[MAX_DATABASES];
	file *open;
} session;

struct file {
	session *of;
	file *next;
	unsigned char *bytes;
	size_t n, at;
	size_t page;                  /* of a database, or 0 */
	ULONG reads;
	int db;                       /* index of the database whose .edb it is, or -1 */
};

enum { SESSION = 0x42534553 };

static session *session_of(void *h)
{
	session *s = h;
	return s != NULL && s->magic == SESSION ? s : NULL;
}

/* header of the first mounted database, or of the current log: where things stand */
static uint32_t checkpoint_of(const group *g)
{
	WCHAR path[PATH_CHARS];
	size_t n;
	swprintf(path, PATH_CHARS, L"%ls\\%ls.chk", g->sysdir, g->base);
	unsigned char *b = file_read(path, &n);
	uint32_t generation = b != NULL && n == 8192 && xor_good(b, 4096) ? u32(b + 16) : 0;
	free(b);
	return generation;
}

static unsigned char *current_log(const group *g, size_t *n)
{
	WCHAR path[PATH_CHARS];
	log_path(path, g->logdir, g->base, 0);
	unsigned char *b = file_read(path, n);
	if (b != NULL && !is_log(b, *n)) {
		free(b);
		b = NULL;
	}
	return b;
}

API HrESEBackupPrepare(WCHAR *server, WCHAR *annotation, ULONG *pc, INSTANCE_BACKUP_INFO **pa, void **phccx)
{
	FAULT("HrESEBackupPrepare");
	if (pc == NULL || pa == NULL || phccx == NULL || annotation == NULL)
		return E_INVALIDARG;
	session *s = calloc(1, sizeof *s);
	HRESULT hr = store_read(&s->s) ? store_answers(&s->s, server, annotation) : hrServerUnavailable;
	if (hr != S_OK) {
		free(s);
		return hr;
	}
	s->magic = SESSION;
	s->lock = INVALID_HANDLE_VALUE;
	opened(1);
	INSTANCE_BACKUP_INFO *a = take(s->s.ngroups * sizeof *a);
	for (ULONG i = 0; i < s->s.ngroups; i++) {
		const group *g = &s->s.groups[i];
		a[i].hInstanceId = g->id;
		a[i].wszInstanceName = take_text(g->name);
		a[i].ulIconIndexInstance = 7;
		a[i].cDatabase = g->ndbs;
		a[i].rgDatabase = take(g->ndbs * sizeof *a[i].rgDatabase);
		a[i].cIconDescription = 1;
		a[i].rgIconDescription = take(sizeof *a[i].rgIconDescription);
		for (ULONG j = 0; j < g->ndbs; j++) {
			DATABASE_BACKUP_INFO *d = &a[i].rgDatabase[j];
			d->wszDatabaseDisplayName = take_text(g->dbs[j].name);
			d->wszDatabaseStreams = take_multi(g->dbs[j].edb, g->dbs[j].stm, &d->cwDatabaseStreams);
			d->guidDatabase = g->dbs[j].guid;
			d->ulIconIndexDatabase = 9;
			d->fDatabaseFlags = g->dbs[j].mounted ? 0x10 : 0;
		}
	}
	*pc = s->s.ngroups;
	*pa = a;
	*phccx = s;
	DONE("HrESEBackupPrepare", S_OK);
}

__declspec(dllexport) void __stdcall ESEBackupFreeInstanceInfo(ULONG c, INSTANCE_BACKUP_INFO *a)
{
	for (ULONG i = 0; i < c; i++) {
		for (ULONG j = 0; j < a[i].cDatabase; j++) {
			give(a[i].rgDatabase[j].wszDatabaseDisplayName);
			give(a[i].rgDatabase[j].wszDatabaseStreams);
		}
		give(a[i].wszInstanceName);
		give(a[i].rgDatabase);
		give(a[i].rgIconDescription);
	}
	give(a);
}

__declspec(dllexport) void __stdcall ESEBackupFree(void *p) { give(p); }

/* had_full tells whether every mounted database had a full backup by streaming: type 0 at 356. */
static int had_full(const group *g)
{
	for (ULONG i = 0; i < g->ndbs; i++) {
		size_t n, page;
		if (!g->dbs[i].mounted)
			continue;
		unsigned char *b = file_read(g->dbs[i].edb, &n);
		int ok = b != NULL && is_database(b, n, &page) && u32(b + 136 + 16) != 0 && u32(b + 356) == 0;
		free(b);
		if (!ok)
			return 0;
	}
	return 1;
}

API HrESEBackupSetup(void *h, int64_t id, ULONG type)
{
	FAULT("HrESEBackupSetup");
	session *s = session_of(h);
	if (s == NULL || type < FULL || type > FULL_ALL_LOGS)
		return E_INVALIDARG;
	if (s->g != NULL)
		return hrInvalidSequence;
	group *g = NULL;
	for (ULONG i = 0; i < s->s.ngroups; i++)
		if (s->s.groups[i].id == id)
			g = &s->s.groups[i];
	if (g == NULL)
		return E_INVALIDARG;
	if (type == LOGS_ONLY && !had_full(g))
		return hrMissingFullBackup;
	WCHAR path[PATH_CHARS];
	swprintf(path, PATH_CHARS, L"%ls\\%ls.backup", g->sysdir, g->base);
	HANDLE lock = CreateFileW(path, GENERIC_WRITE, 0, NULL, CREATE_ALWAYS, FILE_FLAG_DELETE_ON_CLOSE, NULL);
	if (lock == INVALID_HANDLE_VALUE)
		return hrBackupInProgress;
	size_t n;
	unsigned char *log = current_log(g, &n);
	if (log == NULL) {
		CloseHandle(lock);
		return engine(-501);
	}
	if (type == LOGS_ONLY && (log[639] & 0x02)) { /* circular logging */
		free(log);
		CloseHandle(lock);
		return engine(-526);
	}
	size_t end = log_end(log, n);
	s->low = checkpoint_of(g);
	s->high = u32(log + 4);
	if (s->low == 0 || s->low > s->high)
		s->low = s->high;
	s->mark[0] = (unsigned char)(end % SECTOR);
	s->mark[1] = (unsigned char)(end % SECTOR >> 8);
	s->mark[2] = (unsigned char)(end / SECTOR);
	s->mark[3] = (unsigned char)(end / SECTOR >> 8);
	put32(s->mark + 4, s->high);
	stamp_now(s->mark + 8);
	free(log);
	s->g = g;
	s->lock = lock;
	s->type = type;
	s->logs_asked = s->truncated = s->nlogs = 0;
	memset(s->read_whole, 0, sizeof s->read_whole);
	DONE("HrESEBackupSetup", S_OK);
}

/* stream makes of a database what is handed out: a header that knows of the backup, pages, and at the end of an .edb the trailer. */
static int stream(session *s, file *f)
{
	if (!is_database(f->bytes, f->n, &f->page))
		return 0;
	if (u32(f->bytes + 12) == 1) { /* .stm: no sums, no trailer */
		f->db = -1;
		f->page = 0;
		return 1;
	}
	memcpy(f->bytes + 184, s->mark, 16);
	put32(f->bytes + 184 + 16, s->low);
	put32(f->bytes + 184 + 20, 0);
	seal_xor(f->bytes, f->page);
	memcpy(f->bytes + f->page, f->bytes, f->page);
	f->bytes = realloc(f->bytes, f->n + f->page);
	unsigned char *t = f->bytes + f->n;
	memset(t, 0, f->page);
	memcpy(t + 40, s->mark, 16);
	put32(t + TRAILER_LOW, s->low);
	memcpy(t + 64, f->bytes + 24, 28);
	memcpy(t + 92, f->bytes + 108, 28);
	f->n += f->page;
	return 1;
}

/* close_trailer writes into the trailer how far the logs had gone when its page was read. */
static int close_trailer(session *s, file *f)
{
	size_t n;
	unsigned char *log = current_log(s->g, &n), *t = f->bytes + f->n - f->page;
	if (log == NULL)
		return 0;
	uint32_t high = u32(log + 4);
	free(log);
	put32(t + TRAILER_HIGH, high);
	put32(t + 120, s->low);
	put32(t + 124, high);
	put32(t + 128, high);
	seal_xor(t, f->page);
	return 1;
}

API HrESEBackupOpenFile(void *h, WCHAR *name, ULONG hint, ULONG sections, void **pfile, int64_t *psize)
{
	FAULT("HrESEBackupOpenFile");
	session *s = session_of(h);
	if (s == NULL || name == NULL || hint == 0 || sections != 1 || pfile == NULL || psize == NULL)
		return E_INVALIDARG;
	if (s->g == NULL)
		return hrInvalidSequence;
	int db = -1, known = 0;
	for (ULONG i = 0; i < s->g->ndbs; i++)
		if (_wcsicmp(s->g->dbs[i].edb, name) == 0 || _wcsicmp(s->g->dbs[i].stm, name) == 0) {
			if (s->logs_asked || s->type == LOGS_ONLY)
				return hrInvalidSequence;
			if (!s->g->dbs[i].mounted)
				return hrCBDatabaseNotFound;
			db = (int)i;
			known = 1;
		}
	for (int i = 0; i < s->nlogs; i++) {
		WCHAR path[PATH_CHARS];
		log_path(path, s->g->logdir, s->g->base, s->logs[i]);
		known = known || _wcsicmp(path, name) == 0;
	}
	if (!known)
		return windows(ERROR_FILE_NOT_FOUND);
	file *f = calloc(1, sizeof *f);
	f->of = s;
	f->db = db;
	f->bytes = file_read(name, &f->n);
	if (f->bytes == NULL || (db >= 0 && !stream(s, f))) {
		HRESULT hr = f->bytes == NULL ? windows(GetLastError()) : engine(-1206);
		free(f->bytes);
		free(f);
		return hr;
	}
	f->next = s->open;
	s->open = f;
	opened(1);
	*pfile = f;
	*psize = (int64_t)f->n;
	DONE("HrESEBackupOpenFile", S_OK);
}

static file **link_of(session *s, void *h)
{
	for (file **l = &s->open; *l != NULL; l = &(*l)->next)
		if (*l == h)
			return l;
	return NULL;
}

API HrESEBackupReadFile(void *h, void *handle, void *to, ULONG cb, ULONG *pread)
{
	FAULT("HrESEBackupReadFile");
	session *s = session_of(h);
	file *f = handle;
	if (s == NULL || link_of(s, handle) == NULL || (to == NULL && cb > 0) || pread == NULL)
		return E_INVALIDARG;
	size_t n = f->n - f->at;
	if (n > cb)
		n = cb;
	if (++f->reads % 3 == 0 && n > 1) /* short reads are normal */
		n = n / 2;
	if (f->page != 0) {
		if (f->at + n > f->n - f->page && u32(f->bytes + f->n - f->page) == 0 && !close_trailer(s, f))
			return engine(-501);
		for (size_t page = f->at / f->page; page * f->page < f->at + n; page++)
			if (page >= 2 && (page + 1) * f->page < f->n && !page_good(f->bytes + page * f->page, f->page, (uint32_t)page - 1))
				return engine(-1018);
	}
	memcpy(to, f->bytes + f->at, n);
	f->at += n;
	*pread = (ULONG)n;
	if (f->at == f->n && f->db >= 0)
		s->read_whole[f->db] = 1;
	DONE("HrESEBackupReadFile", S_OK);
}

static void file_close(file **l)
{
	file *f = *l;
	*l = f->next;
	free(f->bytes);
	free(f);
	opened(-1);
}

API HrESEBackupCloseFile(void *h, void *handle)
{
	FAULT("HrESEBackupCloseFile");
	session *s = session_of(h);
	file **l = s != NULL ? link_of(s, handle) : NULL;
	if (l == NULL)
		return E_INVALIDARG;
	file_close(l);
	DONE("HrESEBackupCloseFile", S_OK);
}

/* roll closes the current log under its number and begins the next. */
static HRESULT roll(session *s)
{
	WCHAR current[PATH_CHARS], closed[PATH_CHARS], next[PATH_CHARS];
	size_t n;
	const group *g = s->g;
	unsigned char *b = current_log(g, &n);
	if (b == NULL)
		return engine(-501);
	s->high = u32(b + 4);
	log_path(current, g->logdir, g->base, 0);
	log_path(closed, g->logdir, g->base, s->high);
	swprintf(next, PATH_CHARS, L"%ls\\%lstmp.log", g->logdir, g->base);
	memmove(b + 24, b + 16, 8);
	stamp_now(b + 16);
	put32(b + 4, s->high + 1);
	memset(b + LOG_HEAD, 0, n - LOG_HEAD);
	seal_xor(b, LOG_HEAD);
	int ok = file_write(next, b, n) && MoveFileExW(current, closed, 0) && MoveFileExW(next, current, 0);
	free(b);
	return ok ? S_OK : windows(GetLastError());
}

static WCHAR *names_of(const session *s, const uint32_t *logs, int n)
{
	WCHAR *list = take(((size_t)n * PATH_CHARS + 2) * sizeof *list), *at = list;
	for (int i = 0; i < n; i++)
		at += log_path(at, s->g->logdir, s->g->base, logs[i]) + 1;
	return list;
}

API HrESEBackupGetLogAndPatchFiles(void *h, WCHAR **pfiles)
{
	FAULT("HrESEBackupGetLogAndPatchFiles");
	session *s = session_of(h);
	if (s == NULL || pfiles == NULL)
		return E_INVALIDARG;
	if (s->g == NULL || s->logs_asked || s->open != NULL)
		return hrInvalidSequence;
	HRESULT hr = roll(s);
	if (hr != S_OK)
		return hr;
	int n = logs_in(s->g->logdir, s->g->base, s->logs, MAX_LOGS);
	for (int i = 0; i < n; i++)
		if (s->type != FULL || s->logs[i] >= s->low)
			s->logs[s->nlogs++] = s->logs[i];
	s->logs_asked = 1;
	*pfiles = names_of(s, s->logs, s->nlogs);
	DONE("HrESEBackupGetLogAndPatchFiles", S_OK);
}

/* superfluous lists the logs that no attached database needs any more: those before the backup, and in a log-only those that were taken too. */
static int superfluous(const session *s, uint32_t *list)
{
	uint32_t keep = s->low;
	if (s->type == LOGS_ONLY)
		keep = checkpoint_of(s->g) <= s->high ? checkpoint_of(s->g) : s->high + 1;
	int n = logs_in(s->g->logdir, s->g->base, list, MAX_LOGS), count = 0;
	for (int i = 0; i < n; i++)
		if (list[i] < keep)
			list[count++] = list[i];
	return count;
}

API HrESEBackupGetTruncateLogFiles(void *h, WCHAR **pfiles)
{
	FAULT("HrESEBackupGetTruncateLogFiles");
	uint32_t list[MAX_LOGS];
	session *s = session_of(h);
	if (s == NULL || pfiles == NULL)
		return E_INVALIDARG;
	if (s->g == NULL || !s->logs_asked)
		return hrInvalidSequence;
	*pfiles = names_of(s, list, superfluous(s, list));
	DONE("HrESEBackupGetTruncateLogFiles", S_OK);
}

API HrESEBackupTruncateLogs(void *h)
{
	FAULT("HrESEBackupTruncateLogs");
	uint32_t list[MAX_LOGS];
	session *s = session_of(h);
	if (s == NULL)
		return E_INVALIDARG;
	if (s->g == NULL || !s->logs_asked || s->truncated || s->open != NULL)
		return hrInvalidSequence;
	int n = superfluous(s, list);
	for (int i = 0; i < n; i++) {
		WCHAR path[PATH_CHARS];
		log_path(path, s->g->logdir, s->g->base, list[i]);
		if (!DeleteFileW(path))
			return windows(GetLastError());
	}
	s->truncated = 1;
	DONE("HrESEBackupTruncateLogs", S_OK);
}

/* mark_headers notes in the databases that a backup succeeded: a full in each that was read, a log-only where it truncated. */
static HRESULT mark_headers(const session *s)
{
	for (ULONG i = 0; i < s->g->ndbs; i++) {
		const database *d = &s->g->dbs[i];
		int full = s->type != LOGS_ONLY;
		size_t n, page;
		if (!d->mounted || (full ? !s->read_whole[i] : !s->truncated))
			continue;
		unsigned char *b = file_read(d->edb, &n);
		if (b == NULL || !is_database(b, n, &page)) {
			free(b);
			return engine(-1206);
		}
		unsigned char *mark = b + (full ? 136 : 160);
		memcpy(mark, s->mark, 16);
		put32(mark + 16, s->nlogs > 0 ? s->logs[0] : s->low);
		put32(mark + 20, s->high);
		put32(b + (full ? 356 : 360), 0);
		if (full)
			memset(b + 160, 0, 24);
		seal_xor(b, page);
		memcpy(b + page, b, page);
		int ok = file_write(d->edb, b, n);
		free(b);
		if (!ok)
			return windows(GetLastError());
	}
	return S_OK;
}

static HRESULT instance_end(session *s, int success)
{
	HRESULT hr = success && s->logs_asked ? mark_headers(s) : S_OK;
	while (s->open != NULL)
		file_close(&s->open);
	CloseHandle(s->lock);
	s->lock = INVALID_HANDLE_VALUE;
	s->g = NULL;
	return hr;
}

API HrESEBackupInstanceEnd(void *h, ULONG how)
{
	FAULT("HrESEBackupInstanceEnd");
	session *s = session_of(h);
	if (s == NULL || how > 1)
		return E_INVALIDARG;
	if (s->g == NULL)
		return hrInvalidSequence;
	HRESULT hr = instance_end(s, how == 1);
	DONE("HrESEBackupInstanceEnd", hr);
}

API HrESEBackupEnd(void *h)
{
	FAULT("HrESEBackupEnd");
	session *s = session_of(h);
	if (s == NULL)
		return E_INVALIDARG;
	if (s->g != NULL)
		instance_end(s, 0);
	s->magic = 0;
	free(s);
	opened(-1);
	DONE("HrESEBackupEnd", S_OK);
}
