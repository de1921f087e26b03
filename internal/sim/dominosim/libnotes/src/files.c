/* What is on disk, in the formats of package dominosim. */
#include "sim.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

char ini_path[PATH_ROOM];

uint16_t get16(const unsigned char *p) { return (uint16_t)(p[0] | p[1] << 8); }
uint32_t get32(const unsigned char *p) { return get16(p) | (uint32_t)get16(p + 2) << 16; }
uint64_t get64(const unsigned char *p) { return get32(p) | (uint64_t)get32(p + 4) << 32; }
void put16(unsigned char *p, uint16_t v) { p[0] = v & 0xFF; p[1] = v >> 8; }
void put32(unsigned char *p, uint32_t v) { put16(p, v & 0xFFFF); put16(p + 2, v >> 16); }
void put64(unsigned char *p, uint64_t v) { put32(p, (uint32_t)v); put32(p + 4, (uint32_t)(v >> 32)); }

uint32_t crc32of(const unsigned char *p, size_t n) {
	uint32_t c = 0xFFFFFFFFu;
	for (size_t i = 0; i < n; i++) {
		c ^= p[i];
		for (int k = 0; k < 8; k++) c = c & 1 ? c >> 1 ^ 0xEDB88320u : c >> 1;
	}
	return ~c;
}

void broken(const char *what, const char *path) {
	fprintf(stderr, "libnotes stand-in: %s: %s\n", what, path);
	abort();
}

/* read_file reads at most limit bytes; 0 means all. */
int read_file(const char *path, size_t limit, bytes *out) {
	out->data = NULL;
	out->size = 0;
	int fd = open(path, O_RDONLY);
	if (fd < 0) return -1;
	struct stat st;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) { close(fd); errno = EISDIR; return -1; }
	size_t want = (size_t)st.st_size;
	if (limit && want > limit) want = limit;
	out->data = malloc(want + 1);
	while (out->size < want) {
		ssize_t n = read(fd, out->data + out->size, want - out->size);
		if (n < 0 && errno == EINTR) continue;
		if (n <= 0) break;
		out->size += (size_t)n;
	}
	out->data[out->size] = 0;
	close(fd);
	return 0;
}

static int write_all(int fd, const unsigned char *p, size_t n, off_t at) {
	while (n > 0) {
		ssize_t k = pwrite(fd, p, n, at);
		if (k < 0 && errno == EINTR) continue;
		if (k <= 0) { close(fd); return -1; }
		p += k; n -= (size_t)k; at += k;
	}
	return close(fd);
}

int write_file(const char *path, const unsigned char *p, size_t n) {
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	return fd < 0 ? -1 : write_all(fd, p, n, 0);
}

int write_at(const char *path, const unsigned char *p, size_t n, uint64_t at) {
	int fd = open(path, O_WRONLY);
	return fd < 0 ? -1 : write_all(fd, p, n, (off_t)at);
}

int write_quietly(const char *path, const unsigned char *p, size_t n) {
	struct stat st;
	if (stat(path, &st) != 0 || write_at(path, p, n, 0) != 0) return -1;
#ifdef __APPLE__
	struct timespec t[2] = {st.st_mtimespec, st.st_mtimespec};
#else
	struct timespec t[2] = {st.st_mtim, st.st_mtim};
#endif
	return utimensat(AT_FDCWD, path, t, 0);
}

int is_file(const char *path) { struct stat st; return stat(path, &st) == 0 && S_ISREG(st.st_mode); }
int is_dir(const char *path) { struct stat st; return stat(path, &st) == 0 && S_ISDIR(st.st_mode); }

int join(char *out, const char *dir, const char *name) {
	return snprintf(out, PATH_ROOM, "%s/%s", dir, name) < PATH_ROOM ? 0 : -1;
}

/* line_is reports whether a line of notes.ini begins with the name, and where its value is. */
static const char *line_is(const char *line, const char *name) {
	size_t n = strlen(name);
	while (*line == ' ' || *line == '\t') line++;
	if (strncasecmp(line, name, n) != 0) return NULL;
	for (line += n; *line == ' ' || *line == '\t'; line++) {}
	return *line == '=' ? line + 1 : NULL;
}

int ini_get(const char *name, char *value, size_t room) {
	bytes b;
	int found = 0;
	*value = 0;
	if (read_file(ini_path, 0, &b) != 0) return 0;
	for (char *save = NULL, *line = strtok_r((char *)b.data, "\r\n", &save); line && !found; line = strtok_r(NULL, "\r\n", &save)) {
		const char *v = line_is(line, name);
		if (!v) continue;
		while (isspace((unsigned char)*v)) v++;
		snprintf(value, room, "%s", v);
		for (size_t n = strlen(value); n > 0 && isspace((unsigned char)value[n - 1]); n--) value[n - 1] = 0;
		found = 1;
	}
	free(b.data);
	return found;
}

void ini_set(const char *name, const char *value) {
	bytes b;
	if (read_file(ini_path, 0, &b) != 0) broken("cannot read", ini_path);
	char *out = malloc(b.size + strlen(name) + strlen(value) + 4), *end = out;
	for (char *save = NULL, *line = strtok_r((char *)b.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (!line_is(line, name)) end += sprintf(end, "%s\n", line);
	end += sprintf(end, "%s=%s\n", name, value);
	if (write_file(ini_path, (unsigned char *)out, (size_t)(end - out)) != 0) broken("cannot write", ini_path);
	free(out);
	free(b.data);
}

void setting(const char *name, char *value) {
	if (!ini_get(name, value, PATH_ROOM) || !*value) broken("notes.ini lacks a key", name);
}

static void sim_file(const char *name, char *out) {
	char dir[PATH_ROOM];
	setting("QSIM_Directory", dir);
	if (join(out, dir, name) != 0) broken("path too long", name);
}

int take_lock(const char *name) {
	char path[PATH_ROOM];
	sim_file(name, path);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0) broken("cannot open", path);
	if (flock(fd, LOCK_EX | LOCK_NB) == 0) return fd;
	close(fd);
	return -1;
}

int server_lock(void) {
	struct timespec pause = {0, 1000000};
	int fd;
	while ((fd = take_lock("lock")) < 0) nanosleep(&pause, NULL);
	return fd;
}

void server_unlock(int fd) { close(fd); }

static void hashed(const char *path, const char *extension, char *out) {
	uint64_t h = 0xcbf29ce484222325u;
	for (const char *p = path; *p; p++) { h ^= (unsigned char)*p; h *= 0x100000001b3u; }
	char name[64];
	snprintf(name, sizeof name, "%016llx.%s", (unsigned long long)h, extension);
	sim_file(name, out);
}

void changes_file(const char *path, char *out) { hashed(path, "chg", out); }

static int parse_state(const char *file, state *st) {
	bytes b;
	if (read_file(file, 0, &b) != 0) return -1;
	if (b.size < 64 || memcmp(b.data, "QST1", 4) != 0 || 64 + (size_t)get32(b.data + 56) != b.size || b.size - 64 >= PATH_ROOM) broken("state is damaged", file);
	st->flags = get32(b.data + 4);
	st->size = get64(b.data + 8);
	st->read = get64(b.data + 16);
	st->serial = get64(b.data + 24);
	st->lsn = get64(b.data + 32);
	memcpy(st->dbiid, b.data + 40, 16);
	memcpy(st->path, b.data + 64, b.size - 64);
	st->path[b.size - 64] = 0;
	free(b.data);
	return 0;
}

void load_state(const char *path, state *st) {
	char file[PATH_ROOM];
	hashed(path, "st", file);
	memset(st, 0, sizeof *st);
	if (parse_state(file, st) != 0) snprintf(st->path, sizeof st->path, "%s", path);
}

void save_state(const state *st) {
	char file[PATH_ROOM];
	size_t n = strlen(st->path);
	unsigned char b[64 + PATH_ROOM] = "QST1";
	hashed(st->path, "st", file);
	put32(b + 4, st->flags);
	put64(b + 8, st->size);
	put64(b + 16, st->read);
	put64(b + 24, st->serial);
	put64(b + 32, st->lsn);
	memcpy(b + 40, st->dbiid, 16);
	put32(b + 56, (uint32_t)n);
	memcpy(b + 64, st->path, n);
	if (write_file(file, b, 64 + n) != 0) broken("cannot write", file);
}

/* for_states calls f for each until it returns non-zero. */
int for_states(int (*f)(const state *, void *), void *arg) {
	char pattern[PATH_ROOM];
	glob_t g;
	int r = 0;
	sim_file("*.st", pattern);
	if (glob(pattern, 0, NULL, &g) != 0) return 0;
	for (size_t i = 0; i < g.gl_pathc && !r; i++) {
		state st;
		if (parse_state(g.gl_pathv[i], &st) == 0) r = f(&st, arg);
	}
	globfree(&g);
	return r;
}

STATUS load_control(control *c) {
	char status[16], dir[PATH_ROOM], path[PATH_ROOM];
	bytes b;
	if (!ini_get("TRANSLOG_Status", status, sizeof status) || strcmp(status, "1") != 0) return NOT_TRANSLOGGED;
	setting("TRANSLOG_Path", dir);
	join(path, dir, "NLOGCTRL.LFH");
	if (read_file(path, 0, &b) != 0) return NOT_TRANSLOGGED;
	if (b.size != 64 || memcmp(b.data, "QLFH", 4) != 0) broken("the control file of the log is damaged", path);
	c->style = get32(b.data + 4);
	memcpy(c->id, b.data + 8, 16);
	c->number = get32(b.data + 24);
	c->size = get32(b.data + 28);
	c->end = get32(b.data + 32);
	free(b.data);
	return 0;
}

void save_control(const control *c) {
	char dir[PATH_ROOM], path[PATH_ROOM];
	unsigned char b[64] = "QLFH";
	setting("TRANSLOG_Path", dir);
	join(path, dir, "NLOGCTRL.LFH");
	put32(b + 4, c->style);
	memcpy(b + 8, c->id, 16);
	put32(b + 24, c->number);
	put32(b + 28, c->size);
	put32(b + 32, c->end);
	if (write_file(path, b, sizeof b) != 0) broken("cannot write", path);
}

uint64_t position(const control *c) { return (uint64_t)c->number << 32 | c->end; }

void extent_path(const char *dir, uint32_t number, char *out) {
	if (snprintf(out, PATH_ROOM, "%s/S%07X.TXN", dir, (unsigned)number) >= PATH_ROOM) broken("path too long", dir);
}

int read_extent(const char *path, bytes *out) {
	if (read_file(path, 0, out) != 0) return -1;
	const unsigned char *p = out->data;
	if (out->size >= EXTENT_HEADER && memcmp(p, "QTXN", 4) == 0 && get32(p + 4) == 1 && get32(p + 28) == out->size && get32(p + 32) <= out->size) return 0;
	free(out->data);
	return -1;
}

/* next_record reads the record at an offset. 1: there is one; 0: the end; -1: a closed extent is damaged there. */
int next_record(const bytes *e, size_t at, record *r) {
	uint32_t end = get32(e->data + 32);
	if (end && at >= end) return 0;
	int bad = end ? -1 : 0;
	if (at + RECORD_HEADER > e->size) return bad;
	const unsigned char *p = e->data + at;
	size_t n = get32(p);
	if (n < RECORD_HEADER || n > e->size - at || crc32of(p + 8, n - 8) != get32(p + 4) || get64(p + 8) != ((uint64_t)get32(e->data + 24) << 32 | at)) return bad;
	r->lsn = get64(p + 8);
	r->at = (int64_t)get64(p + 16);
	r->dbiid = p + 24;
	r->count = get32(p + 40);
	r->ops = p + RECORD_HEADER;
	r->length = n;
	return 1;
}

static int by_number(const void *a, const void *b) {
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

int extents(const unsigned char *id, uint32_t **numbers) {
	char dir[PATH_ROOM], pattern[PATH_ROOM + 16];
	glob_t g;
	int n = 0;
	setting("TRANSLOG_Path", dir);
	snprintf(pattern, sizeof pattern, "%s/S???????.TXN", dir);
	*numbers = NULL;
	if (glob(pattern, 0, NULL, &g) != 0) return 0;
	*numbers = calloc(g.gl_pathc + 1, sizeof **numbers);
	for (size_t i = 0; i < g.gl_pathc && n >= 0; i++) {
		bytes e;
		if (read_extent(g.gl_pathv[i], &e) != 0) { if (!id) n = -1; continue; }
		if (!id || memcmp(e.data + 8, id, 16) == 0) (*numbers)[n++] = get32(e.data + 24);
		free(e.data);
	}
	globfree(&g);
	if (n > 0) qsort(*numbers, (size_t)n, sizeof **numbers, by_number);
	return n;
}

/* now_nanos is the real time, or that of the environment variable QSIM_NOW in nanoseconds since 1970, by the hundredth of a second. */
int64_t now_nanos(void) {
	const char *fixed = getenv("QSIM_NOW");
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	int64_t n = fixed ? strtoll(fixed, NULL, 10) : (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
	return n - n % 10000000;
}

enum { DAY = 24 * 60 * 60 * 100 };

void timedate_of(int64_t nanos, unsigned char *out) {
	int64_t hundredths = nanos / 10000000;
	put32(out, (uint32_t)(hundredths % DAY));
	put32(out + 4, (uint32_t)(2440588 + hundredths / DAY));
}

int64_t nanos_of(const TIMEDATE *t) {
	return (((int64_t)(t->Innards[1] & 0xFFFFFF) - 2440588) * DAY + t->Innards[0]) * 10000000;
}

uint64_t random64(void) {
	unsigned char b[8];
	int fd = open("/dev/urandom", O_RDONLY);
	if (fd < 0 || read(fd, b, sizeof b) != (ssize_t)sizeof b) broken("cannot read", "/dev/urandom");
	close(fd);
	return get64(b);
}

void new_id(unsigned char *id) {
	timedate_of(now_nanos(), id);
	put64(id + 8, random64());
}
