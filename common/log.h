/*
 * One line per happening on stderr, as logfmt or JSON. Any thread; a line is written with one
 * write(2), so lines do not mix. Levels can change while running (SIGHUP).
 *
 *   mr_log(MR_LOG_INFO, "lane open", MR_STR("pipeline", name), MR_INT("lane", 3));
 */
#ifndef MR_COMMON_LOG_H
#define MR_COMMON_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buffer.h"

typedef enum MrLogLevel
{
	MR_LOG_ERROR, /* somebody has to do something */
	MR_LOG_WARN,  /* recovers by itself, but had a cost */
	MR_LOG_INFO,  /* the life of the process */
	MR_LOG_DEBUG
} MrLogLevel;

typedef enum MrLogFormat
{
	MR_LOG_LOGFMT,
	MR_LOG_JSON
} MrLogFormat;

typedef struct MrLogField
{
	const char *key;  /* NULL: no field */
	const char *text; /* NULL: the value is the number */
	int64_t number;
} MrLogField;

#define MR_STR(key_, text_)   mr_log_text((key_), (text_))
#define MR_INT(key_, number_) ((MrLogField){(key_), NULL, (int64_t) (number_)})
#define MR_LOG_FIELDS(...)    ((const MrLogField[]){{NULL, NULL, 0}, ##__VA_ARGS__})

#define mr_log(level_, msg_, ...)                                                                  \
	do                                                                                             \
	{                                                                                              \
		const MrLogLevel mr_level = (level_); /* once: it may be a call */                         \
                                                                                                   \
		if (mr_log_enabled(mr_level))                                                              \
			mr_log_write(mr_level, (msg_), MR_LOG_FIELDS(__VA_ARGS__),                             \
						 sizeof(MR_LOG_FIELDS(__VA_ARGS__)) / sizeof(MrLogField));                 \
	} while (0)

static inline MrLogField
mr_log_text(const char *key, const char *text)
{
	return (MrLogField){key, text != NULL ? text : "", 0};
}

extern void mr_log_setup(const char *program, MrLogLevel level, MrLogFormat format);
extern bool mr_log_enabled(MrLogLevel level);
extern void mr_log_write(MrLogLevel level, const char *msg, const MrLogField *fields, size_t count);

/* The line itself, without writing it (tests; time is a parameter). */
extern void mr_log_format(MrBuffer *out, MrLogFormat format, int64_t time_ms, const char *program,
						  MrLogLevel level, const char *msg, const MrLogField *fields,
						  size_t count);

#endif
