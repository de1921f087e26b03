/* The server, the memory of sessions, and faults. */
#include "qsim.h"

static LONG outstanding; /* of memory, sessions and files */

__declspec(dllexport) LONG __stdcall QsimOutstanding(void) { return outstanding; }

void *take(size_t n)
{
	InterlockedIncrement(&outstanding);
	return calloc(1, n);
}

void give(void *p)
{
	if (p == NULL)
		return;
	InterlockedDecrement(&outstanding);
	free(p);
}

void opened(int n) { InterlockedExchangeAdd(&outstanding, n); }

WCHAR *take_text(const WCHAR *s)
{
	WCHAR *to = take((wcslen(s) + 1) * sizeof *to);
	return wcscpy(to, s);
}

/* take_multi makes a multi-string of one or two texts: without the second there are three NULs at the end, and all are counted. */
WCHAR *take_multi(const WCHAR *a, const WCHAR *b, ULONG *chars)
{
	size_t n = wcslen(a) + 1;
	WCHAR *to = take((n + wcslen(b) + 2) * sizeof *to);
	wcscpy(to, a);
	wcscpy(to + n, b);
	if (chars != NULL)
		*chars = (ULONG)(n + wcslen(b) + 2);
	return to;
}

static int setting(const WCHAR *name, WCHAR *to)
{
	DWORD n = GetEnvironmentVariableW(name, to, PATH_CHARS);
	return n > 0 && n < PATH_CHARS;
}

static WCHAR *column(WCHAR **line)
{
	WCHAR *at = *line, *end = wcschr(at, L'\t');
	if (end != NULL) {
		*end = 0;
		*line = end + 1;
	} else {
		*line = at + wcslen(at);
	}
	return at;
}

static void copy_column(WCHAR *to, size_t n, WCHAR **line)
{
	wcsncpy(to, column(line), n - 1);
	to[n - 1] = 0;
}

/* guid_of reads 32 digits: the bytes as they lie in memory. */
static GUID guid_of(const WCHAR *s)
{
	unsigned char b[16] = {0};
	GUID g;
	for (int i = 0; i < 32 && s[i] != 0; i++)
		b[i / 2] = (unsigned char)(b[i / 2] << 4 | (s[i] >= L'a' ? s[i] - L'a' + 10 : s[i] - L'0'));
	memcpy(&g, b, sizeof g);
	return g;
}

static int store_line(store *s, WCHAR *line)
{
	WCHAR *kind = column(&line);
	if (wcscmp(kind, L"server") == 0) {
		copy_column(s->server, NAME_CHARS, &line);
	} else if (wcscmp(kind, L"group") == 0) {
		if (s->ngroups == MAX_GROUPS)
			return 0;
		group *g = &s->groups[s->ngroups++];
		g->id = _wcstoi64(column(&line), NULL, 10);
		copy_column(g->name, NAME_CHARS, &line);
		copy_column(g->logdir, PATH_CHARS, &line);
		copy_column(g->sysdir, PATH_CHARS, &line);
		copy_column(g->base, 4, &line);
	} else if (wcscmp(kind, L"database") == 0) {
		if (s->ngroups == 0 || s->groups[s->ngroups - 1].ndbs == MAX_DATABASES)
			return 0;
		group *g = &s->groups[s->ngroups - 1];
		database *d = &g->dbs[g->ndbs++];
		copy_column(d->name, NAME_CHARS, &line);
		d->guid = guid_of(column(&line));
		d->mounted = *column(&line) == L'1';
		d->overwrite = *column(&line) == L'1';
		copy_column(d->edb, PATH_CHARS, &line);
		copy_column(d->stm, PATH_CHARS, &line);
	} else if (*kind != 0) {
		return 0;
	}
	return 1;
}

/* description returns the text of the file that QSIM_EXCHANGE names. */
static WCHAR *description(WCHAR *path)
{
	size_t n;
	unsigned char *b;
	if (!setting(L"QSIM_EXCHANGE", path) || (b = file_read(path, &n)) == NULL)
		return NULL;
	WCHAR *text = calloc(n + 1, sizeof *text);
	MultiByteToWideChar(CP_UTF8, 0, (char *)b, (int)n, text, (int)n);
	free(b);
	return text;
}

int store_read(store *s)
{
	WCHAR path[PATH_CHARS], *text = description(path);
	int ok = text != NULL;
	memset(s, 0, sizeof *s);
	for (WCHAR *line = text, *next; ok && line != NULL; line = next) {
		next = wcschr(line, L'\n');
		if (next != NULL)
			*next++ = 0;
		ok = store_line(s, line);
	}
	free(text);
	return ok;
}

/* store_mount notes in the description that a database is mounted. */
int store_mount(const WCHAR *name)
{
	WCHAR path[PATH_CHARS], prefix[NAME_CHARS + 16], *text = description(path), *at;
	int ok = 0;
	swprintf(prefix, NAME_CHARS + 16, L"database\t%ls\t", name);
	if (text != NULL && (at = wcsstr(text, prefix)) != NULL && (at = wcschr(at + wcslen(prefix), L'\t')) != NULL) {
		at[1] = L'1';
		int n = WideCharToMultiByte(CP_UTF8, 0, text, -1, NULL, 0, NULL, NULL);
		char *b = malloc((size_t)n);
		WideCharToMultiByte(CP_UTF8, 0, text, -1, b, n, NULL, NULL);
		ok = file_write(path, (unsigned char *)b, (size_t)n - 1);
		free(b);
	}
	free(text);
	return ok;
}

static int privileged(void)
{
	HANDLE token;
	if (!OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &token))
		return 0;
	BYTE room[sizeof(PRIVILEGE_SET) + sizeof(LUID_AND_ATTRIBUTES)];
	PRIVILEGE_SET *set = (PRIVILEGE_SET *)room;
	BOOL held = FALSE;
	set->PrivilegeCount = 2;
	set->Control = PRIVILEGE_SET_ALL_NECESSARY;
	memset(set->Privilege, 0, 2 * sizeof set->Privilege[0]);
	int ok = LookupPrivilegeValueW(NULL, L"SeBackupPrivilege", &set->Privilege[0].Luid) && LookupPrivilegeValueW(NULL, L"SeRestorePrivilege", &set->Privilege[1].Luid) &&
	         PrivilegeCheck(token, set, &held) && held;
	CloseHandle(token);
	return ok;
}

HRESULT store_answers(const store *s, const WCHAR *server, const WCHAR *annotation)
{
	WCHAR here[NAME_CHARS];
	DWORD n = NAME_CHARS;
	if (!privileged())
		return hrPrivilegeNotHeld;
	if (!GetComputerNameExW(ComputerNamePhysicalDnsHostname, here, &n))
		*here = 0;
	if (server == NULL || (_wcsicmp(server, s->server) != 0 && _wcsicmp(server, here) != 0))
		return hrServerUnavailable;
	if (annotation != NULL && wcscmp(annotation, L"Microsoft Information Store") != 0)
		return hrServerUnavailable;
	return S_OK;
}

HRESULT engine(int jet)
{
	SetLastError((DWORD)jet);
	return hrErrorFromESECall;
}

HRESULT windows(DWORD last)
{
	SetLastError(last);
	return hrErrorFromESECall;
}

/* fault carries out what QSIM_FAULT says about this call: "Function@2=kill" at the second call of a function, or a number in hex that is returned; "Function+@2" does so when the work is done; "*@2" is the second call of any. hr is what it returns otherwise. */
HRESULT fault(const char *function, int after, HRESULT hr)
{
	static LONG calls[64][2], all;
	static const char *names[64];
	WCHAR wide[PATH_CHARS];
	char want[PATH_CHARS], name[128];
	DWORD last = GetLastError();
	int slot = 0, nth = 0, used = 0;
	while (slot < 63 && names[slot] != NULL && strcmp(names[slot], function) != 0)
		slot++;
	names[slot] = function;
	LONG call = InterlockedIncrement(&calls[slot][after]), of_all = after ? 0 : InterlockedIncrement(&all);
	if (setting(L"QSIM_FAULT", wide)) {
		WideCharToMultiByte(CP_UTF8, 0, wide, -1, want, sizeof want, NULL, NULL);
		snprintf(name, sizeof name, "%s%s@", function, after ? "+" : "");
		int any = strncmp(want, "*@", 2) == 0;
		size_t n = any ? 2 : strlen(name);
		if ((any || strncmp(want, name, n) == 0) && sscanf(want + n, "%d=%n", &nth, &used) == 1 && used > 0 && nth == (any ? of_all : call)) {
			if (strcmp(want + n + used, "kill") == 0)
				TerminateProcess(GetCurrentProcess(), 137);
			return (HRESULT)strtoul(want + n + used, NULL, 16);
		}
	}
	SetLastError(last);
	return hr;
}
