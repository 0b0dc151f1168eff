/* Lines of logfmt or JSON on stderr. */
#include "common/log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "common/json.h"

static const char *const level_names[] = {"error", "warn", "info", "debug"};

static const char *log_program = "millrace";
static atomic_int log_level = MR_LOG_INFO;
static atomic_int log_format = MR_LOG_LOGFMT;

static void put_time(MrBuffer *out, int64_t time_ms);
static void put_field(MrBuffer *out, MrLogFormat format, const char *key, const char *text);
static bool needs_quotes(const char *text);

void
mr_log_setup(const char *program, MrLogLevel level, MrLogFormat format)
{
	log_program = program;
	atomic_store(&log_level, (int) level);
	atomic_store(&log_format, (int) format);
}

bool
mr_log_enabled(MrLogLevel level)
{
	return (int) level <= atomic_load_explicit(&log_level, memory_order_relaxed);
}

void
mr_log_write(MrLogLevel level, const char *msg, const MrLogField *fields, size_t count)
{
	MrBuffer line = {0};
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	mr_log_format(&line, (MrLogFormat) atomic_load(&log_format),
				  (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000, log_program, level, msg,
				  fields, count);
	/* A full or closed stderr must not stop the stream of events. */
	if (write(STDERR_FILENO, line.data, line.len) < 0)
		(void) 0;
	mr_buffer_free(&line);
}

void
mr_log_format(MrBuffer *out, MrLogFormat format, int64_t time_ms, const char *program,
			  MrLogLevel level, const char *msg, const MrLogField *fields, size_t count)
{
	bool json = format == MR_LOG_JSON;

	mr_buffer_append(out, json ? "{\"time\":\"" : "time=", json ? 9 : 5);
	put_time(out, time_ms);
	if (json)
		mr_buffer_append(out, "\"", 1);
	put_field(out, format, "level", level_names[level]);
	put_field(out, format, "program", program);
	put_field(out, format, "msg", msg);
	for (size_t i = 0; i < count; i++)
	{
		if (fields[i].key == NULL)
			continue;
		if (fields[i].text != NULL)
			put_field(out, format, fields[i].key, fields[i].text);
		else
			mr_buffer_printf(out, json ? ",\"%s\":%lld" : " %s=%lld", fields[i].key,
							 (long long) fields[i].number);
	}
	mr_buffer_append(out, json ? "}\n" : "\n", json ? 2 : 1);
}

static void
put_time(MrBuffer *out, int64_t time_ms)
{
	time_t seconds = (time_t) (time_ms / 1000);
	struct tm parts;
	char text[32];

	gmtime_r(&seconds, &parts);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &parts);
	mr_buffer_printf(out, "%s.%03dZ", text, (int) (time_ms % 1000));
}

static void
put_field(MrBuffer *out, MrLogFormat format, const char *key, const char *text)
{
	mr_buffer_printf(out, format == MR_LOG_JSON ? ",\"%s\":" : " %s=", key);
	if (format == MR_LOG_JSON || needs_quotes(text))
		mr_json_put_string(out, text); /* its escapes serve logfmt as well */
	else
		mr_buffer_append(out, text, strlen(text));
}

static bool
needs_quotes(const char *text)
{
	if (*text == '\0')
		return true;
	for (; *text != '\0'; text++)
		if ((unsigned char) *text <= ' ' || *text == '"' || *text == '=' || *text == '\\' ||
			(unsigned char) *text == 0x7f)
			return true;
	return false;
}
