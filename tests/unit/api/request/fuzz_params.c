/*
 * libFuzzer harness for query strings, cursors, coordinates, Accept and entity tags: whatever text comes, and, of what can
 * be written back, that it reads as it was.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api/request/accept.h"
#include "api/request/coordinate.h"
#include "api/request/cursor.h"
#include "api/request/etag.h"
#include "api/request/params.h"

static const char *const types[] = {"application/json", "text/csv"};

static void
must(int truth)
{
	if (!truth)
		abort();
}

/* Names and values, encoded again, are the same names and values. */
static void
check_params(const char *text)
{
	MrParams params;
	MrParams again;
	MrBuffer query = {0};
	char error[128];

	if (!mr_params_parse(&params, text, error, sizeof(error)))
		return;
	for (int i = 0; i < params.count; i++)
	{
		mr_buffer_append(&query, "&", i > 0);
		mr_percent_encode(&query, params.items[i].name);
		mr_buffer_append(&query, "=", 1);
		mr_percent_encode(&query, params.items[i].value);
		mr_nearest_name(params.items[i].name, types, 2);
	}
	must(mr_params_parse(&again, mr_buffer_string(&query), error, sizeof(error)));
	must(again.count == params.count);
	for (int i = 0; i < params.count; i++)
		must(strcmp(again.items[i].name, params.items[i].name) == 0 &&
			 strcmp(again.items[i].value, params.items[i].value) == 0);
	mr_params_free(&again);
	mr_params_free(&params);
	mr_buffer_free(&query);
}

static void
check_cursor(const char *text)
{
	MrCursorSecret secret;
	MrCursor cursor;
	MrBuffer written = {0};

	mr_cursor_secret_make(&secret, "of the fuzzer");
	must(!mr_cursor_read(&cursor, &secret, "", text)); /* nobody guesses 128 bits */
	mr_cursor_write(&written, &secret, text, true, text, "id");
	if (written.len <= 2000)
	{
		must(mr_cursor_read(&cursor, &secret, text, mr_buffer_string(&written)));
		must(strcmp(cursor.time, text) == 0 && strcmp(cursor.id, "id") == 0);
	}
	else
		must(!mr_cursor_read(&cursor, &secret, text, mr_buffer_string(&written)) ||
			 strcmp(cursor.time, text) == 0);
	mr_cursor_free(&cursor);
	mr_buffer_free(&written);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = malloc(len + 1);
	MrCoordinate coordinate;
	char tag[MR_ETAG_SIZE];
	int choice;

	must(text != NULL);
	memcpy(text, data, len);
	text[len] = '\0';
	check_params(text);
	check_cursor(text);
	if (mr_coordinate_read(&coordinate, text))
		must(strlen(coordinate.topic) + strlen(coordinate.partition) + strlen(coordinate.offset) +
				 2 ==
			 strlen(text));
	choice = mr_accept_choose(text, types, 2);
	must(choice >= -1 && choice < 2);
	mr_etag_make(tag, text, len);
	mr_etag_matches(text, tag);
	must(mr_etag_matches(tag, tag));
	free(text);
	return 0;
}
