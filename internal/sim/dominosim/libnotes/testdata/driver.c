/* A program over the stand-in, for what a caller in Go must never do. Arguments: notes.ini, a database, what to do. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

extern uint16_t NotesInitExtended(int, char **), NotesInitThread(void), NSFDbOpen(const char *, uint32_t *), NSFDbClose(uint32_t), NSFDbReopen(uint32_t, uint32_t *);
extern uint16_t OSTranslate(uint16_t, const char *, uint16_t, char *, uint16_t);
extern void NotesTerm(void), NotesTermThread(void);

static const char *what, *database;
static uint32_t handle;

static void *other(void *unused) {
	uint32_t own;
	if (strcmp(what, "unknown thread") == 0) { NSFDbOpen(database, &own); return unused; }
	NotesInitThread();
	if (strcmp(what, "foreign handle") == 0) NSFDbClose(handle);
	else if (NSFDbReopen(handle, &own) == 0) printf("reopened %04x\n", (unsigned)NSFDbClose(own));
	NotesTermThread();
	return unused;
}

static void text(void) {
	const char *in = "M\xC3\xBCller/\xD0\x96\xF0\x9F\x98\x80\xC4\x80"; /* code page 850, Cyrillic, beyond the first plane, a low byte of 0 */
	char lmbcs[64], unicode[64], back[64];
	uint16_t n = OSTranslate(24, in, (uint16_t)strlen(in), lmbcs, sizeof lmbcs), u = OSTranslate(20, lmbcs, n, unicode, sizeof unicode);
	for (int i = 0; i < n; i++) printf("%02x", (unsigned char)lmbcs[i]);
	uint16_t m = OSTranslate(22, lmbcs, n, back, sizeof back);
	printf(" %d", m == strlen(in) && memcmp(back, in, m) == 0);
	m = OSTranslate(23, unicode, u, back, sizeof back);
	printf(" %d\n", m == n && memcmp(back, lmbcs, m) == 0);
}

int main(int argc, char **argv) {
	char *args[] = {"/opt/program", argv[1], NULL};
	if (argc < 4) return 2;
	database = argv[2];
	what = argv[3];
	if (strcmp(what, "too early") == 0) NSFDbOpen(database, &handle);
	unsigned status = NotesInitExtended(2, args);
	if (!status) status = NSFDbOpen(database, &handle);
	printf("%04x\n", status);
	if (strcmp(what, "text") == 0) text();
	pthread_t t;
	if (strstr(what, "thread") || strstr(what, "handle")) { pthread_create(&t, NULL, other, NULL); pthread_join(t, NULL); }
	if (strcmp(what, "closed") == 0) { NSFDbClose(handle); NSFDbClose(handle); }
	NotesTerm();
	if (strcmp(what, "too late") == 0) NSFDbOpen(database, &handle);
	return 0;
}
