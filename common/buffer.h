/*
 * A growing run of bytes, and the allocation wrappers of the client
 * programs: running out of memory ends the process (there is nothing it could do that a restart
 * would not do better, and nothing is lost by a kill).
 */
#ifndef MR_COMMON_BUFFER_H
#define MR_COMMON_BUFFER_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct MrBuffer
{
	char *data; /* NULL while nothing was written; no terminating zero unless asked for */
	size_t len;
	size_t cap;
} MrBuffer;

extern void *mr_malloc(size_t size);
extern void *mr_calloc(size_t count, size_t size);
extern void *mr_realloc(void *ptr, size_t size);
extern char *mr_strdup(const char *text);
extern char *mr_asprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Makes room for `more` bytes behind len. */
extern void mr_buffer_grow(MrBuffer *buffer, size_t more);
extern void mr_buffer_append(MrBuffer *buffer, const void *data, size_t len);
extern void mr_buffer_printf(MrBuffer *buffer, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* The contents as a C string (a zero is put behind them, not counted). */
extern const char *mr_buffer_string(MrBuffer *buffer);
extern void mr_buffer_free(MrBuffer *buffer);

static inline void
mr_buffer_reserve(MrBuffer *buffer, size_t more)
{
	if (buffer->cap - buffer->len < more)
		mr_buffer_grow(buffer, more);
}

#endif
