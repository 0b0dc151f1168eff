/*
 * libFuzzer harness for what clients bring back as they got it: cursors of lists, ids of server-sent events. Whatever text
 * comes; and what was written reads as it was, while one changed character makes a cursor none.
 */
#include "api/request/cursor.h"
#include "api/resource/event_position.h"
#include "common/utf8.h"
#include "tests/fuzz/must.h"

#define CURSOR_MAX 2000 /* longer ones are refused unread */

static void check_cursor(const char *text, size_t len);
static void check_position(const char *text);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = text_of(data, len);

	check_cursor(text, len);
	check_position(text);
	free(text);
	return 0;
}

static void
check_cursor(const char *text, size_t len)
{
	MrCursorSecret secret;
	MrCursor cursor;
	MrBuffer written = {0};
	char *changed;

	mr_cursor_secret_make(&secret, "of the fuzzer");
	must(!mr_cursor_read(&cursor, &secret, "", text)); /* nobody guesses 128 bits */
	mr_cursor_write(&written, &secret, text, len % 2 == 0, text, "id");
	if (written.len <= CURSOR_MAX)
	{
		must(mr_cursor_read(&cursor, &secret, text, mr_buffer_string(&written)));
		must(strcmp(cursor.time, text) == 0 && strcmp(cursor.id, "id") == 0);
		must(cursor.backward == (len % 2 == 0));
		mr_cursor_free(&cursor);
		changed = text_of((const uint8_t *) written.data, written.len);
		changed[len % written.len] = changed[len % written.len] == 'A' ? 'B' : 'A';
		must(!mr_cursor_read(&cursor, &secret, text, changed));
		must(!mr_cursor_read(&cursor, &secret, "of another list", mr_buffer_string(&written)));
		free(changed);
	}
	else
		must(!mr_cursor_read(&cursor, &secret, text, mr_buffer_string(&written)));
	mr_buffer_free(&written);
}

/* What is read can be given to PostgreSQL, and is written as something that reads alike. */
static void
check_position(const char *text)
{
	MrEventPosition position;
	MrEventPosition again;
	MrBuffer written = {0};

	if (mr_event_position_read(&position, "a-system", text) == MR_POSITION_OK)
	{
		must(position.id == NULL || mr_utf8_is_valid(position.id, strlen(position.id)));
		mr_event_position_write(&written, "a-system", &position);
		must(mr_event_position_read(&again, "a-system", mr_buffer_string(&written)) ==
			 MR_POSITION_OK);
		must(strcmp(again.since, position.since) == 0);
		must((again.until == NULL) == (position.until == NULL));
		must(again.until == NULL ||
			 (strcmp(again.until, position.until) == 0 && strcmp(again.xid, position.xid) == 0 &&
			  strcmp(again.id, position.id) == 0));
		mr_event_position_free(&again);
		mr_buffer_free(&written);
	}
	mr_event_position_free(&position);
}
