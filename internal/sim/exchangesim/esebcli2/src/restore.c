/* Restore, and hard recovery. */
#include "qsim.h"

enum { ATTACH = 0x1, KEEP_LOGS = 0x20000, RESTORE = 0x54534552, MAX_SET = 64, ALL_LOGS = 4096 };

typedef struct {
	uint32_t magic;
	store s;
	group *source;
	WCHAR logdir[PATH_CHARS];
	struct { WCHAR name[NAME_CHARS], edb[PATH_CHARS], stm[PATH_CHARS]; GUID guid; } dbs[MAX_SET];
	ULONG ndbs;
	int saved, completed;
} restore;

static restore *restore_of(void *h)
{
	restore *r = h;
	return r != NULL && r->magic == RESTORE ? r : NULL;
}

static HRESULT begin(const WCHAR *server, const WCHAR *annotation, restore **pr)
{
	restore *r = calloc(1, sizeof *r);
	HRESULT hr = store_read(&r->s) ? store_answers(&r->s, server, annotation) : hrServerUnavailable;
	if (hr != S_OK) {
		free(r);
		return hr;
	}
	r->magic = RESTORE;
	*pr = r;
	return S_OK;
}

static group *group_named(store *s, const WCHAR *name)
{
	for (ULONG i = 0; i < s->ngroups; i++)
		if (_wcsicmp(s->groups[i].name, name) == 0)
			return &s->groups[i];
	return NULL;
}

API HrESERestoreOpen(WCHAR *server, WCHAR *annotation, WCHAR *source, WCHAR *logpath, void **phccx)
{
	FAULT("HrESERestoreOpen");
	restore *r;
	if (annotation == NULL || source == NULL || phccx == NULL)
		return E_INVALIDARG;
	HRESULT hr = begin(server, annotation, &r);
	if (hr != S_OK)
		return hr;
	if ((r->source = group_named(&r->s, source)) == NULL) {
		free(r);
		return hrCBDatabaseNotFound;
	}
	if (logpath != NULL)
		wcsncpy(r->logdir, logpath, PATH_CHARS - 1);
	else
		swprintf(r->logdir, PATH_CHARS, L"%ls\\restore", r->source->sysdir);
	if (!CreateDirectoryW(r->logdir, NULL) && GetLastError() != ERROR_ALREADY_EXISTS) {
		free(r);
		return windows(GetLastError());
	}
	opened(1);
	*phccx = r;
	DONE("HrESERestoreOpen", S_OK);
}

/* restore.env is the stand-in's own: the structure as it lies in memory. */
static void env_path(const WCHAR *dir, WCHAR *to) { swprintf(to, PATH_CHARS, L"%ls\\restore.env", dir); }

API HrESERestoreReopen(WCHAR *server, WCHAR *annotation, WCHAR *logpath, void **phccx)
{
	FAULT("HrESERestoreReopen");
	restore *r;
	WCHAR path[PATH_CHARS];
	size_t n;
	if (logpath == NULL || phccx == NULL)
		return E_INVALIDARG;
	HRESULT hr = begin(server, annotation, &r);
	if (hr != S_OK)
		return hr;
	env_path(logpath, path);
	unsigned char *b = file_read(path, &n);
	restore *was = (restore *)b;
	if (b == NULL || n != sizeof *was + sizeof was->source->name) {
		free(b);
		free(r);
		return windows(ERROR_FILE_NOT_FOUND);
	}
	memcpy(r->logdir, was->logdir, sizeof r->logdir);
	memcpy(r->dbs, was->dbs, sizeof r->dbs);
	r->ndbs = was->ndbs;
	r->saved = 1;
	r->source = group_named(&r->s, (WCHAR *)(b + sizeof *was));
	free(b);
	if (r->source == NULL) {
		free(r);
		return hrCBDatabaseNotFound;
	}
	opened(1);
	*phccx = r;
	DONE("HrESERestoreReopen", S_OK);
}

/* generations are those that the databases written so far need. */
static void generations(const restore *r, ULONG *low, ULONG *high)
{
	*low = *high = 0;
	for (ULONG i = 0; i < r->ndbs; i++) {
		size_t n, page;
		unsigned char *b = file_read(r->dbs[i].edb, &n);
		if (b != NULL && is_database(b, n, &page) && u32(b + n - page + TRAILER_LOW) != 0) {
			ULONG first = u32(b + n - page + TRAILER_LOW), last = u32(b + n - page + TRAILER_HIGH);
			*low = *low == 0 || first < *low ? first : *low;
			*high = last > *high ? last : *high;
		}
		free(b);
	}
}

API HrESERestoreGetEnvironment(void *h, RESTORE_ENVIRONMENT **pp)
{
	FAULT("HrESERestoreGetEnvironment");
	restore *r = restore_of(h);
	if (r == NULL || pp == NULL)
		return E_INVALIDARG;
	RESTORE_ENVIRONMENT *e = take(sizeof *e);
	e->wszRestoreLogPath = take_text(r->logdir);
	e->wszSrcInstanceName = take_text(r->source->name);
	e->cDatabases = r->ndbs;
	e->wszDatabaseDisplayName = take((r->ndbs + 1) * sizeof(WCHAR *));
	e->rguidDatabase = take((r->ndbs + 1) * sizeof(GUID));
	e->wszDatabaseStreamsD = take((r->ndbs + 1) * sizeof(WCHAR *));
	for (ULONG i = 0; i < r->ndbs; i++) {
		e->wszDatabaseDisplayName[i] = take_text(r->dbs[i].name);
		e->rguidDatabase[i] = r->dbs[i].guid;
		e->wszDatabaseStreamsD[i] = take_multi(r->dbs[i].edb, r->dbs[i].stm, NULL);
	}
	generations(r, &e->ulGenLow, &e->ulGenHigh);
	e->wszLogBaseName = take_text(r->source->base);
	e->timeLastRestore = -1;
	e->statusLastRecover = r->completed ? 3 : 1;
	e->timeLastRecover = -1;
	e->wszAnnotation = take_text(L"Microsoft Information Store");
	*pp = e;
	DONE("HrESERestoreGetEnvironment", S_OK);
}

__declspec(dllexport) void __stdcall ESERestoreFreeEnvironment(RESTORE_ENVIRONMENT *e)
{
	for (ULONG i = 0; i < e->cDatabases; i++) {
		give(e->wszDatabaseDisplayName[i]);
		give(e->wszDatabaseStreamsD[i]);
	}
	give(e->wszDatabaseDisplayName);
	give(e->rguidDatabase);
	give(e->wszDatabaseStreamsD);
	give(e->wszRestoreLogPath);
	give(e->wszSrcInstanceName);
	give(e->wszLogBaseName);
	give(e->wszAnnotation);
	give(e);
}

__declspec(dllexport) void __stdcall ESERestoreFree(void *p) { give(p); }

/* add finds the database of the server that name and GUID mean, and puts it into the set. to is a multi-string, or NULL: where it was. */
static HRESULT add(restore *r, const WCHAR *name, const GUID *guid, const WCHAR *from, const WCHAR *to)
{
	if (name == NULL || from == NULL || *from == 0 || r->ndbs == MAX_SET)
		return E_INVALIDARG;
	if (r->saved)
		return hrInvalidSequence;
	const database *d = NULL;
	for (ULONG i = 0; i < r->s.ngroups; i++)
		for (ULONG j = 0; j < r->s.groups[i].ndbs; j++) {
			const database *c = &r->s.groups[i].dbs[j];
			if (_wcsicmp(c->name, name) == 0 && memcmp(&c->guid, guid, sizeof *guid) == 0)
				d = c;
		}
	if (d == NULL)
		return hrCBDatabaseNotFound;
	if (d->mounted || !d->overwrite)
		return hrCBDatabaseInUse;
	ULONG i = r->ndbs++;
	wcscpy(r->dbs[i].name, d->name);
	r->dbs[i].guid = *guid;
	wcsncpy(r->dbs[i].edb, to != NULL ? to : d->edb, PATH_CHARS - 1);
	wcsncpy(r->dbs[i].stm, to != NULL ? to + wcslen(to) + 1 : d->stm, PATH_CHARS - 1);
	return S_OK;
}

API HrESERestoreAddDatabase(void *h, WCHAR *name, GUID guid, WCHAR *from, WCHAR **pto)
{
	FAULT("HrESERestoreAddDatabase");
	restore *r = restore_of(h);
	if (r == NULL || pto == NULL)
		return E_INVALIDARG;
	HRESULT hr = add(r, name, &guid, from, NULL);
	if (hr != S_OK)
		return hr;
	*pto = take_multi(r->dbs[r->ndbs - 1].edb, r->dbs[r->ndbs - 1].stm, NULL);
	DONE("HrESERestoreAddDatabase", S_OK);
}

API HrESERestoreAddDatabaseNS(void *h, WCHAR *name, GUID guid, WCHAR *from, WCHAR *to)
{
	FAULT("HrESERestoreAddDatabaseNS");
	restore *r = restore_of(h);
	if (r == NULL || to == NULL || *to == 0)
		return E_INVALIDARG;
	HRESULT hr = add(r, name, &guid, from, to);
	if (hr != S_OK)
		return hr;
	DONE("HrESERestoreAddDatabaseNS", S_OK);
}

API HrESERestoreOpenFile(void *h, WCHAR *name, ULONG sections, void **pfile)
{
	FAULT("HrESERestoreOpenFile");
	restore *r = restore_of(h);
	if (r == NULL || name == NULL || sections != 1 || pfile == NULL)
		return E_INVALIDARG;
	size_t dir = wcslen(r->logdir);
	int known = _wcsnicmp(name, r->logdir, dir) == 0 && name[dir] == L'\\' && wcschr(name + dir + 1, L'\\') == NULL;
	for (ULONG i = 0; i < r->ndbs; i++)
		known = known || _wcsicmp(r->dbs[i].edb, name) == 0 || _wcsicmp(r->dbs[i].stm, name) == 0;
	if (!known)
		return windows(ERROR_FILE_NOT_FOUND);
	if (GetEnvironmentVariableW(L"QSIM_RESTORE_FILES", NULL, 0) == 0)
		DONE("HrESERestoreOpenFile", hrRestoreAtFileLevel);
	HANDLE f = CreateFileW(name, GENERIC_WRITE, 0, NULL, CREATE_ALWAYS, 0, NULL);
	if (f == INVALID_HANDLE_VALUE)
		return windows(GetLastError());
	opened(1);
	*pfile = f;
	DONE("HrESERestoreOpenFile", S_OK);
}

API HrESERestoreWriteFile(void *h, void *file, void *b, ULONG cb)
{
	FAULT("HrESERestoreWriteFile");
	DWORD wrote;
	if (restore_of(h) == NULL)
		return E_INVALIDARG;
	if (!WriteFile(file, b, cb, &wrote, NULL) || wrote != cb)
		return windows(GetLastError());
	DONE("HrESERestoreWriteFile", S_OK);
}

API HrESERestoreCloseFile(void *h, void *file)
{
	FAULT("HrESERestoreCloseFile");
	if (restore_of(h) == NULL)
		return E_INVALIDARG;
	if (!CloseHandle(file))
		return windows(GetLastError());
	opened(-1);
	DONE("HrESERestoreCloseFile", S_OK);
}

API HrESERestoreSaveEnvironment(void *h)
{
	FAULT("HrESERestoreSaveEnvironment");
	restore *r = restore_of(h);
	if (r == NULL)
		return E_INVALIDARG;
	WCHAR path[PATH_CHARS];
	size_t n = sizeof *r + sizeof r->source->name;
	unsigned char *b = malloc(n);
	memcpy(b, r, sizeof *r);
	memcpy(b + sizeof *r, r->source->name, sizeof r->source->name);
	env_path(r->logdir, path);
	int ok = file_write(path, b, n);
	free(b);
	if (!ok)
		return windows(GetLastError());
	r->saved = 1;
	DONE("HrESERestoreSaveEnvironment", S_OK);
}

/* image is a database in recovery. */
typedef struct { unsigned char *b; size_t n, page; uint32_t low, high; uint64_t dbtime; } image;

/* load reads a restored database: header and trailer must be of one backup, else it is no streamed copy, or a torn one. */
static HRESULT load(const WCHAR *path, image *m)
{
	m->b = file_read(path, &m->n);
	if (m->b == NULL)
		return windows(ERROR_FILE_NOT_FOUND);
	if (!is_database(m->b, m->n, &m->page) || m->n < 3 * m->page || m->n % m->page != 0)
		return engine(-1206);
	unsigned char *t = m->b + m->n - m->page;
	if (!xor_good(t, m->page) || memcmp(t + 40, m->b + 184, 16) != 0 || memcmp(t + 64, m->b + 24, 28) != 0 || memcmp(t + 92, m->b + 108, 28) != 0)
		return engine(-1206);
	m->low = u32(t + TRAILER_LOW);
	m->high = u32(t + TRAILER_HIGH);
	m->n -= m->page;
	m->dbtime = u64(m->b + 16);
	for (size_t page = 2; page * m->page < m->n; page++)
		if (!page_good(m->b + page * m->page, m->page, (uint32_t)page - 1))
			return engine(-1018);
	return S_OK;
}

/* apply plays one record: a key is set when the page is older. */
static HRESULT apply(image *m, const unsigned char *rec)
{
	size_t key = rec[28] | rec[29] << 8, value = rec[30] | rec[31] << 8;
	uint64_t dbtime = u64(rec + 12);
	uint32_t number = u32(rec + 8);
	if (rec[4] != 1)
		return S_OK;
	if (dbtime > m->dbtime)
		m->dbtime = dbtime;
	size_t at = (number + 1) * m->page;
	if (at + m->page > m->n) {
		m->b = realloc(m->b, at + m->page);
		memset(m->b + m->n, 0, at + m->page - m->n);
		m->n = at + m->page;
	}
	unsigned char *p = m->b + at;
	if (dbtime <= u64(p + 8))
		return S_OK;
	if (48 + key + value > m->page)
		return engine(-1206);
	memset(p, 0, m->page);
	put64(p + 8, dbtime);
	put32(p + 24, 1);
	put32(p + 36, 0x2000);
	memcpy(p + 40, "QSIM", 4);
	memcpy(p + 44, rec + 28, 4);
	memcpy(p + 48, rec + 32, key + value);
	seal_page(p, m->page, number);
	return S_OK;
}

/* chain is what has been replayed. */
typedef struct { uint32_t generation; unsigned char created[8], signature[28]; size_t logs; unsigned char mark[16]; } chain;

static HRESULT play(const restore *r, image *m, chain *c, const WCHAR *path, uint32_t generation)
{
	size_t n;
	unsigned char *b = file_read(path, &n);
	HRESULT hr = S_OK;
	if (b == NULL || !is_log(b, n))
		hr = engine(-501);
	else if (generation != 0 && u32(b + 4) != generation)
		hr = engine(-513);
	else if (memcmp(b + 44, c->signature, 28) != 0)
		hr = hrLogfileHasBadSignature;
	else if (c->logs > 0 && u32(b + 4) != c->generation + 1)
		hr = hrLogfileNotContiguous;
	else if (c->logs > 0 && memcmp(b + 24, c->created, 8) != 0)
		hr = engine(-515);
	if (hr == S_OK) {
		size_t end = log_end(b, n);
		for (size_t at = LOG_HEAD; hr == S_OK && at < end; at += u32(b + at)) {
			if (!record_good(b + at))
				hr = engine(-501);
			for (ULONG i = 0; hr == S_OK && i < r->ndbs; i++)
				if (u32(m[i].b + 104) == b[at + 5])
					hr = apply(&m[i], b + at);
		}
		c->generation = u32(b + 4);
		memcpy(c->created, b + 16, 8);
		c->logs++;
		unsigned char mark[8] = {(unsigned char)(end % SECTOR), (unsigned char)(end % SECTOR >> 8), (unsigned char)(end / SECTOR), (unsigned char)(end / SECTOR >> 8)};
		put32(mark + 4, c->generation);
		memcpy(c->mark, mark, 8);
		stamp_now(c->mark + 8);
	}
	free(b);
	return hr;
}

/* replay plays the restored logs, all of them, and then those that the target still has. */
static HRESULT replay(const restore *r, image *m, const WCHAR *logdir, const group *target, chain *c)
{
	uint32_t list[ALL_LOGS], low = UINT32_MAX, high = 0;
	WCHAR path[PATH_CHARS];
	HRESULT hr = S_OK;
	for (ULONG i = 0; i < r->ndbs; i++) {
		low = m[i].low < low ? m[i].low : low;
		high = m[i].high > high ? m[i].high : high;
	}
	memcpy(c->signature, m[0].b + 108, 28);
	int n = logs_in(logdir, r->source->base, list, ALL_LOGS);
	if (n == 0 || list[0] > low)
		return engine(-543);
	for (int i = 0; hr == S_OK && i < n; i++)
		if (list[i] >= low) {
			log_path(path, logdir, r->source->base, list[i]);
			hr = play(r, m, c, path, list[i]);
		}
	if (hr == S_OK && c->generation < high)
		return engine(-543);
	if (hr != S_OK || target == NULL)
		return hr;
	n = logs_in(target->logdir, target->base, list, ALL_LOGS);
	for (int i = 0; hr == S_OK && i < n; i++)
		if (list[i] == c->generation + 1) {
			log_path(path, target->logdir, target->base, list[i]);
			hr = play(r, m, c, path, list[i]);
		}
	size_t size;
	log_path(path, target->logdir, target->base, 0);
	unsigned char *b = file_read(path, &size);
	if (hr == S_OK && b != NULL && is_log(b, size) && u32(b + 4) == c->generation + 1)
		hr = play(r, m, c, path, 0);
	free(b);
	return hr;
}

/* put writes a recovered database: in clean shutdown, without trailer and without a mark of a backup. */
static int put(const WCHAR *path, image *m, const chain *c)
{
	put32(m->b + 52, 3);
	put64(m->b + 16, m->dbtime);
	memcpy(m->b + 56, c->mark, 16);
	memset(m->b + 136, 0, 72);
	memset(m->b + 296, 0, 8);
	put32(m->b + 416, 0);
	seal_xor(m->b, m->page);
	memcpy(m->b + m->page, m->b, m->page);
	return file_write(path, m->b, m->n);
}

static HRESULT complete(restore *r, const WCHAR *logdir, const group *target, ULONG flags)
{
	image m[MAX_SET];
	chain c;
	HRESULT hr = S_OK;
	memset(m, 0, sizeof m);
	memset(&c, 0, sizeof c);
	for (ULONG i = 0; hr == S_OK && i < r->ndbs; i++)
		hr = load(r->dbs[i].edb, &m[i]);
	if (hr == S_OK)
		hr = replay(r, m, logdir, target, &c);
	for (ULONG i = 0; hr == S_OK && i < r->ndbs; i++)
		if (!put(r->dbs[i].edb, &m[i], &c) || ((flags & ATTACH) && !store_mount(r->dbs[i].name)))
			hr = windows(GetLastError());
	for (ULONG i = 0; i < r->ndbs; i++)
		free(m[i].b);
	if (hr != S_OK)
		return hr;
	WCHAR path[PATH_CHARS];
	env_path(logdir, path);
	DeleteFileW(path);
	uint32_t list[ALL_LOGS];
	int n = flags & KEEP_LOGS ? 0 : logs_in(logdir, r->source->base, list, ALL_LOGS);
	for (int i = 0; i < n; i++) {
		log_path(path, logdir, r->source->base, list[i]);
		DeleteFileW(path);
	}
	return S_OK;
}

API HrESERestoreComplete(void *h, WCHAR *checkpoint, WCHAR *logdir, WCHAR *target, ULONG flags)
{
	FAULT("HrESERestoreComplete");
	restore *r = restore_of(h);
	if (r == NULL || checkpoint == NULL || logdir == NULL)
		return E_INVALIDARG;
	if (!r->saved || r->completed || r->ndbs == 0)
		return hrInvalidSequence;
	const group *g = target != NULL ? group_named(&r->s, target) : NULL;
	if (target != NULL && g == NULL)
		return hrCBDatabaseNotFound;
	HRESULT hr = complete(r, logdir, g, flags);
	if (hr != S_OK)
		return hr;
	r->completed = 1;
	DONE("HrESERestoreComplete", S_OK);
}

API HrESERestoreClose(void *h, ULONG abort)
{
	FAULT("HrESERestoreClose");
	restore *r = restore_of(h);
	if (r == NULL || abort > 1)
		return E_INVALIDARG;
	r->magic = 0;
	free(r);
	opened(-1);
	DONE("HrESERestoreClose", S_OK);
}
