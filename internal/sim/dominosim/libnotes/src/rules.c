/* What Domino does to databases: the same rules as in package dominosim. The caller holds the server's lock, but for recover, which takes it itself. */
#include "sim.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static size_t header_size(uint32_t ods) { return ods >= 53 ? 2048 : 1024; }

static uint32_t header_crc(const unsigned char *h) {
	unsigned char copy[LARGEST_HEADER];
	size_t n = header_size(get32(h + AT_ODS));
	memcpy(copy, h, n);
	memset(copy + AT_HEADER_CRC, 0, 4);
	return crc32of(copy, n);
}

void seal(unsigned char *h) { put32(h + AT_HEADER_CRC, header_crc(h)); }

STATUS parse_header(const unsigned char *p, size_t n, uint64_t file_size) {
	if (n < 1024 || p[0] != 0x1A || p[1] != 0) return NOT_NSF;
	uint32_t ods = get32(p + AT_ODS);
	if (ods > NEWEST_ODS || ods < 16) return NSF_VERSION;
	if (get32(p + AT_HEADER_SIZE) != header_size(ods) || header_size(ods) > n) return NSF_CORRUPT;
	if (memcmp(p + AT_SIM, "QSIM", 4) != 0 || get32(p + AT_HEADER_CRC) != header_crc(p)) return NSF_CORRUPT;
	return (uint64_t)get32(p + AT_SIZE) * 256 > file_size ? OBJECT_TRUNCATED : 0;
}

static STATUS load(const char *path, size_t limit, bytes *m) {
	struct stat st;
	if (stat(path, &st) != 0 || read_file(path, limit, m) != 0) return errno == EACCES ? NOACCESS : NOEXIST;
	STATUS s = parse_header(m->data, m->size, (uint64_t)st.st_size);
	if (s) { free(m->data); m->data = NULL; }
	return s;
}

STATUS load_image(const char *path, bytes *m) { return load(path, 0, m); }
STATUS read_header(const char *path, bytes *h) { return load(path, LARGEST_HEADER, h); }

static size_t head(const unsigned char *h) { return header_size(get32(h + AT_ODS)); }
static int is_backup(const unsigned char *h) { return get16(h + AT_BACKUP_FLAGS) & 1; }
static void set_backup(unsigned char *h, int on) { put16(h + AT_BACKUP_FLAGS, (uint16_t)((get16(h + AT_BACKUP_FLAGS) & ~1) | (on ? 1 : 0))); }
static int is_logged(const unsigned char *h) { return (get32(h + AT_FLAGS) & LOGGED) != 0; }
static unsigned char *page(const bytes *m, uint32_t n) { return m->data + head(m->data) + 2 * SUPERBLOCK + (size_t)n * PAGE; }
static uint32_t pages(const bytes *m) { return get32(m->data + AT_PAGES); }
static uint64_t page_sum(const unsigned char *p) { return (uint64_t)crc32of(p, PAGE) * 0x9E3779B97F4A7C15u; }

static uint32_t page_crc(const unsigned char *p) {
	unsigned char copy[PAGE];
	memcpy(copy, p, PAGE);
	memset(copy + 16, 0, 4);
	return crc32of(copy, PAGE);
}

static int sound_payload(const unsigned char *p) {
	size_t n = get32(p + 20), at = 0;
	if (n > MAX_ENTRY) return 0;
	for (p += PAGE_HEADER; at < n; at += 4 + (size_t)get16(p + at) + get16(p + at + 2))
		if (at + 4 > n) return 0;
	return at == n;
}

int consistent(const bytes *m) {
	const unsigned char *h = m->data;
	uint64_t sum = 0;
	if (m->size < head(h) + 2 * SUPERBLOCK + (size_t)pages(m) * PAGE) return 0;
	for (uint32_t n = 0; n < pages(m); n++) {
		const unsigned char *p = page(m, n);
		if (memcmp(p, "QPG1", 4) != 0 || get32(p + 4) != n || get32(p + 16) != page_crc(p) || !sound_payload(p)) return 0;
		sum += page_sum(p);
	}
	return sum == get64(h + AT_SUM) && !(is_backup(h) && get64(h + AT_LSN) != get64(h + AT_BACKUP_LSN));
}

/* change gives a page a new payload. */
static void change(bytes *m, uint32_t n, const unsigned char *payload, size_t size, uint64_t lsn) {
	unsigned char *p = page(m, n);
	uint64_t sum = get64(m->data + AT_SUM) - page_sum(p);
	memset(p + PAGE_HEADER, 0, MAX_ENTRY);
	memcpy(p + PAGE_HEADER, payload, size);
	put64(p + 8, lsn);
	put32(p + 20, (uint32_t)size);
	put32(p + 16, page_crc(p));
	put64(m->data + AT_SUM, sum + page_sum(p));
}

static void grow(bytes *m) {
	uint32_t n = pages(m);
	size_t at = head(m->data) + 2 * SUPERBLOCK + (size_t)n * PAGE;
	m->data = realloc(m->data, at + PAGE);
	m->size = at + PAGE;
	unsigned char *p = m->data + at;
	memset(p, 0, PAGE);
	memcpy(p, "QPG1", 4);
	put32(p + 4, n);
	put32(p + 16, page_crc(p));
	put32(m->data + AT_PAGES, n + 1);
	put64(m->data + AT_SUM, get64(m->data + AT_SUM) + page_sum(p));
	put32(m->data + AT_SIZE, (uint32_t)(m->size / 256));
}

static void remove_key(bytes *m, const unsigned char *key, size_t klen, uint64_t lsn) {
	unsigned char out[MAX_ENTRY];
	for (uint32_t n = 0; n < pages(m); n++) {
		unsigned char *p = page(m, n), *payload = p + PAGE_HEADER;
		size_t size = get32(p + 20);
		for (size_t at = 0, end; at < size; at = end) {
			end = at + 4 + (size_t)get16(payload + at) + get16(payload + at + 2);
			if (get16(payload + at) != klen || memcmp(payload + at + 4, key, klen) != 0) continue;
			memcpy(out, payload, at);
			memcpy(out + at, payload + end, size - end);
			change(m, n, out, size - (end - at), lsn);
			return;
		}
	}
}

/* put_key adds the entry to the first page that has room. */
static void put_key(bytes *m, const unsigned char *key, size_t klen, size_t vlen, uint64_t lsn) {
	unsigned char out[MAX_ENTRY];
	size_t n = 4 + klen + vlen;
	for (uint32_t i = 0;; i++) {
		if (i == pages(m)) grow(m);
		unsigned char *p = page(m, i);
		size_t size = get32(p + 20);
		if (size + n > MAX_ENTRY) continue;
		memcpy(out, p + PAGE_HEADER, size);
		put16(out + size, (uint16_t)klen);
		put16(out + size + 2, (uint16_t)vlen);
		memcpy(out + size + 4, key, klen + vlen); /* the value follows the key in the record */
		change(m, i, out, size + n, lsn);
		return;
	}
}

static void apply(bytes *m, const record *r) {
	const unsigned char *p = r->ops;
	for (uint32_t i = 0; i < r->count; i++) {
		size_t klen = get16(p + 1), vlen = get16(p + 3);
		remove_key(m, p + 5, klen, r->lsn);
		if (p[0] == 1) put_key(m, p + 5, klen, vlen, r->lsn);
		p += 5 + klen + vlen;
	}
	put64(m->data + AT_LSN, r->lsn);
	timedate_of(r->at, m->data + AT_MODIFIED);
	timedate_of(r->at, m->data + AT_BUCKET);
	seal(m->data);
}

/* read_link reads a link of Notes: one line of text, an absolute path. */
static int read_link(const char *path, char *to) {
	struct stat st;
	bytes b;
	if (stat(path, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size == 0 || st.st_size >= 1024 || read_file(path, 0, &b) != 0) return 0;
	char *line = strtok((char *)b.data, " \t\r\n");
	int ok = line && line[0] == '/';
	if (ok) snprintf(to, PATH_ROOM, "%s", line);
	free(b.data);
	return ok;
}

/* below returns the part of path that lies in the data directory, or NULL. */
static const char *below(const char *path) {
	char dir[PATH_ROOM];
	setting("Directory", dir);
	size_t n = strlen(dir);
	return strncmp(path, dir, n) == 0 && path[n] == '/' ? path + n + 1 : NULL;
}

STATUS resolve(const char *name, char *path, int *linked) {
	char dir[PATH_ROOM], to[PATH_ROOM], link[PATH_ROOM + 8];
	*linked = 0;
	if (strstr(name, "!!")) return NOT_LOCAL;
	setting("Directory", dir);
	if (*name == '/' ? snprintf(path, PATH_ROOM, "%s", name) >= PATH_ROOM : join(path, dir, name) != 0) return VALUE_FLAGS;
	size_t n = strlen(path);
	while (n > 1 && path[n - 1] == '/') path[--n] = 0;
	const char *rest = below(path);
	for (const char *end = rest; end && (end = strchr(end, '/') ? strchr(end, '/') : end + strlen(end)) != NULL;) {
		snprintf(link, sizeof link, "%.*s.dir", (int)(end - path), path);
		if (read_link(link, to)) {
			size_t most = PATH_ROOM - 1 - strlen(to), rest_size = strlen(end);
			if (rest_size > most) return VALUE_FLAGS;
			memmove(path + strlen(to), end, rest_size + 1);
			memcpy(path, to, strlen(to));
			*linked = 1;
			break;
		}
		if (!*end) break;
		end++;
	}
	n = strlen(path);
	if (access(path, F_OK) != 0 && errno == ENOENT && !(n > 4 && strcmp(path + n - 4, ".nsf") == 0) && n + 5 < PATH_ROOM) strcat(path, ".nsf");
	if (read_link(path, to)) { strcpy(path, to); *linked = 1; }
	char real[PATH_MAX];
	if (realpath(path, real)) snprintf(path, PATH_ROOM, "%s", real);
	return 0;
}

struct search { const unsigned char *dbiid; const char *path; };

static int is_active(const state *st, void *arg) {
	const struct search *s = arg;
	bytes h;
	if (strcmp(st->path, s->path) == 0 || memcmp(st->dbiid, s->dbiid, 16) != 0 || st->flags & OFFLINE || read_header(st->path, &h) != 0) return 0;
	int yes = memcmp(h.data + AT_DBIID, s->dbiid, 16) == 0 && (!is_backup(h.data) || st->flags & IN_BACKUP);
	free(h.data);
	return yes;
}

int active_elsewhere(const unsigned char *dbiid, const char *path) {
	struct search s = {dbiid, path};
	return for_states(is_active, &s);
}

static void join_as(unsigned char *h, const unsigned char *log, int logged, uint64_t lsn) {
	uint32_t flags = get32(h + AT_FLAGS) & ~(uint32_t)LOGGED;
	if (log) memcpy(h + AT_LOG_ID, log, 16);
	new_id(h + AT_DBIID);
	put32(h + AT_FLAGS, flags | (logged ? LOGGED : 0));
	if (lsn > get64(h + AT_LSN)) put64(h + AT_LSN, lsn);
}

/* join_log gives a database a new life in the server's log, or one outside of it. */
void join_log(const char *path, unsigned char *h, int linked) {
	control c;
	if (load_control(&c) != 0 || (!below(path) && !linked) || get32(h + AT_FLAGS) & SWITCHED_OFF || get32(h + AT_ODS) < OLDEST_ODS) join_as(h, NULL, 0, 0);
	else join_as(h, c.id, 1, position(&c) - 1); /* the next record stands at that position, and is not yet in the database */
}

/* adopt decides what becomes of a file that is opened. */
static STATUS adopt(const char *path, int linked, unsigned char *h, const state *st) {
	int inside = below(path) || linked;
	control c;
	if (is_backup(h) && !(st->flags & IN_BACKUP)) {
		if (is_logged(h) && inside) return OPEN_BACKUP;
		set_backup(h, 0); /* a plain copy from now on */
	}
	if (!inside) {
		if (is_logged(h)) join_as(h, NULL, 0, 0);
		return 0;
	}
	int known = memcmp(st->dbiid, h + AT_DBIID, 16) == 0;
	if (known && get64(h + AT_LSN) < st->lsn) return DOWN_LEVEL;
	int logging = load_control(&c) == 0;
	int stranger = is_logged(h) && (!logging || memcmp(h + AT_LOG_ID, c.id, 16) != 0);
	int newcomer = !is_logged(h) && logging && !(get32(h + AT_FLAGS) & SWITCHED_OFF) && get32(h + AT_ODS) >= OLDEST_ODS;
	if (!stranger && !newcomer && !known) stranger = active_elsewhere(h + AT_DBIID, path);
	if (stranger || newcomer) join_log(path, h, 1);
	return 0;
}

STATUS admit(const char *path, int linked) {
	state st;
	bytes h;
	unsigned char before[LARGEST_HEADER];
	load_state(path, &st);
	if (st.flags & OFFLINE) return DBOFFLINE;
	if (st.flags & COMPACTING) return COMPACT_MODE;
	STATUS s = read_header(path, &h);
	if (s) return s;
	size_t n = head(h.data);
	memcpy(before, h.data, n);
	if ((s = adopt(path, linked, h.data, &st)) == 0) {
		memcpy(st.dbiid, h.data + AT_DBIID, 16);
		st.lsn = get64(h.data + AT_LSN);
		if (memcmp(before, h.data, n) != 0) {
			seal(h.data);
			if (write_quietly(path, h.data, n) != 0) broken("cannot write", path);
		}
		save_state(&st);
	}
	free(h.data);
	return s;
}

STATUS start_backup(const char *path, uint64_t *serial, uint64_t *size) {
	state st;
	bytes m;
	control c;
	char changes[PATH_ROOM];
	uint64_t pos = 0;
	load_state(path, &st);
	if (st.flags & OFFLINE) return DBOFFLINE;
	if (st.flags & IN_BACKUP) return BACKUP_ALREADY;
	if (st.flags & IN_PLACE) return BACKUP_DURING_COMPACT;
	if (st.flags & COMPACTING) return COMPACT_MODE;
	if (st.flags & LOCKED) return ALREADY_LOCKED;
	STATUS s = load_image(path, &m);
	if (s) return s;
	if (get32(m.data + AT_ODS) < OLDEST_ODS) s = ONLY_V5;
	else if (is_logged(m.data) && (s = load_control(&c)) == 0) pos = position(&c);
	if (s) { free(m.data); return s; }
	*serial = random64();
	*size = m.size;
	set_backup(m.data, 1);
	put64(m.data + AT_BACKUP_LSN, get64(m.data + AT_LSN));
	put64(m.data + AT_BACKUP_POS, pos);
	put64(m.data + AT_BACKUP_TIME, (uint64_t)(now_nanos() / 10000000));
	put64(m.data + AT_SERIAL, *serial);
	put32(m.data + AT_LOG_NUMBER, (uint32_t)(pos >> 32));
	seal(m.data);
	st.flags = (st.flags | IN_BACKUP) & ~(uint32_t)STOPPED;
	st.size = m.size;
	st.read = 0;
	st.serial = *serial;
	changes_file(path, changes);
	if (write_file(changes, NULL, 0) != 0) broken("cannot write", changes);
	save_state(&st);
	if (write_quietly(path, m.data, head(m.data)) != 0) broken("cannot write", path);
	free(m.data);
	return 0;
}

STATUS end_backup(const char *path, int done) {
	state st;
	bytes h;
	char changes[PATH_ROOM];
	load_state(path, &st);
	st.flags &= ~(uint32_t)(IN_BACKUP | STOPPED);
	save_state(&st);
	changes_file(path, changes);
	unlink(changes);
	STATUS s = read_header(path, &h);
	if (s) return s;
	set_backup(h.data, 0);
	if (done) timedate_of(now_nanos(), h.data + AT_LAST_BACKUP);
	seal(h.data);
	if (write_quietly(path, h.data, head(h.data)) != 0) broken("cannot write", path);
	free(h.data);
	return 0;
}

enum {
	WAIT = 0x01, ZAP_ID = 0x02, REFRESH_BACKUP = 0x04, POINT_IN_TIME = 0x08, ZAP_REPLICAID = 0x10, ZAP_ID_IF_NECESSARY = 0x20, ALT_RETRIEVE_PATH = 0x40,
	NEW_ID = ZAP_ID | POINT_IN_TIME | ZAP_REPLICAID, KNOWN_FLAGS = 0x7F
};

typedef struct { char path[PATH_ROOM]; bytes m; int zap; } recovering;

typedef struct {
	DWORD flags;
	int64_t until, last;
	LOGRESTORECALLBACKFUNCTION cb;
	int called;
	control log;
	recovering *dbs;
	int count;
} recovery;

/* rebuild makes a control of the extents in the log directory. */
static STATUS rebuild(control *c) {
	char dir[PATH_ROOM], path[PATH_ROOM], style[16];
	uint32_t *numbers;
	bytes e;
	int n = extents(NULL, &numbers);
	uint32_t last = n > 0 ? numbers[n - 1] : 0;
	free(numbers);
	if (n <= 0) return MISSING_SEGS;
	setting("TRANSLOG_Path", dir);
	extent_path(dir, last, path);
	if (read_extent(path, &e) != 0) return MISSING_SEGS;
	memset(c, 0, sizeof *c);
	c->style = ini_get("TRANSLOG_Style", style, sizeof style) && strcmp(style, "1") == 0;
	memcpy(c->id, e.data + 8, 16);
	c->number = last;
	c->size = (uint32_t)e.size;
	size_t at = EXTENT_HEADER;
	record r;
	int more;
	while ((more = next_record(&e, at, &r)) == 1) at += r.length;
	c->end = (uint32_t)at;
	free(e.data);
	if (more < 0) return MISSING_SEGS;
	int same = extents(c->id, &numbers);
	free(numbers);
	return same == n ? 0 : FIXUP_DB;
}

static STATUS series(control *c) {
	char media[16], recreate[16];
	ini_get("TRANSLOG_MEDIAONLY", media, sizeof media);
	ini_get("TRANSLOG_Recreate_Logctrl", recreate, sizeof recreate);
	if (strcmp(media, "1") != 0 && strcmp(recreate, "1") != 0) return load_control(c);
	STATUS s = rebuild(c);
	if (s || strcmp(media, "1") == 0) return s;
	save_control(c);
	ini_set("TRANSLOG_Recreate_Logctrl", "0");
	return 0;
}

/* judge looks at one file before anything is done to any. */
static STATUS judge(recovery *r, const char *name, recovering *db) {
	int linked;
	state st;
	STATUS s = resolve(name, db->path, &linked);
	if (s) return s;
	load_state(db->path, &st);
	if ((s = load_image(db->path, &db->m)) != 0) return s;
	const unsigned char *h = db->m.data;
	db->zap = (r->flags & NEW_ID) != 0;
	if (st.flags & (IN_BACKUP | HELD) || handles_open(db->path)) return DBINUSE;
	if (!is_backup(h)) return RECOVER_NONBACKUP;
	if (!is_logged(h)) return ONLY_V5;
	if (!consistent(&db->m) || memcmp(h + AT_LOG_ID, r->log.id, 16) != 0 || get64(h + AT_BACKUP_POS) > position(&r->log)) return FIXUP_DB;
	if (r->flags & POINT_IN_TIME && (int64_t)get64(h + AT_BACKUP_TIME) * 10000000 > r->until) return LATE_BACKUP;
	if (db->zap || r->flags & REFRESH_BACKUP || !active_elsewhere(h + AT_DBIID, db->path)) return 0;
	db->zap = (r->flags & ZAP_ID_IF_NECESSARY) != 0;
	return db->zap ? 0 : DBIID_IN_USE;
}

static STATUS prepare(recovery *r, const char *names, WORD *index) {
	STATUS s = series(&r->log);
	if (s) return s;
	if (!*names) return VALUE_FLAGS;
	for (const char *name = names; *name && !s; name += strlen(name) + 1) {
		r->dbs = realloc(r->dbs, (size_t)(r->count + 1) * sizeof *r->dbs);
		recovering *db = &r->dbs[r->count++];
		memset(db, 0, sizeof *db);
		s = judge(r, name, db);
		for (int i = 0; i < r->count - 1 && !s; i++) {
			recovering *o = &r->dbs[i];
			if (strcmp(o->path, db->path) == 0 || (!o->zap && !db->zap && memcmp(o->m.data + AT_DBIID, db->m.data + AT_DBIID, 16) == 0)) s = DBIID_IN_USE;
		}
		if (s) *index = (WORD)r->count;
	}
	return s;
}

struct callback { recovery *r; UNID id; DWORD number; char path[PATH_ROOM]; STATUS answer; };

static void *call_back(void *arg) {
	struct callback *c = arg;
	c->answer = c->r->cb(&c->id, c->number, c->path);
	return NULL;
}

/* retrieve has the callback bring an extent. The first call comes from a thread that the program has never seen, as the reference allows. */
static STATUS retrieve(recovery *r, uint32_t number, char *path) {
	struct callback c = {.r = r, .number = number};
	char dir[PATH_ROOM];
	if (r->flags & ALT_RETRIEVE_PATH) {
		if (!ini_get("TRANSLOG_RECOVER_PATH", dir, sizeof dir) || *dir != '/') return VALUE_FLAGS;
	} else setting("TRANSLOG_Path", dir);
	extent_path(dir, number, path);
	STATUS s = ask_fault("LOGRESTORECALLBACK", 0);
	if (s) return s;
	memcpy(&c.id, r->log.id, 16);
	strcpy(c.path, path);
	pthread_t thread;
	if (!r->called++ && pthread_create(&thread, NULL, call_back, &c) == 0) pthread_join(thread, NULL);
	else call_back(&c);
	if (c.answer) return MQ_LOG_ERROR;
	return ask_fault("LOGRESTORECALLBACK", 1);
}

static STATUS get_extent(recovery *r, uint32_t number, bytes *e, char *placed) {
	char dir[PATH_ROOM], path[PATH_ROOM];
	*placed = 0;
	setting("TRANSLOG_Path", dir);
	extent_path(dir, number, path);
	int fd = server_lock(), found = read_extent(path, e) == 0;
	server_unlock(fd);
	if (found) {
		if (memcmp(e->data + 8, r->log.id, 16) == 0 && get32(e->data + 24) == number) return 0;
		free(e->data);
	}
	if (r->log.style != 1) return CANNOT_RECOVER; /* overwritten */
	if (!r->cb) return MQ_LOG_ERROR;
	STATUS s = retrieve(r, number, path);
	if (s) return s;
	strcpy(placed, path);
	if (read_extent(path, e) != 0) return MISSING_SEGS;
	if (memcmp(e->data + 8, r->log.id, 16) == 0 && get32(e->data + 24) == number) return 0;
	free(e->data);
	return MISSING_SEGS;
}

static void redo(recovery *r, const record *rec) {
	for (int i = 0; i < r->count; i++) {
		bytes *m = &r->dbs[i].m;
		if (memcmp(m->data + AT_DBIID, rec->dbiid, 16) != 0 || rec->lsn <= get64(m->data + AT_LSN)) continue;
		apply(m, rec);
		r->last = rec->at;
	}
}

/* replay does the records of one extent; *done says that the wanted time was reached. */
static STATUS replay(recovery *r, const bytes *e, uint32_t number, int *done) {
	size_t at = EXTENT_HEADER;
	record rec;
	int more;
	int partial = !get32(e->data + 32) && number < r->log.number; /* copied before it was full: to a time, the recovery ends where the copy does */
	if (partial && !(r->flags & POINT_IN_TIME)) return MISSING_SEGS;
	while ((more = next_record(e, at, &rec)) == 1) {
		if (r->flags & POINT_IN_TIME && rec.at > r->until) { *done = 1; return 0; }
		redo(r, &rec);
		at += rec.length;
	}
	*done = partial;
	return more < 0 ? MISSING_SEGS : 0;
}

static STATUS roll(recovery *r) {
	uint32_t first = UINT32_MAX, capacity = r->log.number;
	STATUS s = 0;
	int done = 0, count = 0;
	for (int i = 0; i < r->count; i++) {
		uint32_t n = (uint32_t)(get64(r->dbs[i].m.data + AT_BACKUP_POS) >> 32);
		if (n < first) first = n;
	}
	char(*placed)[PATH_ROOM] = calloc(capacity - first + 2, sizeof *placed);
	for (uint32_t n = first; n <= r->log.number && !s && !done; n++) {
		bytes e;
		s = get_extent(r, n, &e, placed[count]);
		if (placed[count][0]) count++;
		if (s) break;
		s = replay(r, &e, n, &done);
		free(e.data);
	}
	while (count > 0) unlink(placed[--count]);
	free(placed);
	return s;
}

static void finish(recovery *r) {
	for (int i = 0; i < r->count; i++) {
		recovering *db = &r->dbs[i];
		unsigned char *h = db->m.data;
		state st;
		if (r->flags & REFRESH_BACKUP) {
			put64(h + AT_BACKUP_LSN, get64(h + AT_LSN));
			put64(h + AT_BACKUP_POS, position(&r->log));
			put32(h + AT_LOG_NUMBER, r->log.number);
		} else {
			set_backup(h, 0);
			if (db->zap) join_log(db->path, h, 1);
		}
		if (r->flags & ZAP_REPLICAID) put64(h + AT_REPLICA, random64());
		seal(h);
		if (write_file(db->path, h, db->m.size) != 0) broken("cannot write", db->path);
		if (is_backup(h)) continue;
		load_state(db->path, &st);
		memcpy(st.dbiid, h + AT_DBIID, 16);
		st.lsn = get64(h + AT_LSN);
		save_state(&st);
	}
}

/* spoil is what becomes of backup files when a recovery breaks off in the middle: they are no longer backups, nor databases. */
static void spoil(const char *names) {
	for (const char *name = names; *name; name += strlen(name) + 1) {
		char path[PATH_ROOM];
		int linked;
		bytes h;
		if (resolve(name, path, &linked) != 0 || read_header(path, &h) != 0) continue;
		if (is_backup(h.data)) {
			put64(h.data + AT_SUM, ~get64(h.data + AT_SUM));
			seal(h.data);
			if (write_at(path, h.data, head(h.data), 0) != 0) broken("cannot write", path);
		}
		free(h.data);
	}
}

static STATUS run(recovery *r, const char *names, WORD *index) {
	if (r->flags & ~(DWORD)KNOWN_FLAGS || (r->flags & REFRESH_BACKUP && r->flags & NEW_ID)) return VALUE_FLAGS;
	struct timespec pause = {0, 10000000};
	int only;
	while ((only = take_lock("recovery")) < 0) {
		if (!(r->flags & WAIT)) return SCAN_IN_PROGRESS;
		nanosleep(&pause, NULL);
	}
	int fd = server_lock();
	STATUS s = prepare(r, names, index);
	server_unlock(fd);
	if (!s) s = roll(r);
	if (!s) {
		fd = server_lock();
		finish(r);
		server_unlock(fd);
	}
	close(only);
	return s;
}

STATUS recover(const char *names, LOGRESTORECALLBACKFUNCTION cb, DWORD flags, WORD *index, TIMEDATE *when) {
	recovery r = {.flags = flags, .cb = cb};
	*index = 0;
	if (flags & POINT_IN_TIME) {
		if (!when) return VALUE_FLAGS;
		r.until = nanos_of(when);
	}
	STATUS s = ask_fault("NSFRecoverDatabases", 0);
	if (!s) s = run(&r, names, index);
	if (!s) s = ask_fault("NSFRecoverDatabases", 1);
	if (s == MQ_LOG_ERROR || s == LOG_SPACE_CRITICAL || s == MISSING_SEGS) {
		int fd = server_lock();
		spoil(names);
		server_unlock(fd);
	}
	if (when && r.last) {
		unsigned char b[8];
		timedate_of(r.last, b);
		when->Innards[0] = get32(b);
		when->Innards[1] = get32(b + 4);
	}
	for (int i = 0; i < r.count; i++) free(r.dbs[i].m.data);
	free(r.dbs);
	return s;
}
