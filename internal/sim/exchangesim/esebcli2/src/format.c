/* The files of the engine, in the format that package esefile describes; sections are those of the description of the genuine formats. */
#include "qsim.h"

uint32_t u32(const unsigned char *b) { return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24; }

void put32(unsigned char *b, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		b[i] = (unsigned char)(v >> 8 * i);
}

uint64_t u64(const unsigned char *b) { return u32(b) | (uint64_t)u32(b + 4) << 32; }

void put64(unsigned char *b, uint64_t v)
{
	put32(b, (uint32_t)v);
	put32(b + 4, (uint32_t)(v >> 32));
}

/* 4.4 */
static uint32_t xor_sum(const unsigned char *b, size_t n)
{
	uint32_t sum = 0x89ABCDEF;
	for (size_t at = 4; at < n; at += 4)
		sum ^= u32(b + at);
	return sum;
}

void seal_xor(unsigned char *b, size_t n) { put32(b, xor_sum(b, n)); }

int xor_good(const unsigned char *b, size_t n) { return u32(b) == xor_sum(b, n); }

static int odd(uint32_t v) { return __builtin_parity(v); }

/* 4.5, pages of up to 8 KiB: larger ones came after the streaming API. */
static uint64_t page_sum(const unsigned char *b, size_t n, uint32_t number)
{
	uint32_t column[4] = {0}, rows = 0, index = 0xFF800000u, bits = 0, step = 0xFFFF0000u;
	for (size_t at = 0; at < n; at += 16) {
		uint32_t row = 0;
		for (int i = 0; i < 4; i++) {
			uint32_t word = at == 0 && i < 2 ? 0 : u32(b + at + 4 * i);
			column[i] ^= word;
			row ^= word;
		}
		if (odd(row))
			rows ^= index;
		index += 0xFF800080u;
	}
	if (odd(column[0] ^ column[1]))
		rows |= 0x00400000;
	if (odd(column[2] ^ column[3]))
		rows |= 0x00000040;
	uint32_t left = column[0] ^ column[2], right = column[1] ^ column[3], sum = left ^ right;
	if (odd(left))
		rows |= 0x00200000;
	if (odd(right))
		rows |= 0x00000020;
	for (int bit = 0; bit < 32; bit++) {
		if (sum >> bit & 1)
			bits ^= step;
		step += 0xFFFF0001u;
	}
	uint32_t mask = ((uint32_t)n << 19) - 1;
	uint32_t code = (rows & 0xFFE0FFE0u & mask) | (bits & 0x001F001Fu);
	return (uint64_t)code << 32 | (sum ^ number);
}

void seal_page(unsigned char *b, size_t n, uint32_t number) { put64(b, page_sum(b, n, number)); }

int page_good(const unsigned char *b, size_t n, uint32_t number)
{
	size_t i = 0;
	while (i < n && b[i] == 0)
		i++;
	return i == n || u64(b) == page_sum(b, n, number);
}

/* 4.1, to the second and in the zone of the server: QSIM_NOW has seconds since 1970 in the place of a clock */
void stamp_now(unsigned char *b)
{
	SYSTEMTIME t;
	WCHAR text[32];
	GetLocalTime(&t);
	if (GetEnvironmentVariableW(L"QSIM_NOW", text, 32) != 0) {
		uint64_t ticks = ((uint64_t)_wcstoi64(text, NULL, 10) + 11644473600u) * 10000000u;
		FILETIME f = {(DWORD)ticks, (DWORD)(ticks >> 32)};
		FileTimeToSystemTime(&f, &t);
	}
	unsigned char s[8] = {(unsigned char)t.wSecond, (unsigned char)t.wMinute, (unsigned char)t.wHour, (unsigned char)t.wDay, (unsigned char)t.wMonth, (unsigned char)(t.wYear - 1900), 0, 0};
	memcpy(b, s, 8);
}

unsigned char *file_read(const WCHAR *path, size_t *n)
{
	HANDLE h = CreateFileW(path, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL, OPEN_EXISTING, 0, NULL);
	if (h == INVALID_HANDLE_VALUE)
		return NULL;
	LARGE_INTEGER size;
	DWORD got = 0;
	unsigned char *b = NULL;
	if (GetFileSizeEx(h, &size) && (b = malloc((size_t)size.QuadPart + 1)) != NULL &&
	    (!ReadFile(h, b, (DWORD)size.QuadPart, &got, NULL) || got != size.QuadPart)) {
		free(b);
		b = NULL;
	}
	CloseHandle(h);
	*n = got;
	return b;
}

int file_write(const WCHAR *path, const unsigned char *b, size_t n)
{
	HANDLE h = CreateFileW(path, GENERIC_WRITE, FILE_SHARE_READ, NULL, CREATE_ALWAYS, 0, NULL);
	if (h == INVALID_HANDLE_VALUE)
		return 0;
	DWORD wrote = 0;
	int ok = WriteFile(h, b, (DWORD)n, &wrote, NULL) && wrote == n && FlushFileBuffers(h);
	return CloseHandle(h) && ok;
}

/* 4.2 */
int is_database(const unsigned char *b, size_t n, size_t *page)
{
	for (size_t size = 4096; size <= 8192; size *= 2)
		if (n >= 2 * size && u32(b + 4) == 0x89ABCDEF && u32(b + 236) == size && xor_good(b, size)) {
			*page = size;
			return 1;
		}
	return 0;
}

/* 4.3 */
int is_log(const unsigned char *b, size_t n)
{
	return n > LOG_HEAD && xor_good(b, LOG_HEAD) && u32(b + 667) == 3 && u32(b + 32) == 7 && n == (size_t)(b[12] | b[13] << 8) * SECTOR;
}

/* log_end returns where the stream of records ends. */
size_t log_end(const unsigned char *b, size_t n)
{
	size_t at = LOG_HEAD;
	while (at + 4 <= n && u32(b + at) != 0 && at + u32(b + at) <= n)
		at += u32(b + at);
	return at;
}

/* record_good looks at the CRC-32 at the end of a record. */
int record_good(const unsigned char *b)
{
	uint32_t n = u32(b), crc = UINT32_MAX;
	if (n < 36)
		return 0;
	for (uint32_t at = 0; at < n - 4; at++) {
		crc ^= b[at];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
	}
	return ~crc == u32(b + n - 4);
}

int log_path(WCHAR *to, const WCHAR *dir, const WCHAR *base, uint32_t generation)
{
	if (generation == 0)
		return swprintf(to, PATH_CHARS, L"%ls\\%ls.log", dir, base);
	return swprintf(to, PATH_CHARS, L"%ls\\%ls%05X.log", dir, base, generation);
}

static int ascending(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

int logs_in(const WCHAR *dir, const WCHAR *base, uint32_t *list, int max)
{
	WCHAR pattern[PATH_CHARS];
	WIN32_FIND_DATAW found;
	int n = 0;
	swprintf(pattern, PATH_CHARS, L"%ls\\%ls?????.log", dir, base);
	HANDLE h = FindFirstFileW(pattern, &found);
	if (h == INVALID_HANDLE_VALUE)
		return 0;
	do {
		WCHAR *end, *digits = found.cFileName + wcslen(base);
		uint32_t generation = wcstoul(digits, &end, 16);
		if (end == digits + 5 && _wcsicmp(end, L".log") == 0 && n < max)
			list[n++] = generation;
	} while (FindNextFileW(h, &found));
	FindClose(h);
	qsort(list, (size_t)n, sizeof *list, ascending);
	return n;
}
