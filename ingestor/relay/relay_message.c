/* The headers of a dead letter: Kafka Connect's, Spring's and ours, behind the original ones; those of a value of a window. */
#include "ingestor/relay/relay_message.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/buffer.h"
#include "common/staging_format.h"
#include "common/utf8.h"

#define TEXT_BYTES      8192 /* of a message, a detail, ...: the table has it whole */
#define TEXT_BYTES_BARE 256

static void add_original(rd_kafka_headers_t *headers, const MrLetter *letter);
static const char *take_bytes(const char *at, const char *end, const void **data, int32_t *len);
static void add_connect(rd_kafka_headers_t *headers, const MrLetter *letter, size_t max);
static void add_spring(rd_kafka_headers_t *headers, const MrLetter *letter, size_t max);
static void add_ours(rd_kafka_headers_t *headers, const MrLetter *letter);
static void add_left_out(rd_kafka_headers_t *headers, const MrLetter *letter, MrLetterForm form);
static void add_window(rd_kafka_headers_t *headers, const MrLetter *letter);
static const char *connect_stage(const char *stage);
static const char *exception_name(const MrLetter *letter);
static void add_report(rd_kafka_headers_t *headers, const char *name, const MrLetter *letter,
					   size_t max);
static void report_line(MrBuffer *out, const char *label, const char *text, size_t max);
static void add_text(rd_kafka_headers_t *headers, const char *name, const char *text, size_t max);
static void add_number(rd_kafka_headers_t *headers, const char *name, int64_t number);
static void add_bytes(rd_kafka_headers_t *headers, const char *name, const void *data, size_t len);
static size_t cut(const char *text, size_t max);

rd_kafka_headers_t *
mr_letter_headers(const MrLetter *letter, MrLetterForm form)
{
	rd_kafka_headers_t *headers = rd_kafka_headers_new(32);
	size_t max = form == MR_LETTER_BARE ? TEXT_BYTES_BARE : TEXT_BYTES;

	if (letter->window != NULL)
		add_window(headers, letter);
	else
	{
		if (form != MR_LETTER_BARE)
			add_original(headers, letter);
		add_connect(headers, letter, max);
		add_spring(headers, letter, max);
		add_ours(headers, letter);
	}
	add_left_out(headers, letter, form);
	return headers;
}

/* What is in the topic may come from anybody: only what is text can be looked up. */
const char *
mr_letter_id(const rd_kafka_headers_t *headers, char *buffer, size_t size)
{
	const void *value;
	size_t len;

	if (rd_kafka_header_get_last(headers, MR_HEADER_ID, &value, &len) != 0 || value == NULL ||
		len == 0 || len >= size || memchr(value, '\0', len) != NULL ||
		!mr_utf8_is_valid(value, len))
		return NULL;
	memcpy(buffer, value, len);
	buffer[len] = '\0';
	return buffer;
}

/* The bytes are as message.c packed them; what does not fit that is left out. */
static void
add_original(rd_kafka_headers_t *headers, const MrLetter *letter)
{
	const char *at = letter->headers;
	const char *end = at + letter->headers_len;

	if (at == NULL || letter->headers_len < 4)
		return;
	at += 4; /* the count: the bytes say it as well */
	while (at < end)
	{
		const void *name;
		const void *value;
		int32_t name_len;
		int32_t value_len;

		at = take_bytes(at, end, &name, &name_len);
		if (at == NULL || name == NULL)
			return;
		at = take_bytes(at, end, &value, &value_len);
		if (at == NULL)
			return;
		rd_kafka_header_add(headers, name, name_len, value, value == NULL ? 0 : value_len);
	}
}

static const char *
take_bytes(const char *at, const char *end, const void **data, int32_t *len)
{
	if (end - at < 4)
		return NULL;
	*len = (int32_t) mr_get32(at);
	at += 4;
	*data = *len < 0 ? NULL : at;
	if (*len < 0)
		return at;
	return end - at < *len ? NULL : at + *len;
}

static void
add_connect(rd_kafka_headers_t *headers, const MrLetter *letter, size_t max)
{
	char class[64];

	snprintf(class, sizeof(class), "millrace.%s", letter->stage ? letter->stage : "");
	add_text(headers, "__connect.errors.topic", letter->topic, max);
	add_number(headers, "__connect.errors.partition", letter->partition);
	add_number(headers, "__connect.errors.offset", letter->offset);
	add_text(headers, "__connect.errors.connector.name", letter->pipeline, max);
	add_number(headers, "__connect.errors.task.id", 0);
	add_text(headers, "__connect.errors.stage", connect_stage(letter->stage), max);
	add_text(headers, "__connect.errors.class.name", class, max);
	add_text(headers, "__connect.errors.exception.class.name", exception_name(letter), max);
	add_text(headers, "__connect.errors.exception.message", letter->message, max);
	add_report(headers, "__connect.errors.exception.stacktrace", letter, max);
}

/* Numbers are big-endian there. */
static void
add_spring(rd_kafka_headers_t *headers, const MrLetter *letter, size_t max)
{
	char number[8];

	add_text(headers, "kafka_dlt-original-topic", letter->topic, max);
	mr_put32(number, (uint32_t) letter->partition);
	add_bytes(headers, "kafka_dlt-original-partition", number, 4);
	mr_put64(number, (uint64_t) letter->offset);
	add_bytes(headers, "kafka_dlt-original-offset", number, 8);
	mr_put64(number, (uint64_t) letter->kafka_ts);
	add_bytes(headers, "kafka_dlt-original-timestamp", number, 8);
	add_text(headers, "kafka_dlt-exception-fqcn", exception_name(letter), max);
	add_text(headers, "kafka_dlt-exception-message", letter->message, max);
}

static void
add_ours(rd_kafka_headers_t *headers, const MrLetter *letter)
{
	add_text(headers, MR_HEADER_ID, letter->id, SIZE_MAX);
	add_text(headers, "millrace-pipeline", letter->pipeline, TEXT_BYTES);
	add_number(headers, "millrace-version", letter->version);
	add_text(headers, "millrace-sqlstate", letter->sqlstate, TEXT_BYTES);
	add_number(headers, "millrace-attempts", letter->attempts);
	if (letter->document > 0)
		add_number(headers, "millrace-document", letter->document);
	add_text(headers, "millrace-fingerprint", letter->fingerprint, TEXT_BYTES);
}

static void
add_window(rd_kafka_headers_t *headers, const MrLetter *letter)
{
	add_text(headers, MR_HEADER_ID, letter->id, SIZE_MAX);
	add_text(headers, "millrace-pipeline", letter->pipeline, TEXT_BYTES);
	add_text(headers, "millrace-window", letter->window, TEXT_BYTES);
	add_number(headers, "millrace-revision", letter->revision);
}

static void
add_left_out(rd_kafka_headers_t *headers, const MrLetter *letter, MrLetterForm form)
{
	if (form != MR_LETTER_WHOLE && letter->payload != NULL)
		add_number(headers, "millrace-payload-left-out", (int64_t) letter->payload_len);
}

/* Connect's names of the steps that are like ours. */
static const char *
connect_stage(const char *stage)
{
	if (stage == NULL)
		return "";
	if (strcmp(stage, "decode") == 0)
		return "VALUE_CONVERTER";
	if (strcmp(stage, "transform") == 0)
		return "TRANSFORMATION";
	if (strcmp(stage, "write") == 0 || strcmp(stage, "window") == 0)
		return "TASK_PUT";
	return stage;
}

static const char *
exception_name(const MrLetter *letter)
{
	return letter->condition && *letter->condition ? letter->condition : letter->sqlstate;
}

/* All there is to say, laid out as in the server's log. */
static void
add_report(rd_kafka_headers_t *headers, const char *name, const MrLetter *letter, size_t max)
{
	MrBuffer text = {0};

	mr_buffer_printf(&text, "ERROR:  %s: ", letter->sqlstate ? letter->sqlstate : "");
	report_line(&text, "", letter->message ? letter->message : "", max);
	report_line(&text, "DETAIL:  ", letter->detail, max);
	report_line(&text, "HINT:  ", letter->hint, max);
	report_line(&text, "CONSTRAINT:  ", letter->constraint_name, max);
	report_line(&text, "COLUMN:  ", letter->column_name, max);
	report_line(&text, "ENDED:  ", letter->ended, max);
	add_bytes(headers, name, text.data, text.len);
	mr_buffer_free(&text);
}

static void
report_line(MrBuffer *out, const char *label, const char *text, size_t max)
{
	if (text == NULL)
		return;
	mr_buffer_append(out, label, strlen(label));
	mr_buffer_append(out, text, cut(text, max));
	mr_buffer_append(out, "\n", 1);
}

static void
add_text(rd_kafka_headers_t *headers, const char *name, const char *text, size_t max)
{
	if (text == NULL)
		text = "";
	add_bytes(headers, name, text, cut(text, max));
}

static void
add_number(rd_kafka_headers_t *headers, const char *name, int64_t number)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, number);
	add_bytes(headers, name, text, strlen(text));
}

static void
add_bytes(rd_kafka_headers_t *headers, const char *name, const void *data, size_t len)
{
	rd_kafka_header_add(headers, name, -1, data, (ssize_t) len);
}

/* Not inside of a character. */
static size_t
cut(const char *text, size_t max)
{
	size_t len = strnlen(text, max);

	if (text[len] != '\0')
		while (len > 0 && ((unsigned char) text[len] & 0xC0) == 0x80)
			len--;
	return len;
}
