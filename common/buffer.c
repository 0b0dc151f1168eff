/* A growing run of bytes, and allocation that ends the process when memory is out. */
#include "common/buffer.h"

#include <stdio.h>
#include <stdlib.h>

static void *
checked(void *ptr, size_t size)
{
	if (ptr == NULL && size > 0)
	{
		fprintf(stderr, "level=error msg=\"out of memory\" bytes=%zu\n", size);
		abort();
	}
	return ptr;
}

void *
mr_malloc(size_t size)
{
	return checked(malloc(size), size);
}

void *
mr_calloc(size_t count, size_t size)
{
	return checked(calloc(count, size), count * size);
}

void *
mr_realloc(void *ptr, size_t size)
{
	return checked(realloc(ptr, size), size);
}

char *
mr_strdup(const char *text)
{
	return checked(strdup(text), strlen(text) + 1);
}

char *
mr_asprintf(const char *fmt, ...)
{
	va_list args;
	char *text = NULL;

	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		text = NULL;
	va_end(args);
	return checked(text, 1);
}

void
mr_buffer_grow(MrBuffer *buffer, size_t more)
{
	size_t cap = buffer->cap ? buffer->cap : 256;

	while (cap - buffer->len < more)
		cap += cap / 2;
	buffer->data = mr_realloc(buffer->data, cap);
	buffer->cap = cap;
}

void
mr_buffer_append(MrBuffer *buffer, const void *data, size_t len)
{
	if (len == 0)
		return;
	mr_buffer_reserve(buffer, len);
	memcpy(buffer->data + buffer->len, data, len);
	buffer->len += len;
}

void
mr_buffer_printf(MrBuffer *buffer, const char *fmt, ...)
{
	va_list args;
	int len;

	mr_buffer_reserve(buffer, 128);
	va_start(args, fmt);
	len = vsnprintf(buffer->data + buffer->len, buffer->cap - buffer->len, fmt, args);
	va_end(args);
	if (len >= 0 && (size_t) len >= buffer->cap - buffer->len)
	{
		mr_buffer_grow(buffer, (size_t) len + 1);
		va_start(args, fmt);
		len = vsnprintf(buffer->data + buffer->len, buffer->cap - buffer->len, fmt, args);
		va_end(args);
	}
	if (len > 0)
		buffer->len += (size_t) len;
}

const char *
mr_buffer_string(MrBuffer *buffer)
{
	mr_buffer_reserve(buffer, 1);
	buffer->data[buffer->len] = '\0';
	return buffer->data;
}

void
mr_buffer_free(MrBuffer *buffer)
{
	free(buffer->data);
	*buffer = (MrBuffer){0};
}
